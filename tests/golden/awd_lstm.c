// awd_lstm.c - logits of tiny AWD-LSTM classifiers equal fastai's within 1e-5 x max(1, max |logit|) on every table:
// one to four layers, odd widths, chunks, the pooled window, padding inside a text. The tables agree bit for bit, every
// scheme gives the same bits alone, in a batch and on two threads, and half-folded or misshapen files are refused.
// Folders are written by tools/golden_awd.py.
#include "golden.h"

#include "base/file.h"
#include "format/safetensors.h"
#include "same_bits.h"

enum { MAX_ENGINES = 8 };
static const double BUDGET = 1e-5;
#define DATA TEST_DIR "/golden/data/awd_lstm"

static void check_folder(const char *folder, const json_t *cases) {
  pare_engine engines[MAX_ENGINES];
  struct pare_error err = {0};
  size_t n = open_engines(engines, MAX_ENGINES, 2), count = 0;
  for (size_t i = 0; i < json_array_size(cases); i++) {
    struct golden_case c = golden_read(json_array_get(cases, i));
    float *first = NULL;
    for (size_t e = 0; e < n; e++) {
      char what[1200];
      pare_model *m;
      must(model_open(&engines[e], folder, &m, &err), &err);
      snprintf(what, sizeof what, "%s, case %zu (%zu tokens), %s", path_base(folder), i, c.len,
               engines[e].kernels->name);
      float *logits = golden_run(m, &c, &count);
      golden_compare(what, json_array_get(cases, i), logits, count, session_columns(m), BUDGET);
      if (first && memcmp(first, logits, count * sizeof *logits) != 0) fail_msg("%s: other bits than scalar", what);
      if (first) free(logits);
      if (!first) first = logits;
      model_close(m);
    }
    free(first);
    golden_free(&c);
  }
  close_engines(engines, n);
}

static void logits_equal_fastai(void **state) {
  (void)state;
  each_golden(DATA, 5, check_folder);
}

static void every_scheme_gives_the_same_bits(void **state) {
  (void)state;
  same_bits_all_schemes(DATA "/two-layers");
  same_bits_all_schemes(DATA "/three-layers");
}

// A long text crosses blocks of steps, many texts cross groups: still the answers of each text alone.
static void answers_do_not_depend_on_blocks_or_groups(void **state) {
  (void)state;
  enum { TEXTS = 150, LONGEST = 2500, V = 43 };
  static uint32_t ids[LONGEST];
  for (uint32_t i = 0; i < LONGEST; i++) ids[i] = 2 + i * 31 % (V - 2);
  struct same_bits_cases c = {.n = TEXTS};
  for (size_t i = 0; i < TEXTS; i++) {
    size_t len = i == 77 ? LONGEST : 1 + i * 7 % 40;
    c.q[i] = (struct pare_sequence){.ids = ids + i, .len = size_min(len, LONGEST - i)};
  }
  same_bits_scheme(DATA "/three-layers", "f32", &c);
  same_bits_scheme(DATA "/three-layers", "int8", &c);
  same_bits_scheme(DATA "/three-layers", "llm-int8", &c);
  same_bits_scheme(DATA "/three-layers", "int8-static", &c);
}

enum { MAX_TENSORS = 96 };
struct changed {
  struct tensor list[MAX_TENSORS];
  size_t count;
};

static void take_all(struct changed *c, const struct tensors *from, const char *containing) {
  for (size_t i = 0; i < from->count; i++) {
    if (!strstr(from->list[i].name, containing)) continue;
    assert_true(c->count < MAX_TENSORS);
    c->list[c->count++] = from->list[i];
  }
}

static void drop(struct changed *c, const char *name) {
  size_t kept = 0;
  for (size_t i = 0; i < c->count; i++)
    if (strcmp(c->list[i].name, name) != 0) c->list[kept++] = c->list[i];
  c->count = kept;
}

// Opens a directory of these tensors and this config.
static enum pare_status open_written(const struct changed *c, const json_t *config, struct pare_error *err) {
  struct outdir dir;
  must(dir_create_temp(&dir, err), err);
  char *weights = path_join(dir.temp, "model.safetensors"), *file = path_join(dir.temp, "config.json");
  char *text = json_dumps(config, 0);
  must(safetensors_write(weights, c->list, c->count, NULL, 0, err), err);
  must(file_write_all(file, text, strlen(text), err), err);
  pare_model *m = NULL;
  enum pare_status s = model_open(&same_bits_engines[0][0], dir.temp, &m, err);
  model_close(m);
  free(weights);
  free(file);
  free(text);
  dir_discard(&dir);
  return s;
}

// Embeddings of some words hold outliers: under llm-int8 they are each step's own, whatever else is in the batch.
static void outlier_columns_are_each_steps_own(void **state) {
  (void)state;
  enum { TEXTS = 12, V = 43 };
  struct outdir dir;
  same_bits_outliers(DATA "/three-layers", "0.module.encoder.weight", 29, &dir);
  static uint32_t ids[TEXTS * 5];
  for (uint32_t i = 0; i < TEXTS * 5; i++) ids[i] = 2 + i * 31 % (V - 2);
  struct same_bits_cases cases = {.n = TEXTS};
  for (size_t i = 0; i < TEXTS; i++) cases.q[i] = (struct pare_sequence){.ids = ids + i * 2, .len = 1 + i * 7 % 20};
  same_bits_scheme(dir.temp, "llm-int8", &cases);
  dir_discard(&dir);
}

// A row of refused.json: a folder with another config, some tensors left out and made-up ones put in.
static enum pare_status open_changed(const json_t *row, struct pare_error *err) {
  char base[1024];
  snprintf(base, sizeof base, DATA "/%s", json_string_value(json_object_get(row, "base")));
  struct tensors source;
  must(tensors_open(base, &source, err), err);
  struct changed c = {.count = 0};
  take_all(&c, &source, "");
  const json_t *gone = json_object_get(row, "drop");
  for (size_t i = 0; i < json_array_size(gone); i++) drop(&c, json_string_value(json_array_get(gone, i)));
  static const float zeros[64];
  const char *name;
  json_t *shape;
  json_object_foreach(json_object_get(row, "add"), name, shape) {
    size_t n = (size_t)json_integer_value(json_array_get(shape, 0));
    c.list[c.count++] = (struct tensor){.name = name,
                                        .file = "",
                                        .dtype = DTYPE_F32,
                                        .rank = 1,
                                        .shape = {n},
                                        .data = (const uint8_t *)zeros,
                                        .bytes = n * sizeof *zeros};
  }
  enum pare_status s = open_written(&c, json_object_get(row, "config"), err);
  tensors_close(&source);
  return s;
}

static void others_are_refused_by_name(void **state) {
  (void)state;
  json_t *list = json_load_file(DATA "/refused.json", 0, NULL);
  assert_true(json_array_size(list) > 20);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *row = json_array_get(list, i);
    const char *why = json_string_value(json_object_get(row, "why"));
    struct pare_error err = {0};
    enum pare_status s = open_changed(row, &err);
    if (s != PARE_DATA && s != PARE_UNAVAILABLE) fail_msg("should be refused (%s), status %d", why, s);
    char key[128];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(why, ":"), why);
    if (!strstr(err.text, key)) fail_msg("the message for \"%s\" does not name %s: %s", why, key, err.text);
  }
  json_decref(list);
}

// Folding needs the weights as they were: a quantized one beside its batch norm is nothing we or fastai write.
static void quantized_with_batch_norm_is_refused(void **state) {
  (void)state;
  struct pare_error err = {0};
  struct outdir dir;
  struct tensors source, quantized;
  must(dir_create_temp(&dir, &err), &err);
  char *out = path_join(dir.temp, "int8");
  struct pare_quantize_options options = {.scheme = "int8", .even_if_larger = true};
  json_t *record = NULL, *config = json_load_file(DATA "/two-layers/config.json", 0, NULL);
  must(quantize_model(&same_bits_engines[0][0], DATA "/two-layers", out, &options, &record, &err), &err);
  must(tensors_open(DATA "/two-layers", &source, &err), &err);
  must(tensors_open(out, &quantized, &err), &err);
  struct changed c = {.count = 0};
  take_all(&c, &quantized, "");
  assert_int_equal(open_written(&c, config, &err), PARE_OK);
  take_all(&c, &source, "1.layers.0.0.");
  drop(&c, "1.layers.0.2.bias");
  assert_int_equal(open_written(&c, config, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "tensor 1.layers.0.2.weight is int8, yet its batch norm is not folded"));
  tensors_close(&source);
  tensors_close(&quantized);
  json_decref(record);
  json_decref(config);
  free(out);
  dir_discard(&dir);
}

// The root of a negative variance is no number; the file says so by name, not the answers by being none.
static void negative_variance_is_refused(void **state) {
  (void)state;
  static const float below[256] = {[3] = -1};
  struct pare_error err = {0};
  struct tensors source;
  json_t *config = json_load_file(DATA "/two-layers/config.json", 0, NULL);
  must(tensors_open(DATA "/two-layers", &source, &err), &err);
  struct changed c = {.count = 0};
  take_all(&c, &source, "");
  size_t changed = 0;
  for (size_t i = 0; i < c.count; i++) {
    if (strcmp(c.list[i].name, "1.layers.0.0.running_var") != 0) continue;
    assert_true(c.list[i].bytes <= sizeof below && c.list[i].dtype == DTYPE_F32);
    c.list[i].data = (const uint8_t *)below;
    changed++;
  }
  assert_int_equal(changed, 1);
  assert_int_equal(open_written(&c, config, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "tensor 1.layers.0.2.weight and its batch norm: a value is not a number"));
  tensors_close(&source);
  json_decref(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(logits_equal_fastai),
                                     cmocka_unit_test(every_scheme_gives_the_same_bits),
                                     cmocka_unit_test(answers_do_not_depend_on_blocks_or_groups),
                                     cmocka_unit_test(outlier_columns_are_each_steps_own),
                                     cmocka_unit_test(others_are_refused_by_name),
                                     cmocka_unit_test(quantized_with_batch_norm_is_refused),
                                     cmocka_unit_test(negative_variance_is_refused)};
  return cmocka_run_group_tests(tests, same_bits_setup, same_bits_teardown);
}
