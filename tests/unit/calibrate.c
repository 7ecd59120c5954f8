// calibrate.c - ranges of inputs: the histogram against sorting, what a calibrated directory holds, what its record and
// provenance say, and what is refused.
#include "quantize_files.h"

#include "base/rng.h"
#include "model/session.h"
#include "quant/histogram.h"

static pare_engine engine;
static const uint32_t ids[] = {1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41};

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL);
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

// Edges lie within a bin of the exact order statistics, and what they leave out is counted exactly.
static void the_histogram_finds_percentiles(void **state) {
  (void)state;
  enum { N = 20000 };
  float *x = malloc(N * sizeof *x);
  struct rng r;
  rng_seed(&r, 3);
  static const double scales[] = {1e-6, 1, 3e4};
  for (size_t c = 0; c < 3; c++) {
    struct histogram *h = calloc(1, sizeof *h);
    for (size_t i = 0; i < N; i++) x[i] = (float)(scales[c] * ((double)rng_normal(&r) + (i % 100 == 0 ? 30 : 0.5)));
    for (size_t i = 0; i < N; i += 1000) histogram_add(h, x + i, 1000);
    qsort(x, N, sizeof *x, by_value);
    assert_true(h->total == N && (double)x[N - 1] < HISTOGRAM_BINS / 2 * h->width);
    assert_true((double)x[N - 1] >= HISTOGRAM_BINS / 4 * h->width); // no wider than it had to be
    static const double cuts[] = {0, 0.0005, 0.01, 0.2};
    for (size_t k = 0; k < 4; k++) {
      double lo, hi;
      histogram_range(h, cuts[k], &lo, &hi);
      size_t cut = (size_t)(cuts[k] * N), outside = 0;
      assert_true(lo <= (double)x[cut] && lo > (double)x[cut] - h->width);
      assert_true(hi > (double)x[N - 1 - cut] && hi <= (double)x[N - 1 - cut] + h->width);
      for (size_t i = 0; i < N; i++) outside += (double)x[i] < lo || (double)x[i] >= hi;
      assert_true(outside <= 2 * cut);
      assert_int_equal(histogram_outside(h, lo, hi), outside);
    }
    free(h);
  }
  free(x);
}

// The same counts whatever the order: small first, or large first.
static void the_order_of_values_does_not_count(void **state) {
  (void)state;
  float x[500], reversed[500];
  struct histogram *a = calloc(1, sizeof *a), *b = calloc(1, sizeof *b);
  for (int i = 0; i < 500; i++) x[i] = reversed[499 - i] = (i % 2 ? -1.0f : 1.0f) * powf(1.05f, (float)i) * 1e-7f;
  histogram_add(a, x, 500);
  histogram_add(b, reversed, 500);
  assert_memory_equal(a, b, sizeof *a);
  free(a);
  free(b);
}

static json_t *run(struct model_files *f, const struct pare_quantize_options *options, enum pare_status expected,
                   const struct pare_sequence *sequences, size_t count, const char *needle) {
  struct pare_error err = {0};
  json_t *record = NULL;
  char *out = path_join(f->dir.temp, "out");
  struct calibration_texts texts = {.count = count, .sequences = sequences, .path = "a/few.txt", .sha256 = "0123"};
  files_write(f);
  struct quantize_job job = {&engine, f->dir.temp, out, options, &writer_hf, sequences ? &texts : NULL};
  enum pare_status s = quantize_write(&job, &record, &err);
  if (s != expected) fail_msg("expected status %d, found %d: %s", expected, s, err.text);
  if (needle && !strstr(err.text, needle)) fail_msg("the message does not hold \"%s\": %s", needle, err.text);
  if (s) assert_false(file_is_dir(out));
  free(out);
  return record;
}

static double input_scale(struct model_files *f, const char *module, int *zero) {
  struct tensors t;
  struct pare_error err = {0};
  char *out = path_join(f->dir.temp, "out"), name[200];
  must(tensors_open(out, &t, &err), &err);
  snprintf(name, sizeof name, "%.150s.input_scale", module);
  const struct tensor *scale = tensors_find(&t, name);
  snprintf(name, sizeof name, "%.150s.input_zero_point", module);
  const struct tensor *point = tensors_find(&t, name);
  assert_true(scale && point && scale->dtype == DTYPE_F32 && point->dtype == DTYPE_I8 && point->bytes == 1);
  float x;
  memcpy(&x, scale->data, sizeof x);
  *zero = *(const int8_t *)point->data;
  tensors_close(&t);
  free(out);
  return (double)x;
}

// The first layer's input is the embedding's norm: its extremes can be had without calibrating.
static void extremes_become_scale_and_zero_point(void **state) {
  (void)state;
  struct model_files *f = files_open("models/distilbert");
  struct pare_quantize_options options = {.scheme = "int8-static"};
  struct pare_sequence q[] = {{.ids = ids, .len = 14}, {.ids = ids + 5, .len = 3}};
  json_t *record = run(f, &options, PARE_OK, q, 2, NULL);
  const json_t *c = json_object_get(record, "calibration"), *tensors = json_object_get(record, "tensors");
  assert_string_equal(json_string_value(json_object_get(c, "file")), "few.txt");
  assert_string_equal(json_string_value(json_object_get(c, "method")), "minmax");
  assert_true(json_integer_value(json_object_get(c, "rows")) == 2 &&
              json_integer_value(json_object_get(c, "tokens")) == 17);
  assert_true(json_real_value(json_object_get(c, "clipped")) == 0);
  size_t calibrated = 0, tables = 0;
  for (size_t i = 0; i < json_array_size(tensors); i++) {
    const json_t *row = json_array_get(tensors, i), *range = json_object_get(row, "input_range");
    const char *encoding = json_string_value(json_object_get(row, "encoding"));
    bool is_static = strcmp(encoding, "int8-static") == 0;
    assert_true(is_static == (range != NULL));
    calibrated += is_static;
    tables += !is_static && strcmp(encoding, "int8") == 0; // only looked up: no input
    if (!range) continue;
    const char *name = json_string_value(json_object_get(row, "name"));
    char module[200];
    snprintf(module, sizeof module, "%.*s", (int)(strlen(name) - strlen(".weight")), name);
    int zero;
    double lo = json_real_value(json_array_get(range, 0)), hi = json_real_value(json_array_get(range, 1));
    double scale = input_scale(f, module, &zero);
    assert_true(lo <= 0 && hi >= 0 && fabs(scale - (hi - lo) / 255) <= 1e-6 * scale);
    assert_int_equal(zero, (int)rint(-lo / scale) - 128);
  }
  assert_true(calibrated >= 10 && tables == 2);
  json_decref(record);
  files_close(f);
}

static void percentiles_clip_and_say_so(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-lm");
  struct pare_quantize_options options = {
      .scheme = "int8-static", .calibrate = {.method = "percentile", .percentile = 90}, .even_if_larger = true};
  struct pare_sequence q[] = {{.ids = ids, .len = 14}};
  json_t *record = run(f, &options, PARE_OK, q, 1, NULL);
  const json_t *c = json_object_get(record, "calibration");
  double clipped = json_real_value(json_object_get(c, "clipped"));
  assert_true(clipped > 0.02 && clipped <= 0.1);
  assert_true(json_real_value(json_object_get(c, "percentile")) == 90);
  json_t *provenance = NULL;
  char *out = path_join(f->dir.temp, "out"), *file = path_join(out, "pare.json");
  must(json_file_load(file, &provenance, NULL), NULL);
  assert_true(json_equal(json_object_get(provenance, "calibration"), c));
  json_decref(provenance);
  free(file);
  free(out);
  json_decref(record);
  files_close(f);
}

static void what_cannot_be_calibrated_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  struct pare_quantize_options options = {.scheme = "int8-static"};
  struct pare_sequence q[] = {{.ids = ids, .len = 14}}, wrong[] = {{.ids = (const uint32_t[]){9999}, .len = 1}};
  run(f, &options, PARE_USAGE, NULL, 0, "needs texts");
  run(f, &options, PARE_DATA, q, 0, "no texts");
  run(f, &options, PARE_DATA, wrong, 1, "9999");
  options.scheme = "int8";
  run(f, &options, PARE_USAGE, q, 1, "does not calibrate");
  const char *keep = "query=int8-static"; // some tensors are enough
  options.keep = &keep;
  options.keep_count = 1;
  json_decref(run(f, &options, PARE_OK, q, 1, NULL));
  files_close(f);
  f = files_open("models/bert");
  options = (struct pare_quantize_options){.scheme = "int8-static"};
  float *weight = (float *)files_bytes(f, "bert.embeddings.LayerNorm.weight");
  weight[3] = INFINITY;
  run(f, &options, PARE_DATA, q, 1, "encoder.layer.0.attention.self.query.weight");
  files_close(f);
}

// Weights are pruned, tables are not; the record counts zeros, and does not promise anything for them.
static void pruning_is_recorded(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-cls");
  struct pare_quantize_options options = {.scheme = "f32+prune=0.40", .even_if_larger = true};
  json_t *record = run(f, &options, PARE_OK, NULL, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(record, "scheme")), "f32+prune=0.4");
  const json_t *p = json_object_get(record, "pruning"), *tensors = json_object_get(record, "tensors");
  assert_string_equal(json_string_value(json_object_get(p, "stored")), "dense");
  assert_true(fabs(json_real_value(json_object_get(p, "sparsity")) - 0.4) < 0.01);
  size_t pruned = 0;
  for (size_t i = 0; i < json_array_size(tensors); i++) {
    const json_t *row = json_array_get(tensors, i), *sparsity = json_object_get(row, "sparsity");
    bool table = strstr(json_string_value(json_object_get(row, "name")), "wte") ||
                 strstr(json_string_value(json_object_get(row, "name")), "wpe");
    assert_true(table == (sparsity == NULL));
    if (sparsity) assert_true(fabs(json_real_value(sparsity) - 0.4) < 0.02);
    pruned += sparsity != NULL;
  }
  assert_true(pruned >= 5);
  assert_int_equal(json_integer_value(json_object_get(record, "bytes_after")),
                   json_integer_value(json_object_get(record, "bytes_before")));
  json_decref(record);
  files_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_histogram_finds_percentiles),      cmocka_unit_test(the_order_of_values_does_not_count),
      cmocka_unit_test(extremes_become_scale_and_zero_point), cmocka_unit_test(percentiles_clip_and_say_so),
      cmocka_unit_test(what_cannot_be_calibrated_is_refused), cmocka_unit_test(pruning_is_recorded)};
  return cmocka_run_group_tests(tests, setup, NULL);
}
