// compare_samples.c - raw outcomes as JSON lines, so that every number of a report can be computed again.
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "eval/compare.h"
#include "eval/outcome.h"

enum { FLUSH_BYTES = 1 << 20 };

static enum pare_status flush(struct outfile *f, struct buf *b, size_t at_least, struct pare_error *err) {
  if (b->failed) return error_no_memory(err);
  if (b->len < at_least) return PARE_OK;
  enum pare_status status = file_write(f, b->data, b->len, err);
  b->len = 0;
  return status;
}

static enum pare_status write_model(const struct comparison *c, const struct eval_subject *s, const char *name,
                                    struct outfile *f, struct buf *b, struct pare_error *err) {
  enum pare_status status = PARE_OK;
  for (size_t i = 0; status == PARE_OK && i < c->data->count; i++) {
    buf_printf(b, "{\"model\":%s,\"row\":%zu", name, i);
    status = c->kind->sample(c, s, i, b, err);
    buf_puts(b, "}\n");
    if (status == PARE_OK) status = flush(f, b, FLUSH_BYTES, err);
  }
  for (size_t i = 0; status == PARE_OK && s->latency_ms && i < c->iterations; i++) {
    buf_printf(b, "{\"model\":%s,\"order\":%zu,\"latency_ms\":%.17g}\n", name, s->latency_order[i], s->latency_ms[i]);
    status = flush(f, b, FLUSH_BYTES, err);
  }
  return status;
}

enum pare_status compare_samples(const struct comparison *c, const char *path, struct pare_error *err) {
  struct outfile f;
  enum pare_status status = file_create(path, &f, err);
  if (status != PARE_OK) return status;
  struct buf b = {0};
  for (size_t i = 0; status == PARE_OK && i < c->count; i++) {
    struct buf name = {0}; // once per model: rows are many
    eval_add_quoted(&name, c->subjects[i].name, strlen(c->subjects[i].name));
    status = name.failed ? error_no_memory(err) : write_model(c, &c->subjects[i], name.data, &f, &b, err);
    buf_free(&name);
  }
  if (status == PARE_OK) status = flush(&f, &b, 0, err);
  if (status == PARE_OK) status = file_commit(&f, err);
  file_discard(&f);
  buf_free(&b);
  return status;
}
