// compare_samples.c - raw outcomes as JSON lines, so that every number of a report can be computed again.
#include <jansson.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "eval/compare.h"

enum { FLUSH_BYTES = 1 << 20 };

// Quoted and escaped once per comparison: names are few, rows many.
struct quoted {
  char *model, **label;
};

// Nine digits give the same float back.
static void add_floats(struct buf *b, const char *key, const float *x, size_t n) {
  buf_printf(b, ",\"%s\":", key);
  for (size_t i = 0; i < n; i++) buf_printf(b, "%c%.9g", i ? ',' : '[', (double)x[i]);
  buf_puts(b, "]");
}

static enum pare_status flush(struct outfile *f, struct buf *b, size_t at_least, struct pare_error *err) {
  if (b->failed) return error_no_memory(err);
  if (b->len < at_least) return PARE_OK;
  enum pare_status status = file_write(f, b->data, b->len, err);
  b->len = 0;
  return status;
}

static enum pare_status write_model(const struct comparison *c, const struct eval_subject *s, const struct quoted *q,
                                    struct outfile *f, struct buf *b, struct pare_error *err) {
  size_t K = c->classes;
  enum pare_status status = PARE_OK;
  for (size_t i = 0; status == PARE_OK && i < c->data->count; i++) {
    const char *label = c->label[i] < 0 ? "null" : q->label[c->label[i]];
    buf_printf(b, "{\"model\":%s,\"row\":%zu,\"label\":%s,\"prediction\":%s", q->model, i, label,
               q->label[s->prediction[i]]);
    add_floats(b, "scores", s->scores + i * K, K);
    add_floats(b, "logits", s->logits + i * K, K);
    buf_puts(b, "}\n");
    status = flush(f, b, FLUSH_BYTES, err);
  }
  for (size_t i = 0; status == PARE_OK && s->latency_ms && i < c->iterations; i++) {
    buf_printf(b, "{\"model\":%s,\"order\":%zu,\"latency_ms\":%.17g}\n", q->model, s->latency_order[i],
               s->latency_ms[i]);
    status = flush(f, b, FLUSH_BYTES, err);
  }
  return status;
}

static char *quote(const char *text) {
  json_t *json = eval_text_json(text);
  char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
  json_decref(json);
  return quoted;
}

enum pare_status compare_samples(const struct comparison *c, const char *path, struct pare_error *err) {
  struct outfile f;
  enum pare_status status = file_create(path, &f, err);
  if (status != PARE_OK) return status;
  struct buf b = {0};
  struct quoted q = {.label = calloc(c->classes, sizeof *q.label)};
  if (!q.label) status = error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < c->classes; i++) {
    q.label[i] = quote(c->names[i]);
    if (!q.label[i]) status = error_no_memory(err);
  }
  for (size_t i = 0; status == PARE_OK && i < c->count; i++) {
    q.model = quote(c->subjects[i].name);
    status = q.model ? write_model(c, &c->subjects[i], &q, &f, &b, err) : error_no_memory(err);
    free(q.model);
  }
  if (status == PARE_OK) status = flush(&f, &b, 0, err);
  if (status == PARE_OK) status = file_commit(&f, err);
  file_discard(&f);
  buf_free(&b);
  for (size_t i = 0; q.label && i < c->classes; i++) free(q.label[i]);
  free(q.label);
  return status;
}
