// report_recompute.c - a record against its raw outcomes, recomputed by naive formulas that share nothing with
// src/eval. With PARE_RECORD and PARE_SAMPLES set (compare's JSON and its raw samples), that pair is checked; else a
// made-up one, and made-up wrong ones, which must be found.
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "unit/report_synth.h"

// Raw samples of one model, in row order.
struct raw {
  size_t n, classes, runs;
  long *row;
  int *label, *prediction;
  double *scores, *logits; // (n, classes); logits NULL when a row has none
  double *ms;
};

static char complaint[256]; // the first disagreement

static void expect(const json_t *model, const char *path, double expected) {
  double found;
  if (complaint[0] || !record_number(model, path, &found)) return;
  if (!(fabs(found - expected) <= 1e-6 * fmax(1, fabs(expected)))) {
    snprintf(complaint, sizeof complaint, "%.60s %.60s: record %.12g, recomputed %.12g", record_model_name(model), path,
             found, expected);
  }
}

static size_t count(const struct raw *a, int label, int prediction) { // -1: any
  size_t n = 0;
  for (size_t i = 0; i < a->n; i++) {
    n += a->label[i] >= 0 && (label < 0 || a->label[i] == label) && (prediction < 0 || a->prediction[i] == prediction);
  }
  return n;
}

static void check_classes(const json_t *model, const struct raw *a) {
  double right = 0, p_sum = 0, r_sum = 0, f_sum = 0, n = (double)count(a, -1, -1), K = (double)a->classes;
  if (n == 0) return;
  for (int k = 0; k < (int)a->classes; k++) {
    double hits = (double)count(a, k, k), support = (double)count(a, k, -1), said = (double)count(a, -1, k);
    double p = said > 0 ? hits / said : 0, r = support > 0 ? hits / support : 0, f = hits > 0 ? 2 / (1 / p + 1 / r) : 0;
    char path[48];
    snprintf(path, sizeof path, "per_class.%d.precision", k), expect(model, path, p);
    snprintf(path, sizeof path, "per_class.%d.recall", k), expect(model, path, r);
    snprintf(path, sizeof path, "per_class.%d.f1", k), expect(model, path, f);
    snprintf(path, sizeof path, "per_class.%d.support", k), expect(model, path, support);
    for (int j = 0; j < (int)a->classes; j++) {
      snprintf(path, sizeof path, "confusion.%d.%d", k, j), expect(model, path, (double)count(a, k, j));
    }
    right += hits, p_sum += p, r_sum += r, f_sum += f;
  }
  expect(model, "accuracy.correct", right);
  expect(model, "accuracy.value", right / n);
  expect(model, "precision_macro", p_sum / K);
  expect(model, "recall_macro", r_sum / K);
  expect(model, "f1_macro", f_sum / K);
  // Wilson: the roots of (p - x)^2 = z^2 x (1 - x) / n
  double z2 = 3.841458820694124, p = right / n, A = 1 + z2 / n, B = -(2 * p + z2 / n), C = p * p,
         D = sqrt(B * B - 4 * A * C);
  expect(model, "accuracy.ci95.0", (-B - D) / (2 * A));
  expect(model, "accuracy.ci95.1", (-B + D) / (2 * A));
}

static double confidence(const struct raw *a, size_t i) {
  return a->scores[i * a->classes + (size_t)a->prediction[i]];
}

static void check_scores(const json_t *model, const struct raw *a) {
  double mean = 0, nll = 0, brier = 0, low = 2, high = -1, n = (double)count(a, -1, -1);
  for (size_t i = 0; i < a->n; i++) {
    double c = confidence(a, i);
    mean += c / (double)a->n;
    low = c < low ? c : low;
    high = c > high ? c : high;
    if (a->label[i] < 0) continue;
    nll -= log(fmax(DBL_EPSILON, a->scores[i * a->classes + (size_t)a->label[i]])) / n;
    for (size_t k = 0; k < a->classes; k++) {
      brier += pow(a->scores[i * a->classes + k] - (a->label[i] == (int)k ? 1 : 0), 2) / n;
    }
  }
  expect(model, "confidence.mean", mean);
  expect(model, "confidence.min", low);
  expect(model, "confidence.max", high);
  if (n > 0) {
    expect(model, "nll", nll);
    expect(model, "brier", brier);
  }
}

// Pascal's triangle, one row at a time: b + c is small here.
static double mcnemar(size_t b, size_t c) {
  size_t n = b + c, k = b > c ? b : c;
  double *row = calloc(n + 2, sizeof *row), tail = 0;
  row[0] = 1;
  for (size_t i = 1; i <= n; i++) {
    for (size_t j = i; j > 0; j--) row[j] = (row[j] + row[j - 1]) / 2;
    row[0] /= 2;
  }
  for (size_t j = k; j <= n; j++) tail += row[j];
  free(row);
  return fmin(1, 2 * tail);
}

static double kl(const double *a, const double *b, size_t n) {
  double za = 0, zb = 0, sum = 0;
  for (size_t k = 0; k < n; k++) za += exp(a[k]), zb += exp(b[k]);
  for (size_t k = 0; k < n; k++) sum += exp(a[k]) / za * log(exp(a[k]) / za / (exp(b[k]) / zb));
  return sum;
}

static void check_pairs(const json_t *model, const struct raw *base, const struct raw *a) {
  size_t lost = 0, won = 0, other = 0, same = 0;
  double shift = 0, kl_mean = 0, n = (double)count(a, -1, -1);
  for (size_t i = 0; i < a->n; i++) {
    bool was = base->prediction[i] == a->label[i], is = a->prediction[i] == a->label[i];
    bool changed = base->prediction[i] != a->prediction[i];
    same += !changed;
    if (a->label[i] >= 0) lost += was && !is, won += is && !was, other += changed && !was && !is;
    shift += (confidence(a, i) - confidence(base, i)) / (double)a->n;
    if (a->logits && base->logits)
      kl_mean += kl(base->logits + i * a->classes, a->logits + i * a->classes, a->classes) / (double)a->n;
  }
  expect(model, "against_base.identical_rate", (double)same / (double)a->n);
  expect(model, "against_base.confidence_delta_mean", shift);
  if (a->logits && base->logits) expect(model, "against_base.kl_mean", kl_mean);
  if (n == 0) return;
  expect(model, "against_base.flips.right_to_wrong", (double)lost);
  expect(model, "against_base.flips.wrong_to_right", (double)won);
  expect(model, "against_base.flips.wrong_to_other_wrong", (double)other);
  expect(model, "against_base.accuracy_delta.value", ((double)won - (double)lost) / n);
  expect(model, "against_base.mcnemar_p", mcnemar(lost, won));
}

// The k-th smallest by counting, O(n^2): no sort to share a fault with.
static double ranked(const double *x, size_t n, size_t k) {
  for (size_t i = 0; i < n; i++) {
    size_t below = 0, equal = 0;
    for (size_t j = 0; j < n; j++) below += x[j] < x[i], equal += x[j] == x[i];
    if (below <= k && k < below + equal) return x[i];
  }
  return NAN;
}

static double quantile(const double *x, size_t n, double p) {
  double at = p * (double)(n - 1), whole = floor(at);
  double a = ranked(x, n, (size_t)whole), b = whole + 1 < (double)n ? ranked(x, n, (size_t)whole + 1) : a;
  return a * (1 - (at - whole)) + b * (at - whole);
}

static void check_latency(const json_t *model, const struct raw *base, const struct raw *a) {
  double sum = 0, squares = 0, n = (double)a->runs, x;
  if (a->runs < 2) return;
  for (size_t i = 0; i < a->runs; i++) sum += a->ms[i];
  for (size_t i = 0; i < a->runs; i++) squares += pow(a->ms[i] - sum / n, 2);
  expect(model, "latency_ms.n", n);
  expect(model, "latency_ms.mean", sum / n);
  expect(model, "latency_ms.std", sqrt(squares / (n - 1)));
  expect(model, "latency_ms.min", ranked(a->ms, a->runs, 0));
  expect(model, "latency_ms.median", quantile(a->ms, a->runs, 0.5));
  expect(model, "latency_ms.p90", quantile(a->ms, a->runs, 0.9));
  expect(model, "latency_ms.p95", quantile(a->ms, a->runs, 0.95));
  expect(model, "latency_ms.p99", quantile(a->ms, a->runs, 0.99));
  expect(model, "latency_ms.max", ranked(a->ms, a->runs, a->runs - 1));
  if (base->runs > 1)
    expect(model, "against_base.speedup.value", quantile(base->ms, base->runs, 0.5) / quantile(a->ms, a->runs, 0.5));
  if (!complaint[0] && a->runs < 299 && record_number(model, "latency_ms.p99", &x)) {
    snprintf(complaint, sizeof complaint, "%.60s: p99 from %zu runs", record_model_name(model), a->runs);
  }
}

static void check_all(const json_t *record, const struct raw *raws) {
  complaint[0] = 0;
  for (size_t m = 0; m < record_model_count(record); m++) {
    const json_t *model = record_model(record, m);
    if (raws[m].n) check_classes(model, &raws[m]), check_scores(model, &raws[m]);
    if (m && raws[m].n && raws[m].n == raws[0].n) check_pairs(model, &raws[0], &raws[m]);
    check_latency(model, &raws[0], &raws[m]);
  }
}

// ---- a made-up pair
// ----------------------------------------------------------------------------------------------------------

static void raws_from_synth(const struct synth *s, struct raw *raws) {
  for (size_t m = 0; m < s->models; m++) {
    struct raw *a = &raws[m];
    size_t cells = s->n * s->classes;
    *a =
        (struct raw){.n = s->n, .classes = s->classes, .runs = s->runs, .prediction = s->prediction[m], .ms = s->ms[m]};
    a->label = calloc(s->n, sizeof *a->label);
    a->scores = calloc(cells, sizeof *a->scores);
    a->logits = calloc(cells, sizeof *a->logits);
    for (size_t i = 0; i < s->n; i++) a->label[i] = s->unlabelled ? -1 : s->label[i];
    for (size_t i = 0; i < cells; i++) a->scores[i] = s->scores[m][i], a->logits[i] = s->logits[m][i];
  }
}

static void synthetic(void **state) {
  (void)state;
  struct synth cases[] = {
      {.n = 150, .classes = 4, .models = 4, .runs = 300, .seed = 11, .noise = 0.3},
      {.n = 61, .classes = 7, .models = 3, .runs = 70, .seed = 12, .noise = 0.2},
      {.n = 40, .classes = 3, .models = 2, .runs = 20, .seed = 13, .noise = 0.5, .unlabelled = true}};
  for (size_t c = 0; c < 3; c++) {
    struct synth *s = &cases[c];
    struct raw raws[SYNTH_MODELS_MAX];
    synth_make(s);
    if (!s->unlabelled) s->label[3] = -1; // a row without a label
    raws_from_synth(s, raws);
    json_t *record = synth_record(s);
    assert_non_null(record);
    check_all(record, raws);
    if (complaint[0]) fail_msg("%s", complaint);
    // One wrong prediction, score, logit or time must show.
    int kept = raws[1].prediction[0];
    raws[1].prediction[0] = (kept + 1) % (int)s->classes;
    check_all(record, raws);
    assert_true(complaint[0] != 0);
    raws[1].prediction[0] = kept;
    raws[1].logits[0] += 8; // of one item among many
    check_all(record, raws);
    assert_true(complaint[0] != 0);
    raws[1].logits[0] -= 8;
    raws[1].ms[0] *= 1.5;
    check_all(record, raws);
    assert_true(complaint[0] != 0);
    raws[1].ms[0] /= 1.5;
    json_decref(record);
    for (size_t m = 0; m < s->models; m++) free(raws[m].label), free(raws[m].scores), free(raws[m].logits);
    synth_free(s);
  }
}

// ---- a pair from files
// -------------------------------------------------------------------------------------------------------

static int index_of(const json_t *labels, const json_t *name) {
  if (json_is_integer(name)) return (int)json_integer_value(name);
  for (size_t k = 0; k < json_array_size(labels); k++) {
    if (json_is_string(name) && strcmp(json_string_value(json_array_get(labels, k)), json_string_value(name)) == 0)
      return (int)k;
  }
  return -1;
}

static void *grown(void *p, size_t bytes) {
  p = realloc(p, bytes);
  assert_non_null(p);
  return p;
}

static void add_line(const json_t *line, const json_t *labels, struct raw *a) {
  double ms;
  if (record_number(line, "latency_ms", &ms)) {
    a->ms = grown(a->ms, (a->runs + 1) * sizeof *a->ms);
    a->ms[a->runs++] = ms;
    return;
  }
  const json_t *scores = json_object_get(line, "scores"), *logits = json_object_get(line, "logits");
  size_t i = a->n++, K = a->classes = json_array_size(scores);
  a->row = grown(a->row, a->n * sizeof *a->row);
  a->label = grown(a->label, a->n * sizeof *a->label);
  a->prediction = grown(a->prediction, a->n * sizeof *a->prediction);
  a->scores = grown(a->scores, a->n * K * sizeof *a->scores);
  if (json_array_size(logits) == K) a->logits = grown(a->logits, a->n * K * sizeof *a->logits);
  a->row[i] = (long)json_integer_value(json_object_get(line, "row"));
  a->label[i] = index_of(labels, json_object_get(line, "label"));
  a->prediction[i] = index_of(labels, json_object_get(line, "prediction"));
  assert_in_range(a->prediction[i], 0, K - 1);
  for (size_t k = 0; k < K; k++) {
    a->scores[i * K + k] = json_number_value(json_array_get(scores, k));
    if (json_array_size(logits) == K) a->logits[i * K + k] = json_number_value(json_array_get(logits, k));
  }
}

static void from_files(void **state) {
  (void)state;
  const char *record_path = getenv("PARE_RECORD"), *samples_path = getenv("PARE_SAMPLES");
  if (!record_path || !samples_path) skip();
  json_t *record = json_load_file(record_path, 0, NULL);
  FILE *file = fopen(samples_path, "r");
  assert_non_null(record);
  assert_non_null(file);
  struct raw raws[SYNTH_MODELS_MAX] = {{0}};
  char *text = NULL;
  size_t cap = 0;
  while (getline(&text, &cap, file) > 0) {
    json_t *line = json_loads(text, 0, NULL);
    const char *name = record_string(line, "model");
    assert_non_null(name);
    size_t m = record_find_model(record, name);
    assert_true(m < record_model_count(record) && m < SYNTH_MODELS_MAX);
    add_line(line, record_get(record, "labels"), &raws[m]);
    json_decref(line);
  }
  for (size_t m = 1; m < record_model_count(record); m++) {
    assert_int_equal(raws[m].n, raws[0].n);
    for (size_t i = 0; i < raws[m].n; i++) assert_int_equal(raws[m].row[i], raws[0].row[i]);
  }
  check_all(record, raws);
  if (complaint[0]) fail_msg("%s", complaint);
  for (size_t m = 0; m < SYNTH_MODELS_MAX; m++) {
    free(raws[m].row), free(raws[m].label), free(raws[m].prediction), free(raws[m].scores), free(raws[m].logits),
        free(raws[m].ms);
  }
  free(text);
  fclose(file);
  json_decref(record);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(synthetic), cmocka_unit_test(from_files)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
