// quantize.c - what is written is what the formulas say, the same bytes every time, whole or not at all.
// (NF4's bytes are compared with bitsandbytes' in golden/quantized.c; which tensor gets which scheme is in
// quantize_plan.c.)
#include "quantize_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "quant/scheme.h"

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

// ---- values: the formulas of the documentation, written again ----

struct source_matrix {
  size_t N, K;
  double *w; // (N, K)
};

static void count_weight(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  (void)w;
  ++*(size_t *)context;
}

// The source's own floats, read from its bytes: F32 or F16 here.
static double float_at(const struct tensor *t, size_t i) {
  if (t->dtype == DTYPE_F32) {
    float x;
    memcpy(&x, t->data + 4 * i, 4);
    return (double)x;
  }
  uint16_t h;
  memcpy(&h, t->data + 2 * i, 2);
  double m = h & 1023, e = h >> 10 & 31, sign = h >> 15 ? -1 : 1;
  return sign * (e > 0 ? ldexp(m + 1024, (int)e - 25) : ldexp(m, -24));
}

// Nearest value with `bits` of mantissa and exponents from `least` up; ties to even.
static double nearest(double x, int bits, int least) {
  int e;
  frexp(x, &e); // |x| in [2^(e - 1), 2^e)
  double unit = ldexp(1, (e - 1 > least ? e - 1 : least) - bits);
  return nearbyint(x / unit) * unit;
}

static double largest(const double *w, size_t n) {
  double m = 0;
  for (size_t i = 0; i < n; i++) m = fmax(m, fabs(w[i]));
  return m;
}

// q * scale in f32, as an encoding's doc states: scale = max |w| / limit, q = round(w / scale).
static float integer_value(double w, double max, float limit) {
  float scale = (float)max / limit;
  if (!(scale > 0)) scale = 1;
  return nearbyintf((float)w / scale) * scale;
}

static float int4_value(double w, double max) {
  float scale = (float)max / 7.5f;
  if (!(scale > 0)) scale = 0x1p-23f;
  return nearbyintf(fminf(fmaxf((float)w / scale, -8), 7)) * scale;
}

static float formula(const char *scheme, const struct source_matrix *s, size_t n, size_t k) {
  double w = s->w[n * s->K + k];
  if (!strcmp(scheme, "f32")) return (float)w;
  if (!strcmp(scheme, "f16")) return (float)nearest(w, 10, -14);
  if (!strcmp(scheme, "bf16")) return (float)nearest(w, 7, -126);
  if (!strcmp(scheme, "int8-tensor")) return integer_value(w, largest(s->w, s->N * s->K), 127);
  size_t first = k / 128 * 128, left = s->K - first;
  if (!strcmp(scheme, "int4")) return int4_value(w, largest(s->w + n * s->K + first, left < 128 ? left : 128));
  return integer_value(w, largest(s->w + n * s->K, s->K), strcmp(scheme, "int16") ? 127 : 32767);
}

struct check {
  const char *scheme;
  struct model_files *source;
  size_t matrices, vectors;
};

static void check_weight(void *context, const struct arch_row *row, const struct weight *w) {
  struct check *c = context;
  const struct tensor *t = files_find(c->source, w->name);
  bool vector = row->k == D_NONE;
  struct source_matrix s = {vector ? 1 : w->N, vector ? w->N : w->K, NULL};
  s.w = malloc(s.N * s.K * sizeof *s.w);
  for (size_t n = 0; n < s.N; n++)
    for (size_t k = 0; k < s.K; k++)
      s.w[n * s.K + k] = float_at(t, row->role == ROLE_CONV1D ? k * s.N + n : n * s.K + k);
  // A cast casts everything; otherwise norms and biases stay as they are.
  bool cast = strchr("fb", c->scheme[0]) != NULL;
  const char *scheme = vector && !cast ? "f32" : c->scheme;
  if (vector && !cast) assert_string_equal(w->stored.encoding->name, t->dtype == DTYPE_F32 ? "f32" : "f16");
  if (!vector) assert_string_equal(w->stored.encoding->name, c->scheme);
  float *row_values = malloc(s.K * sizeof *row_values);
  for (size_t n = 0; n < s.N; n++) {
    stored_row(engine.kernels, &w->stored, n, row_values);
    for (size_t k = 0; k < s.K; k++)
      if (row_values[k] != formula(scheme, &s, n, k))
        fail_msg("%s: %s: (%zu, %zu) is %.9g, the formula gives %.9g", c->scheme, w->name, n, k, (double)row_values[k],
                 (double)formula(scheme, &s, n, k));
  }
  free(row_values);
  free(s.w);
  *(vector ? &c->vectors : &c->matrices) += 1;
}

static void stored_values_follow_the_formulas(void **state) {
  (void)state;
  static const char *const goldens[] = {"models/gpt2-cls", "models/gpt2-lm-sharded", "models/bert",
                                        "models/distilbert"};
  static const char *const schemes[] = {"f32", "f16", "bf16", "int16", "int8", "int8-tensor", "int4"};
  for (size_t g = 0; g < 4; g++) {
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
      struct model_files *f = files_open(goldens[g]);
      json_t *record =
          quantize_into(&engine, f, &(struct pare_quantize_options){.scheme = schemes[i], .even_if_larger = true});
      char *out = path_join(f->dir.temp, "out");
      pare_model *m;
      struct pare_error err = {0};
      must(model_open(&engine, out, &m, &err), &err);
      assert_string_equal(m->scheme, schemes[i]);
      struct check c = {.scheme = schemes[i], .source = f};
      model_each_weight(m, check_weight, &c);
      size_t weights = 0;
      model_each_weight(m, count_weight, &weights);
      assert_int_equal(c.matrices + c.vectors, weights);
      assert_int_equal(m->tensors.file_bytes, json_integer_value(json_object_get(record, "bytes_after")));
      assert_int_equal(c.matrices, json_array_size(json_object_get(record, "tensors")));
      model_close(m);
      json_decref(record);
      free(out);
      files_close(f);
    }
  }
}

// ---- the same bytes ----

static void same_files(const char *what, const char *a, const char *b) {
  static const char *const names[] = {"model.safetensors", "config.json", "pare.json"};
  for (size_t i = 0; i < 3; i++) {
    char *x = path_join(a, names[i]), *y = path_join(b, names[i]), hash[2][65];
    must(file_sha256(x, hash[0], NULL), NULL);
    must(file_sha256(y, hash[1], NULL), NULL);
    if (strcmp(hash[0], hash[1]) != 0) fail_msg("%s: %s differs", what, names[i]);
    free(x);
    free(y);
  }
}

// Scalar with one thread against the best table with two, and once more. pare.json holds an answer, which bf16 dot
// products round their own way: there the same table is used.
static void check_same_bytes(const char *scheme) {
  pare_engine engines[3] = {{0}};
  struct pare_error err = {0};
  static const size_t threads[] = {1, 2, 1};
  struct model_files *f[3];
  char *out[3];
  for (size_t i = 0; i < 3; i++) {
    must(kernels_select(i || !strcmp(scheme, "bf16") ? NULL : "scalar", &engines[i].kernels, &err), &err);
    must(pool_open(threads[i], &engines[i].pool, &err), &err);
    f[i] = files_open("models/gpt2-cls");
    json_decref(quantize_into(
        &engines[i], f[i],
        &(struct pare_quantize_options){.scheme = scheme, .even_if_larger = true, .command = "pare quantize"}));
    out[i] = path_join(f[i]->dir.temp, "out");
  }
  same_files(scheme, out[0], out[1]);
  same_files(scheme, out[1], out[2]);
  for (size_t i = 0; i < 3; i++) {
    files_close(f[i]);
    free(out[i]);
    pool_close(engines[i].pool);
  }
}

static void the_same_command_gives_the_same_bytes(void **state) {
  (void)state;
  size_t count;
  const struct scheme *all = schemes_all(&count);
  for (size_t i = 0; i < count; i++)
    if (all[i].encoding) check_same_bytes(all[i].name);
}

// A golden in two shards gives the file that the same tensors in one file give.
static void a_sharded_source_is_quantized(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-lm-sharded");
  json_t *record = quantize_into(&engine, f, &(struct pare_quantize_options){.scheme = "int8"}), *sharded = NULL;
  char *source = golden_path("models/gpt2-lm-sharded"), *out = path_join(f->dir.temp, "sharded");
  struct pare_error err = {0};
  must(quantize_any(&engine, source, out, &(struct pare_quantize_options){.scheme = "int8"}, &sharded, &err), &err);
  assert_true(json_equal(json_object_get(record, "sha256"), json_object_get(sharded, "sha256")));
  assert_int_equal(json_integer_value(json_object_get(sharded, "bytes_before")), f->source.file_bytes);
  pare_model *m;
  must(model_open(&engine, out, &m, &err), &err);
  model_close(m);
  json_decref(record);
  json_decref(sharded);
  free(source);
  free(out);
  files_close(f);
}

// ---- what a source may not hold ----

static void values_that_cannot_be_held_are_refused(void **state) {
  (void)state;
  static const char norm[] = "distilbert.transformer.layer.1.sa_layer_norm.weight", lin[] = "pre_classifier.weight";
  static const struct {
    const char *scheme, *tensor;
    float value;
    bool refused;
  } cases[] = {
      {"int8", lin, NAN, true},        {"int8-tensor", lin, INFINITY, true},
      {"int16", lin, -INFINITY, true}, {"nf4", lin, NAN, true},
      {"nf4-dq", lin, -NAN, true},     {"f32", lin, NAN, true},
      {"f16", lin, INFINITY, true},    {"bf16", lin, NAN, true},
      {"int8", norm, NAN, true},       {"f16", lin, 65520, true},
      {"f16", lin, -65520, true},      {"f16", lin, 65519, false},
      {"f16", norm, 1e5f, true},       {"bf16", lin, 0x1.ffp127f, true},
      {"bf16", lin, -3.4e38f, true},   {"bf16", norm, 0x1.ffp127f, true},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open("models/distilbert");
    ((float *)files_bytes(f, cases[i].tensor))[7] = cases[i].value;
    struct pare_quantize_options options = {.scheme = cases[i].scheme, .even_if_larger = true};
    if (cases[i].refused) {
      quantize_refused(&engine, f, &options, PARE_DATA, NEEDLES(f->dir.temp, cases[i].tensor));
    } else {
      json_decref(quantize_into(&engine, f, &options));
    }
    files_close(f);
  }
}

// Finite weights may still give an answer that is none: nothing is written, and the folder being filled is gone.
static void an_answer_that_is_no_number_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/distilbert");
  float *w = files_bytes(f, "classifier.weight");
  for (size_t i = 0; i < 3 * 36; i++) w[i] = 3e38f;
  quantize_refused(&engine, f, &(struct pare_quantize_options){.scheme = "int8"}, PARE_DATA,
                   NEEDLES("self-test", "logit"));
  files_close(f);
}

static void extreme_values_survive(void **state) {
  (void)state;
  static const char *const schemes[] = {"f16", "bf16", "int16", "int8", "int8-tensor", "int4", "nf4", "nf4-dq"};
  static const float values[] = {0, 1e-45f, 1e-38f, 1e-30f, 1e18f};
  for (size_t s = 0; s < 8; s++) {
    for (size_t v = 0; v < 5; v++) {
      if (s == 0 && v == 4) continue; // beyond f16
      struct model_files *f = files_open("models/distilbert");
      float *w = files_bytes(f, "pre_classifier.weight");
      for (size_t i = 0; i < 36 * 36; i++) w[i] = i % 5 ? values[v] : i % 65 ? 0 : -values[v] * 0.75f;
      json_decref(
          quantize_into(&engine, f, &(struct pare_quantize_options){.scheme = schemes[s], .even_if_larger = true}));
      files_close(f);
    }
  }
}

static void a_quantized_source_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("int8/bert-int8");
  quantize_refused(&engine, f, &(struct pare_quantize_options){.scheme = "nf4"}, PARE_DATA,
                   NEEDLES(f->dir.temp, "tensor bert.", "is int8 already", "original"));
  files_close(f);
}

// ---- where it is written ----

static void a_larger_file_is_not_written(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_write(f);
  char *out = path_join(f->dir.temp, "out");
  struct pare_quantize_options options = {.scheme = "f32"};
  struct pare_error err = {0};
  json_t *record = NULL;
  assert_int_equal(quantize_model(&engine, f->dir.temp, out, &options, &record, &err), PARE_REFUSED);
  assert_non_null(strstr(err.text, "not smaller"));
  assert_true(json_is_null(json_object_get(record, "sha256")));
  assert_true(json_integer_value(json_object_get(record, "bytes_after")) >=
              json_integer_value(json_object_get(record, "bytes_before")));
  assert_false(file_is_dir(out));
  assert_int_equal(hidden_entries(f->dir.temp), 0);
  json_decref(record);
  options.even_if_larger = true;
  must(quantize_any(&engine, f->dir.temp, out, &options, &record, &err), &err);
  assert_true(json_is_string(json_object_get(record, "sha256")));
  assert_true(file_is_dir(out));
  json_decref(record);
  free(out);
  files_close(f);
}

static void a_dry_run_writes_nothing_and_tells_the_size(void **state) {
  (void)state;
  static const char *const schemes[] = {"f32", "f16", "int16", "int8", "int4", "nf4", "nf4-dq"};
  for (size_t i = 0; i < 7; i++) {
    struct model_files *f = files_open("models/gpt2-lm-untied");
    struct pare_quantize_options options = {.scheme = schemes[i], .dry_run = true};
    json_t *dry = quantize_into(&engine, f, &options), *real;
    char *out = path_join(f->dir.temp, "out");
    assert_false(file_is_dir(out));
    struct pare_error err = {0};
    must(quantize_any(&engine, f->dir.temp, NULL, &options, &real, &err), &err); // no output name needed
    json_decref(real);
    options.dry_run = false;
    options.even_if_larger = true;
    real = quantize_into(&engine, f, &options);
    char *file = path_join(out, "model.safetensors");
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(json_integer_value(json_object_get(dry, "bytes_after")), st.st_size);
    assert_true(json_equal(json_object_get(dry, "tensors"), json_object_get(real, "tensors")));
    json_decref(dry);
    json_decref(real);
    free(file);
    free(out);
    files_close(f);
  }
}

static void what_is_not_ours_is_not_replaced(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  struct pare_quantize_options options = {.scheme = "int8"};
  char *out = path_join(f->dir.temp, "out"), *mine = path_join(out, "mine.txt"), hash[2][65];
  assert_int_equal(mkdir(out, 0755), 0);
  must(file_write_all(mine, "precious", 8, NULL), NULL);
  must(file_sha256(mine, hash[0], NULL), NULL);
  quantize_refused(&engine, f, &options, PARE_USAGE, NEEDLES(out, "pare.json"));
  must(file_sha256(mine, hash[1], NULL), NULL);
  assert_string_equal(hash[0], hash[1]);
  // with a pare.json in it, it is an earlier output of ours
  files_text(f, "out/pare.json", "{}");
  json_decref(quantize_into(&engine, f, &options));
  assert_false(file_exists(mine));
  pare_model *m;
  must(model_open(&engine, out, &m, NULL), NULL);
  model_close(m);
  // a failure leaves the earlier one
  char *file = path_join(out, "model.safetensors");
  must(file_sha256(file, hash[0], NULL), NULL);
  ((float *)files_bytes(f, "bert.pooler.dense.weight"))[0] = NAN;
  quantize_refused(&engine, f, &options, PARE_DATA, NEEDLES("pooler.dense.weight"));
  must(file_sha256(file, hash[1], NULL), NULL);
  assert_string_equal(hash[0], hash[1]);
  free(file);
  free(mine);
  free(out);
  files_close(f);
}

static void an_output_that_cannot_be_written_is_an_io_error(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_write(f);
  static const char *const places[] = {"config.json/out", "absent/out"}; // below a regular file; below nothing
  for (size_t i = 0; i < 2; i++) {
    char *out = path_join(f->dir.temp, places[i]);
    struct pare_error err = {0};
    json_t *record = NULL;
    struct pare_quantize_options options = {.scheme = "int8"};
    assert_int_equal(quantize_model(&engine, f->dir.temp, out, &options, &record, &err), PARE_IO);
    assert_null(record);
    assert_non_null(strstr(err.text, out));
    assert_int_equal(hidden_entries(f->dir.temp), 0);
    free(out);
  }
  files_close(f);
}

static void tokenizer_files_are_copied(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_tokenizer(f);
  files_text(f, "generation_config.json", "{}");
  files_text(f, "notes.txt", "not part of the model");
  json_decref(quantize_into(&engine, f, &(struct pare_quantize_options){.scheme = "int8"}));
  static const char *const names[] = {"vocab.txt", "tokenizer_config.json", "generation_config.json"};
  for (size_t i = 0; i < 3; i++) {
    char *from = path_join(f->dir.temp, names[i]), *out = path_join(f->dir.temp, "out"), *to = path_join(out, names[i]);
    char hash[2][65];
    must(file_sha256(from, hash[0], NULL), NULL);
    must(file_sha256(to, hash[1], NULL), NULL);
    assert_string_equal(hash[0], hash[1]);
    free(from);
    free(out);
    free(to);
  }
  char *notes = path_join(f->dir.temp, "out/notes.txt");
  assert_false(file_exists(notes));
  free(notes);
  files_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stored_values_follow_the_formulas),
      cmocka_unit_test(the_same_command_gives_the_same_bytes),
      cmocka_unit_test(values_that_cannot_be_held_are_refused),
      cmocka_unit_test(an_answer_that_is_no_number_is_refused),
      cmocka_unit_test(extreme_values_survive),
      cmocka_unit_test(a_quantized_source_is_refused),
      cmocka_unit_test(a_larger_file_is_not_written),
      cmocka_unit_test(a_dry_run_writes_nothing_and_tells_the_size),
      cmocka_unit_test(what_is_not_ours_is_not_replaced),
      cmocka_unit_test(an_output_that_cannot_be_written_is_an_io_error),
      cmocka_unit_test(tokenizer_files_are_copied),
      cmocka_unit_test(a_sharded_source_is_quantized),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
