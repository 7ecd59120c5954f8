// calibrate.c - see calibrate.h. A language model reads each text as it is (teacher forcing): every token's input to
// every layer is seen, as in training. An encoder-decoder's decoder is given the text its encoder read.
#include "quant/calibrate.h"

#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "model/session.h"
#include "quant/histogram.h"

// What one weight's inputs were.
struct watch {
  const struct weight *weight; // of the model that computes; NULL: not to be calibrated
  float lo, hi;
  uint64_t values;
  struct histogram *histogram; // NULL: extremes only
};

struct watcher {
  struct watch *list; // in plan order
  size_t count, index;
  const struct plan *plan;
  const struct watch *broken; // the first that saw what is no number
};

static void look(void *context, const struct weight *w, const float *x, size_t rows, size_t K) {
  struct watcher *watcher = context;
  size_t i = 0;
  while (i < watcher->count && watcher->list[i].weight != w) i++;
  if (i == watcher->count) return;
  struct watch *watch = &watcher->list[i];
  float lo = watch->lo, hi = watch->hi, bad = 0;
  for (size_t k = 0; k < rows * K; k++) {
    lo = x[k] < lo ? x[k] : lo;
    hi = x[k] > hi ? x[k] : hi;
    bad = fmaf(x[k], 0.0f, bad);
  }
  watch->lo = lo;
  watch->hi = hi;
  watch->values += rows * K;
  if (bad != 0 && !watcher->broken) watcher->broken = watch;
  if (watch->histogram && !watcher->broken) histogram_add(watch->histogram, x, rows * K);
}

// Both models have the same weights in the same order.
static void pair_with_plan(void *context, const struct arch_row *row, const struct weight *w) {
  struct watcher *watcher = context;
  (void)row;
  const struct scheme *scheme = watcher->plan->items[watcher->index].scheme;
  if (scheme && scheme->calibrated) watcher->list[watcher->index].weight = w;
  watcher->index++;
}

static bool uses_percentile(const struct pare_calibrate_options *o) {
  return o->method && strcmp(o->method, "percentile") == 0;
}

static double percentile_of(const struct pare_calibrate_options *o) {
  return o->percentile > 0 ? o->percentile : CALIBRATE_PERCENTILE;
}

enum pare_status calibrate_check(const struct pare_calibrate_options *o, struct pare_error *err) {
  if (!o->file && (o->method || o->percentile != 0 || o->rows))
    return error_set(err, PARE_USAGE,
                     "calibration rows, method or percentile without a file: expected --calibrate FILE");
  if (o->method && strcmp(o->method, "minmax") != 0 && !uses_percentile(o))
    return error_set(err, PARE_USAGE, "calibration method \"%.40s\": expected minmax or percentile", o->method);
  if (o->percentile != 0 && !uses_percentile(o))
    return error_set(err, PARE_USAGE, "a percentile is given: expected the calibration method percentile");
  if (o->percentile != 0 && !(o->percentile >= 50 && o->percentile <= 100))
    return error_set(err, PARE_USAGE, "calibration percentile %g: expected 50 to 100", o->percentile);
  return PARE_OK;
}

struct reader {
  pare_model *model;
  pare_session *session;
  size_t tokens; // most of one text
  struct encoded ids;
  uint32_t *decoder_ids; // (tokens), encoder-decoders only
  float *logits;         // what the model answers: not used
  size_t cap;
};

// An encoder-decoder writes the text it reads: its start id and all ids but the last.
static void add_decoder_ids(const struct reader *r, struct pare_sequence *q) {
  if (!r->decoder_ids || q->decoder_ids) return;
  q->decoder_ids = r->decoder_ids;
  q->decoder_len = size_min(q->len, r->tokens);
  r->decoder_ids[0] = r->model->config.start_id;
  for (size_t i = 1; i < q->decoder_len; i++) r->decoder_ids[i] = q->ids[i - 1];
}

static enum pare_status read_text(struct reader *r, const struct calibration_texts *texts, size_t i, size_t *tokens,
                                  struct pare_error *err) {
  struct pare_sequence q;
  if (texts->sequences) {
    q = texts->sequences[i];
  } else {
    struct pare_text text = texts->text(texts->context, i);
    enum pare_status s = model_tokenize(r->model, &text, r->tokens, false, &r->ids, err);
    if (s) return s;
    q = (struct pare_sequence){.ids = r->ids.ids, .types = r->ids.types, .len = r->ids.len};
  }
  *tokens += q.len;
  add_decoder_ids(r, &q);
  size_t need = session_sequence_rows(r->model, &q) * session_columns(r->model);
  if (need > r->cap) {
    free(r->logits);
    r->cap = 0;
    if (!(r->logits = malloc(need * sizeof(float)))) return error_no_memory(err);
    r->cap = need;
  }
  return session_logits(r->session, &q, 1, r->logits, err);
}

static enum pare_status read_texts(pare_model *m, const struct calibration_texts *texts, struct watcher *watcher,
                                   const struct pare_progress *progress, struct calibration *out,
                                   struct pare_error *err) {
  struct reader r = {.model = m, .tokens = model_max_tokens(m)};
  bool writes = m->config.task == ARCH_SEQ2SEQ;
  if (writes || m->config.task == ARCH_LANGUAGE_MODEL) r.tokens = size_min(r.tokens, CALIBRATE_LM_TOKENS);
  if (writes && !(r.decoder_ids = calloc(r.tokens, sizeof *r.decoder_ids))) return error_no_memory(err);
  enum pare_status s = session_open(m, 0, &r.session, err);
  if (s) {
    free(r.decoder_ids);
    return s;
  }
  struct nn_observer observer = {.linear = look, .context = watcher};
  r.session->ctx.observer = &observer;
  for (size_t i = 0; !s && i < texts->count; i++) {
    s = read_text(&r, texts, i, &out->tokens, err);
    if (!s && watcher->broken)
      s = error_set(err, PARE_DATA, "%s: row %zu: the input of %s holds a value that is not a number, or infinite",
                    texts->path, i + 1, watcher->broken->weight->name);
    if (progress->report && i % 16 == 0) progress->report(progress->context, "calibrating", i, texts->count);
  }
  out->texts = texts->count;
  encoded_free(&r.ids);
  free(r.decoder_ids);
  free(r.logits);
  session_close(r.session);
  return s;
}

static struct calibration_range range_of(const struct watch *w, double cut) {
  struct calibration_range r = {.lo = w->lo, .hi = w->hi, .values = w->values};
  if (!w->histogram || !w->values) return r;
  double lo, hi;
  histogram_range(w->histogram, cut, &lo, &hi);
  lo = fmin(0, fmax(lo, (double)w->lo));
  hi = fmax(0, fmin(hi, (double)w->hi));
  r.clipped = (double)histogram_outside(w->histogram, lo, hi) / (double)w->values;
  r.lo = (float)lo;
  r.hi = (float)hi;
  return r;
}

static enum pare_status finish(const struct watcher *watcher, const struct calibration_texts *texts, double cut,
                               struct calibration *out, struct pare_error *err) {
  double values = 0, clipped = 0;
  for (size_t i = 0; i < watcher->count; i++) {
    const struct watch *w = &watcher->list[i];
    if (!w->weight) continue;
    if (!w->values)
      return error_set(err, PARE_DATA, "%s: calibration never reached %s: no range is known for its input", texts->path,
                       w->weight->name);
    out->ranges[i] = range_of(w, cut);
    if (!isfinite(out->ranges[i].hi - out->ranges[i].lo))
      return error_set(err, PARE_DATA, "%s: the input of %s ranges from %g to %g: too wide for one scale", texts->path,
                       w->weight->name, (double)w->lo, (double)w->hi);
    values += (double)w->values;
    clipped += out->ranges[i].clipped * (double)w->values;
  }
  out->clipped = values > 0 ? clipped / values : 0;
  return PARE_OK;
}

static enum pare_status watch_all(const pare_model *m, const struct plan *p, bool histograms, struct watcher *out,
                                  struct pare_error *err) {
  *out = (struct watcher){.count = p->count, .plan = p, .list = calloc(p->count ? p->count : 1, sizeof *out->list)};
  if (!out->list) return error_no_memory(err);
  model_each_weight(m, pair_with_plan, out);
  for (size_t i = 0; histograms && i < out->count; i++) {
    if (!out->list[i].weight) continue;
    out->list[i].histogram = calloc(1, sizeof *out->list[i].histogram);
    if (!out->list[i].histogram) return error_no_memory(err);
  }
  return PARE_OK;
}

enum pare_status calibrate(pare_engine *engine, const char *path, const struct plan *p,
                           const struct calibration_texts *texts, const struct pare_calibrate_options *options,
                           const struct pare_progress *progress, struct calibration *out, struct pare_error *err) {
  *out = (struct calibration){.ranges = calloc(p->count ? p->count : 1, sizeof *out->ranges)};
  pare_model *m = NULL;
  struct watcher watcher = {0};
  bool percentile = uses_percentile(options);
  enum pare_status s = out->ranges ? PARE_OK : error_no_memory(err);
  if (!s && !texts->count) s = error_set(err, PARE_DATA, "%s: no texts to calibrate on", texts->path);
  if (!s) s = model_open(engine, path, &m, err);
  if (!s) s = watch_all(m, p, percentile, &watcher, err);
  if (!s) s = read_texts(m, texts, &watcher, progress, out, err);
  double cut = percentile ? (100 - percentile_of(options)) / 200 : 0; // half of what is left out at each end
  if (!s) s = finish(&watcher, texts, cut, out, err);
  for (size_t i = 0; watcher.list && i < watcher.count; i++) free(watcher.list[i].histogram);
  free(watcher.list);
  model_close(m);
  if (s) calibration_free(out);
  return s;
}

void calibration_free(struct calibration *c) {
  free(c->ranges);
  *c = (struct calibration){0};
}

void calibration_store(const struct calibration_range *r, struct stored *weight) {
  float scale = (r->hi - r->lo) / 255.0f, zero = 0;
  if (scale >= FLT_MIN) {
    zero = rintf(-r->lo / scale);
  } else {
    scale = 1.0f; // the input was always 0
  }
  // Parts of a fresh stored weight are ours to write.
  memcpy((void *)(uintptr_t)weight->parts[2].data, &scale, sizeof scale);
  *(int8_t *)(uintptr_t)weight->parts[3].data = (int8_t)((int)zero - 128);
}

json_t *calibration_json(const struct calibration *c, const struct calibration_texts *texts,
                         const struct pare_calibrate_options *options) {
  json_t *percentile = uses_percentile(options) ? json_real(percentile_of(options)) : json_null();
  return json_pack("{s:s, s:s, s:I, s:I, s:s, s:o, s:f}", "file", path_base(texts->path), "sha256", texts->sha256,
                   "rows", (json_int_t)c->texts, "tokens", (json_int_t)c->tokens, "method",
                   uses_percentile(options) ? "percentile" : "minmax", "percentile", percentile, "clipped", c->clipped);
}
