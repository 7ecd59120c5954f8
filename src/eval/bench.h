// bench.h - latency and throughput of a model: on random ids by batch and length, on the texts of a file, or
// generating.
#ifndef PARE_EVAL_BENCH_H
#define PARE_EVAL_BENCH_H

#include "eval/eval_subject.h"

// See pare_bench. *record: {machine, seed, model, against, dataset, rows[{model, scheme, isa, threads, shape,
// latency_ms, latency_samples_ms, tokens_per_s, gops, gb_per_s, rss_bytes, size_bytes, load_ms, tokenizer_ms,
// self_test_ms, open_ms, against}]}; against: null, or the same of the other model with ratio{value, ci95} = median
// latency of it over that of the model: above 1 the model is faster. shape: {batch, length}, {texts, tokens, longest}
// or {streams, prompt, generate}; with the last also first_token_ms, token_ms, prefill{tokens_per_s, gops, gb_per_s},
// decode{the same}, and against.prefill_ratio, decode_ratio.
enum pare_status bench_run(pare_engine *engine, const char *path, const struct pare_bench_options *options,
                           json_t **record, struct pare_error *err);

#endif
