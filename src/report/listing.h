// listing.h - records that are lists of things (models, schemes, tensors, timings) as text for a terminal.
#ifndef PARE_REPORT_LISTING_H
#define PARE_REPORT_LISTING_H

#include "report/report.h"

// Each appends to out; trees are the records of the commands of the same name. Ends in a newline.
enum pare_status listing_info(const json_t *tree, struct report_text_options options, struct buf *out,
                              struct pare_error *err);
enum pare_status listing_schemes(const json_t *tree, struct report_text_options options, struct buf *out,
                                 struct pare_error *err);
enum pare_status listing_models(const json_t *tree, struct report_text_options options, struct buf *out,
                                struct pare_error *err);
enum pare_status listing_quantize(const json_t *tree, struct report_text_options options, struct buf *out,
                                  struct pare_error *err);
enum pare_status listing_bench(const json_t *tree, struct report_text_options options, struct buf *out,
                               struct pare_error *err);
enum pare_status listing_perplexity(const json_t *tree, struct buf *out, struct pare_error *err);
enum pare_status listing_train(const json_t *tree, struct report_text_options options, struct buf *out,
                               struct pare_error *err);

#endif
