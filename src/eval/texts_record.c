// texts_record.c - see texts.h: the fields of a model that writes text. Every interval is a bootstrap over rows: tokens
// of one text are no independent sample.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"
#include "eval/stats_fill.h"
#include "eval/texts.h"
#include "report/record.h"
#include "report/rouge.h"
#include "report/similarity.h"
#include "report/stats.h"

enum { EXAMPLES_FIRST = 5, EXAMPLES_WORST = 5 };

// Columns of numbers, one per row of the data, on which the fields are computed.
enum column { CHAR, JACCARD, DIVERGENCE, LENGTH, BASE_LENGTH, REFERENCE_LENGTH, NLL, SCORED, PICK, PICK_2, COLUMNS };
struct table {
  const struct comparison *c;
  const struct eval_subject *s, *base;
  size_t rows;
  double *x[COLUMNS];               // (rows)
  double *rouge[ROUGE_KINDS][2][3]; // (references) of this model and the original: precision, recall, F1
  double *scratch;                  // (STATS_RESAMPLES)
  double *block;
};

static struct similarity_text text_of(const struct pare_generation *g) {
  return (struct similarity_text){g->text, g->text_len};
}

// ---- computing the columns ----

static enum pare_status allocate(struct table *t, struct pare_error *err) {
  size_t columns = COLUMNS + ROUGE_KINDS * 2 * 3, at = 0;
  t->block = calloc(columns * t->rows + STATS_RESAMPLES, sizeof *t->block); // rows are in memory already: no overflow
  if (!t->block) return error_no_memory(err);
  for (size_t i = 0; i < COLUMNS; i++) t->x[i] = t->block + t->rows * at++;
  for (size_t k = 0; k < ROUGE_KINDS; k++)
    for (size_t i = 0; i < 6; i++) t->rouge[k][i / 3][i % 3] = t->block + t->rows * at++;
  t->scratch = t->block + t->rows * at;
  return PARE_OK;
}

static enum pare_status compare_row(struct table *t, size_t i, struct pare_error *err) {
  const struct pare_generation *own = &t->s->texts.answer[i], *base = &t->base->texts.answer[i];
  enum pare_status status = similarity_char(text_of(base), text_of(own), &t->x[CHAR][i], err);
  if (status == PARE_OK)
    status = similarity_jaccard(base->ids, base->count, own->ids, own->count, &t->x[JACCARD][i], err);
  size_t at = similarity_divergence(base->ids, base->count, own->ids, own->count);
  t->x[DIVERGENCE][i] = at == SIZE_MAX ? INFINITY : (double)at;
  t->x[LENGTH][i] = (double)similarity_length(text_of(own));
  t->x[BASE_LENGTH][i] = (double)similarity_length(text_of(base));
  t->x[NLL][i] = t->s->texts.nll[i];
  t->x[SCORED][i] = (double)t->c->texts.scored[i];
  return status;
}

// The n-th row with a reference.
static enum pare_status refer_row(struct table *t, size_t i, size_t n, struct pare_error *err) {
  const struct dataset_row *r = &t->c->data->rows[i];
  t->x[REFERENCE_LENGTH][n] = (double)similarity_length((struct similarity_text){r->reference, r->reference_len});
  for (size_t which = 0; which < 2; which++) {
    const struct pare_generation *g = which ? &t->base->texts.answer[i] : &t->s->texts.answer[i];
    struct rouge_score score[ROUGE_KINDS];
    enum pare_status status = rouge_compute(r->reference, r->reference_len, g->text, g->text_len, score, err);
    if (status != PARE_OK) return status;
    for (size_t k = 0; k < ROUGE_KINDS; k++) {
      t->rouge[k][which][0][n] = score[k].precision;
      t->rouge[k][which][1][n] = score[k].recall;
      t->rouge[k][which][2][n] = score[k].f1;
    }
  }
  return PARE_OK;
}

static enum pare_status fill_table(struct table *t, struct pare_error *err) {
  enum pare_status status = allocate(t, err);
  size_t references = 0;
  for (size_t i = 0; status == PARE_OK && i < t->rows; i++) {
    status = compare_row(t, i, err);
    if (status == PARE_OK && t->c->data->rows[i].reference) status = refer_row(t, i, references++, err);
  }
  return status;
}

// ---- intervals ----

static double total(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum;
}

static double itself(double x) {
  return x;
}

// How many rows say something: those that weigh anything.
static size_t weighing(const double *b, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += !b || b[i] > 0;
  return count;
}

// The interval of of(sum(a) / sum(b)), of rising; of few rows none is given, since resampling them shows too little.
static int set_interval(struct table *t, json_t *object, const char *key, const double *a, const double *b, size_t n,
                        double (*of)(double)) {
  size_t rows = weighing(b, n);
  if (rows < STATS_BOOTSTRAP_ITEMS)
    return record_set_null(object, key, "n too small: %zu texts, %d needed", rows, STATS_BOOTSTRAP_ITEMS);
  struct rng rng;
  rng_seed(&rng, t->c->options->seed);
  struct stats_interval i = stats_bootstrap_ratio(a, b, n, STATS_RESAMPLES, 0.95, &rng, t->scratch);
  return json_object_set_new(object, key, json_pack("[f, f]", of(i.low), of(i.high)));
}

// {value: of(sum(a) / sum(b)), ci95}; sum(b) > 0, or b NULL for the mean of a.
static json_t *bounded(struct table *t, const double *a, const double *b, size_t n, double (*of)(double)) {
  json_t *json = json_pack("{s:f}", "value", of(total(a, n) / (b ? total(b, n) : (double)n)));
  set_interval(t, json, "ci95", a, b, n, of);
  return json;
}

// sum(a) / sum(b) with its interval; null when there is no b.
static int set_ratio(struct table *t, json_t *object, const char *key, const double *a, const double *b, size_t n,
                     const char *without) {
  double under = n ? (b ? total(b, n) : (double)n) : 0;
  if (!(under > 0)) return record_set_null(object, key, "%s", without);
  return json_object_set_new(object, key, bounded(t, a, b, n, itself));
}

static json_t *spread_json(double *x, size_t n) {
  double low = x[0], high = x[0];
  for (size_t i = 1; i < n; i++) low = fmin(low, x[i]), high = fmax(high, x[i]);
  return json_pack("{s:f, s:f, s:f}", "mean", stats_mean(x, n), "min", low, "max", high);
}

// ---- one model by itself ----

static bool of_references(const struct table *t) {
  return t->base->model->config.task == ARCH_SEQ2SEQ;
}

static const char *nothing_scored(const struct table *t) {
  return of_references(t) ? "the data has no references" : "no text has a token that follows another";
}

// Of all tokens together; beside it the mean over texts of each text's own, which short texts dominate.
static int fill_perplexity(struct table *t, json_t *model) {
  double tokens = total(t->x[SCORED], t->rows), *own = t->x[PICK];
  size_t texts = 0;
  if (!(tokens > 0)) return record_set_null(model, "perplexity", "%s", nothing_scored(t));
  for (size_t i = 0; i < t->rows; i++)
    if (t->x[SCORED][i] > 0) own[texts++] = exp(t->x[NLL][i] / t->x[SCORED][i]);
  json_t *json = bounded(t, t->x[NLL], t->x[SCORED], t->rows, exp);
  int bad = json_object_set_new(json, "tokens", json_integer((json_int_t)tokens));
  bad |= json_object_set_new(json, "of", json_string(of_references(t) ? "references" : "texts"));
  bad |= json_object_set_new(json, "texts", json_integer((json_int_t)texts));
  bad |= json_object_set_new(json, "mean", json_real(stats_mean(own, texts)));
  bad |= json_object_set_new(json, "std", json_real(stats_std(own, texts)));
  return bad | json_object_set_new(model, "perplexity", json);
}

static int fill_rouge(struct table *t, json_t *model) {
  size_t n = t->c->data->references;
  if (!n) {
    int bad = record_set_null(model, "rouge", "the data has no references");
    return bad | record_set_null(model, "length_ratio", "the data has no references");
  }
  json_t *rouge = json_object();
  for (size_t k = 0; k < ROUGE_KINDS; k++) {
    double *f1 = t->rouge[k][0][2];
    json_t *row = bounded(t, f1, NULL, n, itself);
    json_object_set_new(row, "precision", json_real(stats_mean(t->rouge[k][0][0], n)));
    json_object_set_new(row, "recall", json_real(stats_mean(t->rouge[k][0][1], n)));
    json_object_set_new(rouge, rouge_names[k], row);
  }
  int bad = json_object_set_new(rouge, "n", json_integer((json_int_t)n));
  size_t at = 0;
  for (size_t i = 0; i < t->rows; i++)
    if (t->c->data->rows[i].reference) t->x[PICK][at++] = t->x[LENGTH][i];
  bad |= set_ratio(t, model, "length_ratio", t->x[PICK], t->x[REFERENCE_LENGTH], n, "the references are empty");
  return bad | json_object_set_new(model, "rouge", rouge);
}

static int fill_generated(const struct table *t, json_t *model) {
  size_t tokens = 0, chunks = (t->rows + 31) / 32, finish[3] = {0};
  double seconds = total(t->s->chunk_seconds, chunks), ms = 0;
  for (size_t i = 0; i < t->rows; i++) {
    tokens += t->s->texts.answer[i].count;
    finish[t->s->texts.answer[i].finish]++;
  }
  json_t *json = json_pack("{s:I, s:f, s:{s:I, s:I, s:I}}", "tokens", (json_int_t)tokens, "tokens_per_s",
                           seconds > 0 ? (double)tokens / seconds : 0.0, "finish_reason", "length",
                           (json_int_t)finish[PARE_FINISH_LENGTH], "eos", (json_int_t)finish[PARE_FINISH_EOS], "stop",
                           (json_int_t)finish[PARE_FINISH_STOP]);
  if (!json) return -1;
  for (size_t i = 0; t->s->latency_ms && i < t->c->iterations; i++) ms += t->s->latency_ms[i];
  int bad = t->s->latency_tokens
                ? json_object_set_new(json, "ms_per_token", json_real(ms / (double)t->s->latency_tokens))
                : record_set_null(json, "ms_per_token", "no latency runs");
  return bad | json_object_set_new(model, "generated", json);
}

// ---- against the original ----

static json_t *divergence_json(struct table *t) {
  double *x = t->x[PICK];
  size_t n = 0;
  for (size_t i = 0; i < t->rows; i++)
    if (isfinite(t->x[DIVERGENCE][i])) x[n++] = t->x[DIVERGENCE][i];
  if (!n) return NULL;
  stats_sort(x, n);
  return json_pack("{s:f, s:f, s:I}", "mean", stats_mean(x, n), "median", stats_median_sorted(x, n), "n",
                   (json_int_t)n);
}

static size_t identical(const struct table *t) {
  size_t count = 0;
  for (size_t i = 0; i < t->rows; i++) count += !isfinite(t->x[DIVERGENCE][i]) && t->x[CHAR][i] >= 1;
  return count;
}

static int fill_similarity(struct table *t, json_t *model) {
  size_t same = identical(t);
  json_t *exact = fill_value((double)same / (double)t->rows, stats_wilson(same, t->rows, 0.95));
  json_object_set_new(exact, "count", json_integer((json_int_t)same));
  json_object_set_new(exact, "n", json_integer((json_int_t)t->rows));
  json_t *json = json_pack("{s:o, s:o, s:o}", "char", spread_json(t->x[CHAR], t->rows), "token_jaccard",
                           spread_json(t->x[JACCARD], t->rows), "exact", exact);
  if (!json) return -1;
  json_t *divergence = divergence_json(t);
  int bad = divergence ? json_object_set_new(json, "first_divergence", divergence)
                       : record_set_null(json, "first_divergence", "every answer is the original's, token by token");
  const json_t *forced = record_get(model, "against_base.same_top");
  bad |= forced ? json_object_set_new(json, "teacher_forced", json_deep_copy(forced))
                : record_set_null(json, "teacher_forced", "%s", record_reason(model, "against_base.same_top"));
  double value;
  if (record_number(model, "perplexity.value", &value)) {
    bad |= json_object_set_new(json, "perplexity", json_real(value));
  } else {
    bad |= record_set_null(json, "perplexity", "%s", record_reason(model, "perplexity"));
  }
  return bad | json_object_set_new(model, "similarity", json);
}

static int fill_forced(struct table *t, json_t *against) {
  double *forced = t->x[PICK_2];
  size_t positions = 0;
  for (size_t i = 0; i < t->rows; i++) {
    forced[i] = (double)t->c->texts.forced[i];
    positions += t->c->texts.forced[i];
  }
  static const char without[] = "the original's answers have no token";
  if (!positions) return record_set_null(against, "same_top", without) | record_set_null(against, "kl_mean", without);
  int bad = set_ratio(t, against, "same_top", t->s->texts.same_top, forced, t->rows, without);
  bad |= json_object_set_new(json_object_get(against, "same_top"), "n", json_integer((json_int_t)positions));
  bad |= json_object_set_new(against, "kl_mean", json_real(total(t->s->texts.kl, t->rows) / (double)positions));
  return bad | set_interval(t, against, "kl_mean_ci95", t->s->texts.kl, forced, t->rows, itself);
}

static int fill_quality_delta(struct table *t, json_t *against) {
  size_t n = t->c->data->references;
  int bad =
      set_ratio(t, against, "len_ratio", t->x[LENGTH], t->x[BASE_LENGTH], t->rows, "the original's answers are empty");
  double *nll = t->x[PICK], tokens = total(t->x[SCORED], t->rows);
  for (size_t i = 0; i < t->rows; i++) nll[i] = t->s->texts.nll[i] - t->base->texts.nll[i];
  bad |= tokens > 0 ? json_object_set_new(against, "perplexity_ratio", bounded(t, nll, t->x[SCORED], t->rows, exp))
                    : record_set_null(against, "perplexity_ratio", "%s", nothing_scored(t));
  if (!n) {
    bad |= record_set_null(against, "rouge_delta", "the data has no references");
    return bad | record_set_null(against, "rougeL_rel", "the data has no references");
  }
  json_t *delta = json_object();
  for (size_t k = 0; k < ROUGE_KINDS; k++) {
    for (size_t i = 0; i < n; i++) t->x[PICK][i] = t->rouge[k][0][2][i] - t->rouge[k][1][2][i];
    bad |= set_ratio(t, delta, rouge_names[k], t->x[PICK], NULL, n, "");
  }
  bad |= json_object_set_new(against, "rouge_delta", delta);
  return bad | set_ratio(t, against, "rougeL_rel", t->rouge[ROUGE_L][0][2], t->rouge[ROUGE_L][1][2], n,
                         "the original's ROUGE-L is 0");
}

static int fill_against(struct table *t, json_t *model) {
  static const char *const classified[] = {
      "accuracy_delta",     "relative_accuracy",    "flips", "mcnemar_p", "f1_macro_delta",
      "per_class_f1_delta", "confidence_delta_mean"};
  json_t *against = json_object();
  int bad = json_object_set_new(model, "against_base", against);
  bad |= json_object_set_new(against, "n", json_integer((json_int_t)t->rows));
  bad |= json_object_set_new(against, "identical_rate", json_real((double)identical(t) / (double)t->rows));
  bad |= record_set_null(against, "speedup", "no latency runs");
  for (size_t i = 0; i < sizeof classified / sizeof *classified; i++)
    bad |= record_set_null(against, classified[i], "the model writes text: no answer is a class");
  return bad | fill_forced(t, against) | fill_quality_delta(t, against);
}

// ---- examples ----

static json_t *example_json(const struct table *t, size_t i) {
  const struct dataset_row *r = &t->c->data->rows[i];
  const struct pare_generation *own = &t->s->texts.answer[i], *base = &t->base->texts.answer[i];
  const char *kind = similarity_difference_name(similarity_difference(text_of(base), text_of(own)));
  json_t *json =
      json_pack("{s:I, s:I, s:o, s:o, s:o, s:f, s:s}", "row", (json_int_t)i, "line", (json_int_t)r->line, "text",
                compare_excerpt(r->text, r->len), "base", compare_excerpt(base->text, base->text_len), "candidate",
                compare_excerpt(own->text, own->text_len), "match", t->x[CHAR][i], "difference", kind);
  if (json && r->reference) json_object_set_new(json, "reference", compare_excerpt(r->reference, r->reference_len));
  return json;
}

// The first rows as they come, then those least like the original's answer.
static json_t *examples_json(const struct table *t) {
  json_t *rows = json_array();
  double *left = t->x[PICK];
  for (size_t i = 0; i < t->rows; i++) {
    left[i] = i < EXAMPLES_FIRST ? 1 : t->x[CHAR][i];
    if (i < EXAMPLES_FIRST) json_array_append_new(rows, example_json(t, i));
  }
  for (size_t k = 0; k < EXAMPLES_WORST; k++) {
    size_t worst = 0;
    for (size_t i = 1; i < t->rows; i++) worst = left[i] < left[worst] ? i : worst;
    if (left[worst] >= 1) break; // the rest is the original's
    json_array_append_new(rows, example_json(t, worst));
    left[worst] = 1;
  }
  return rows;
}

// ---- the whole ----

enum pare_status texts_fields(const struct comparison *c, const struct eval_subject *s, json_t *model,
                              struct pare_error *err) {
  static const char *const classified[] = {"accuracy",  "precision_macro", "recall_macro", "f1_macro", "per_class",
                                           "confusion", "confidence",      "nll",          "brier",    "ece"};
  struct table t = {.c = c, .s = s, .base = &c->subjects[0], .rows = c->data->count};
  enum pare_status status = fill_table(&t, err);
  if (status == PARE_OK) {
    int bad = 0;
    for (size_t i = 0; i < sizeof classified / sizeof *classified; i++)
      bad |= record_set_null(model, classified[i], "the model writes text: no answer is a class");
    bad |= fill_perplexity(&t, model) | fill_rouge(&t, model) | fill_generated(&t, model);
    // fill_similarity follows fill_against: what both show is computed once.
    if (s == t.base) {
      bad |= record_set_null(model, "similarity", "this is the original");
    } else {
      bad |= fill_against(&t, model) | fill_similarity(&t, model);
      bad |= json_object_set_new(model, "examples", examples_json(&t));
    }
    if (bad) status = error_no_memory(err);
  }
  free(t.block);
  return status;
}
