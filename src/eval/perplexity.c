// perplexity.c - see perplexity.h. Windows of `context` tokens move by `stride`; a window scores the tokens that no
// earlier window scored, each given everything before it in its window. The text's first token, which nothing precedes,
// is not scored. Negative log-likelihoods and divergences in double, in nats. The interval of the perplexity is
// exp(mean +- 1.96 standard errors), tokens taken as independent, as llama.cpp prints it; so are the names Mean KLD and
// Same top p.
#include "eval/perplexity.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "eval/eval_subject.h"
#include "model/session.h"
#include "report/stats.h"
#include "task/logprobs.h"

struct sides {
  pare_model *model[2]; // the one measured, and the base or NULL
  pare_session *session[2];
  float *logits[2]; // (context, V)
};

struct tally {
  double *nll[2], *kl; // per scored token
  size_t scored, same_top;
};

struct run {
  const struct pare_perplexity_options *o;
  struct sides s;
  struct tally t;
  struct encoded text;
  size_t bytes, context, stride;
};

static enum pare_status read_text(struct run *r, const char *path, struct pare_error *err) {
  struct mapping map;
  enum pare_status s = file_map(path, &map, err);
  if (s) return s;
  const struct encode_options options = {.add_special = false, .truncation = TRUNCATE_NONE};
  struct text_span text = {map.len ? (const char *)map.data : "", map.len};
  r->bytes = map.len;
  const pare_model *m = r->s.model[0];
  s = m->tokenizer ? tokenizer_encode(m->tokenizer, text, (struct text_span){0}, &options, &r->text, err)
                   : error_set(err, PARE_NOFILE, "%s: no tokenizer", m->path);
  file_unmap(&map);
  if (s == PARE_DATA && err && !strstr(err->text, path)) {
    struct pare_error inner = *err;
    return error_set(err, PARE_DATA, "%s: %.400s", path, inner.text);
  }
  if (!s && r->text.len < 2)
    s = error_set(err, PARE_DATA, "%s: expected at least 2 tokens, found %zu", path, r->text.len);
  return s;
}

static enum pare_status open_sides(struct run *r, pare_engine *engine, const char *model, struct pare_error *err) {
  const char *paths[2] = {model, r->o->base};
  for (int i = 0; i < 2 && paths[i]; i++) {
    enum pare_status s = model_open(engine, paths[i], &r->s.model[i], err);
    if (s) return s;
    const struct config *c = &r->s.model[i]->config;
    if (c->task != ARCH_LANGUAGE_MODEL) return error_set(err, PARE_USAGE, "%s: not a language model", paths[i]);
    if (i && c->V != r->s.model[0]->config.V)
      return error_set(err, PARE_DATA, "%s: expected the vocabulary of %s, %zu ids, found %zu", paths[1], model,
                       r->s.model[0]->config.V, c->V);
  }
  return PARE_OK;
}

static enum pare_status choose_windows(struct run *r, struct pare_error *err) {
  size_t longest = SIZE_MAX;
  for (int i = 0; i < 2 && r->s.model[i]; i++) longest = size_min(longest, r->s.model[i]->config.P);
  r->context = r->o->context ? r->o->context : longest;
  r->stride = r->o->stride ? r->o->stride : size_max(1, r->context / 2);
  if (r->context < 2 || r->context > longest)
    return error_set(err, PARE_USAGE, "context: expected 2 to %zu tokens, found %zu", longest, r->context);
  if (r->stride >= r->context)
    return error_set(err, PARE_USAGE, "stride: expected less than the context, %zu, found %zu", r->context, r->stride);
  if (r->o->limit) r->text.len = size_max(2, size_min(r->text.len, r->o->limit));
  return PARE_OK;
}

static enum pare_status take_memory(struct run *r, struct pare_error *err) {
  for (int i = 0; i < 2 && r->s.model[i]; i++) {
    enum pare_status s = session_open(r->s.model[i], r->context, &r->s.session[i], err);
    if (s) return s;
    size_t values;
    if (!size_mul(r->context, r->s.model[i]->config.V, &values)) return error_no_memory(err);
    r->s.logits[i] = malloc(values * sizeof(float));
    r->t.nll[i] = calloc(r->text.len, sizeof(double));
    if (!r->s.logits[i] || !r->t.nll[i]) return error_no_memory(err);
  }
  r->t.kl = calloc(r->text.len, sizeof(double));
  return r->t.kl ? PARE_OK : error_no_memory(err);
}

// The row at `row` of a window predicts the text's token `at`.
static enum pare_status score(struct run *r, size_t row, size_t at, struct pare_error *err) {
  uint32_t target = r->text.ids[at];
  size_t V = r->s.model[0]->config.V, top[2] = {0, 0};
  double sum[2] = {0, 0};
  const float *x[2] = {NULL, NULL};
  for (int i = 0; i < 2 && r->s.model[i]; i++) {
    x[i] = r->s.logits[i] + row * V;
    sum[i] = logprobs_sum(x[i], V, &top[i]);
    r->t.nll[i][r->t.scored] = sum[i] - (double)x[i][target];
    if (isnan(r->t.nll[i][r->t.scored]))
      return error_set(err, PARE_DATA, "%s: token %zu: the logits are not numbers", r->s.model[i]->path, at);
  }
  if (x[1]) {
    double kl = 0;
    for (size_t v = 0; v < V; v++) {
      double lp = (double)x[1][v] - sum[1], lq = (double)x[0][v] - sum[0];
      kl += exp(lp) * (lp - lq);
    }
    r->t.kl[r->t.scored] = kl;
    r->t.same_top += top[0] == top[1];
  }
  r->t.scored++;
  return PARE_OK;
}

static enum pare_status run_windows(struct run *r, struct pare_error *err) {
  size_t done = 1; // tokens before it are scored (the first never is)
  for (size_t start = 0; done < r->text.len; start += r->stride) {
    size_t len = size_min(r->context, r->text.len - start);
    struct pare_sequence q = {.ids = r->text.ids + start, .len = len};
    for (int i = 0; i < 2 && r->s.model[i]; i++) {
      enum pare_status s = session_logits(r->s.session[i], &q, 1, r->s.logits[i], err);
      if (s) return s;
    }
    for (; done < start + len; done++) {
      enum pare_status s = score(r, done - 1 - start, done, err);
      if (s) return s;
    }
    const struct pare_progress *p = &r->o->progress;
    if (p->report) p->report(p->context, "scoring", done, r->text.len);
  }
  return PARE_OK;
}

struct estimate {
  double mean, error; // error: 1.96 standard errors of the mean
};
static struct estimate estimate_of(const double *x, size_t n) {
  double mean = 0, square = 0;
  for (size_t i = 0; i < n; i++) mean += x[i];
  mean /= (double)n;
  for (size_t i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
  return (struct estimate){mean, n > 1 ? 1.96 * sqrt(square / (double)(n - 1) / (double)n) : INFINITY};
}

static json_t *number(double x) {
  return isfinite(x) ? json_real(x) : json_null();
}

static void add_perplexity(json_t *j, const double *nll, size_t n, const char *prefix) {
  struct estimate e = estimate_of(nll, n);
  char key[40];
  snprintf(key, sizeof key, "%sperplexity", prefix);
  json_object_set_new(j, key, number(exp(e.mean)));
  snprintf(key, sizeof key, "%sci95", prefix);
  json_object_set_new(j, key, json_pack("[o, o]", number(exp(e.mean - e.error)), number(exp(e.mean + e.error))));
  snprintf(key, sizeof key, "%snll", prefix);
  json_object_set_new(j, key, number(e.mean));
}

static void add_base(json_t *j, struct run *r) {
  size_t n = r->t.scored;
  add_perplexity(j, r->t.nll[1], n, "base_");
  double *ratio = r->t.nll[1]; // no longer needed as it is
  for (size_t i = 0; i < n; i++) ratio[i] = r->t.nll[0][i] - r->t.nll[1][i];
  struct estimate ln = estimate_of(ratio, n), kl = estimate_of(r->t.kl, n);
  json_object_set_new(j, "ln_ratio_mean", number(ln.mean));
  json_object_set_new(j, "ln_ratio_ci95", json_pack("[o, o]", number(ln.mean - ln.error), number(ln.mean + ln.error)));
  stats_sort(r->t.kl, n);
  json_object_set_new(j, "kl_mean", number(kl.mean));
  json_object_set_new(j, "kl_mean_ci95", json_pack("[o, o]", number(kl.mean - kl.error), number(kl.mean + kl.error)));
  json_object_set_new(j, "kl_median", number(stats_median_sorted(r->t.kl, n)));
  if (n >= stats_percentile_runs(0.99)) {
    json_object_set_new(j, "kl_p99", number(stats_percentile_sorted(r->t.kl, n, 0.99)));
  } else {
    json_object_set_new(j, "kl_p99", json_null());
    json_object_set_new(j, "kl_p99_reason",
                        json_sprintf("n too small: %zu tokens, %zu needed", n, stats_percentile_runs(0.99)));
  }
  json_object_set_new(j, "kl_max", number(r->t.kl[n - 1]));
  json_object_set_new(j, "same_top", json_real((double)r->t.same_top / (double)n));
}

static json_t *make_record(struct run *r, const char *model, const char *data) {
  size_t n = r->t.scored;
  json_t *j = json_pack("{s:o, s:s, s:o, s:I, s:I, s:I}", "model", eval_text_json(model), "scheme",
                        r->s.model[0]->scheme, "data", eval_text_json(data), "tokens", (json_int_t)n, "context",
                        (json_int_t)r->context, "stride", (json_int_t)r->stride);
  if (!j) return NULL;
  add_perplexity(j, r->t.nll[0], n, "");
  double total = 0;
  for (size_t i = 0; i < n; i++) total += r->t.nll[0][i];
  // Over all bytes of the text, the first token's among them; with a limit the bytes read are not known.
  json_object_set_new(j, "bits_per_byte",
                      r->o->limit || !r->bytes ? json_null() : number(total / log(2) / (double)r->bytes));
  if (r->s.model[1]) {
    json_object_set_new(j, "base", eval_text_json(r->o->base));
    add_base(j, r);
  }
  return j;
}

static void run_free(struct run *r) {
  for (int i = 0; i < 2; i++) {
    session_close(r->s.session[i]);
    model_close(r->s.model[i]);
    free(r->s.logits[i]);
    free(r->t.nll[i]);
  }
  free(r->t.kl);
  encoded_free(&r->text);
}

enum pare_status perplexity_run(pare_engine *engine, const char *model, const char *data,
                                const struct pare_perplexity_options *options, json_t **record,
                                struct pare_error *err) {
  struct run r = {.o = options};
  *record = NULL;
  enum pare_status s = open_sides(&r, engine, model, err);
  if (!s) s = read_text(&r, data, err);
  if (!s) s = choose_windows(&r, err);
  if (!s) s = take_memory(&r, err);
  if (!s) s = run_windows(&r, err);
  if (!s && !(*record = make_record(&r, model, data))) s = error_no_memory(err);
  run_free(&r);
  return s;
}
