// server_metrics.h - the families of figures the server keeps (docs/metrics.md), and those that are read off the
// system.
#ifndef PARE_SERVER_SERVER_METRICS_H
#define PARE_SERVER_SERVER_METRICS_H

#include "exchange.h"
#include "state.h"

// A request was answered.
void request_count(struct server *s, const struct exchange *x, double seconds);

// One form's figures, looked up once.
struct form_metrics {
  struct metric *queue_seconds, *tokenize_seconds, *inference_seconds, *batch_tokens, *batch_texts,
      *first_token_seconds, *inter_token_seconds, *prompt_tokens, *generated_tokens, *reused_tokens, *confidence,
      *rejected, *cancelled, *late, *cache_hits, *cache_misses;
};
void form_metrics_find(struct metrics *m, const char *model, const char *variant, struct form_metrics *out);
void count_finish(struct metrics *m, const char *model, enum pare_finish finish);
// What is only looked at when somebody asks, then everything.
void server_metrics_write(struct server *s, struct buf *out);
// At the start, and when a model was opened.
void server_metrics_begin(struct server *s);
void server_metrics_model(struct server *s, const struct served *m);
// A hook of the models (models.h).
void server_metrics_ready(void *server, const char *name, bool ready);

#endif
