// bench.h - latency and throughput of a model by batch and length, on random token ids.
#ifndef PARE_EVAL_BENCH_H
#define PARE_EVAL_BENCH_H

#include "eval/eval_subject.h"

// See pare_bench. *record: {machine, seed, model, against, rows[{model, scheme, isa, threads, shape{batch, length},
// latency_ms, latency_samples_ms, tokens_per_s, gops, gb_per_s, rss_bytes, load_ms, against}]}; against: null, or the
// same of the other model with ratio{value, ci95} = median latency of it over that of the model: above 1 the model is
// faster.
enum pare_status bench_run(pare_engine *engine, const char *path, const struct pare_bench_options *options,
                           json_t **record, struct pare_error *err);

#endif
