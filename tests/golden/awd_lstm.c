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
}

// Writes the folder again with another config, some tensors left out and made-up ones put in, and opens it.
static enum pare_status open_changed(const json_t *row, struct pare_error *err) {
  char base[1024];
  snprintf(base, sizeof base, DATA "/%s", json_string_value(json_object_get(row, "base")));
  struct outdir dir;
  struct tensors source;
  must(dir_create_temp(&dir, err), err);
  must(tensors_open(base, &source, err), err);
  static const float zeros[64];
  struct tensor list[64];
  size_t count = 0;
  for (size_t i = 0; i < source.count; i++) {
    bool dropped = false;
    const json_t *drop = json_object_get(row, "drop");
    for (size_t d = 0; d < json_array_size(drop); d++)
      dropped |= !strcmp(json_string_value(json_array_get(drop, d)), source.list[i].name);
    if (!dropped) list[count++] = source.list[i];
  }
  const char *name;
  json_t *shape;
  json_object_foreach(json_object_get(row, "add"), name, shape) {
    size_t n = (size_t)json_integer_value(json_array_get(shape, 0));
    list[count++] = (struct tensor){.name = name,
                                    .file = "",
                                    .dtype = DTYPE_F32,
                                    .rank = 1,
                                    .shape = {n},
                                    .data = (const uint8_t *)zeros,
                                    .bytes = n * sizeof *zeros};
  }
  char *weights = path_join(dir.temp, "model.safetensors"), *file = path_join(dir.temp, "config.json");
  char *text = json_dumps(json_object_get(row, "config"), 0);
  must(safetensors_write(weights, list, count, NULL, 0, err), err);
  must(file_write_all(file, text, strlen(text), err), err);
  pare_engine engine = {0};
  must(kernels_select(NULL, &engine.kernels, err), err);
  pare_model *m = NULL;
  enum pare_status s = model_open(&engine, dir.temp, &m, err);
  model_close(m);
  tensors_close(&source);
  free(weights);
  free(file);
  free(text);
  dir_discard(&dir);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(logits_equal_fastai), cmocka_unit_test(every_scheme_gives_the_same_bits),
      cmocka_unit_test(answers_do_not_depend_on_blocks_or_groups), cmocka_unit_test(others_are_refused_by_name)};
  return cmocka_run_group_tests(tests, same_bits_setup, same_bits_teardown);
}
