// models.c - logits of every architecture equal transformers' within 2e-4 x max(1, max |logit|), on every table, and
// the tables agree with each other bit for bit. Folders and goldens are written by tools/golden_models.py.
#include "golden.h"

#include "base/file.h"

enum { MAX_ENGINES = 8 };
// Dot products in bf16 keep 8 bits of each activation; everything else is f32.
static const double BUDGET = 2e-4, BUDGET_BF16_DOT = 3e-2;

static void check_folder(const char *folder, const json_t *cases) {
  pare_engine engines[MAX_ENGINES];
  struct pare_error err = {0};
  size_t n = open_engines(engines, MAX_ENGINES, 2), count = 0;
  pare_model *models[MAX_ENGINES];
  for (size_t e = 0; e < n; e++) must(model_open(&engines[e], folder, &models[e], &err), &err);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    struct golden_case c = golden_read(json_array_get(cases, i));
    float *first = NULL;
    for (size_t e = 0; e < n; e++) {
      char what[1200];
      snprintf(what, sizeof what, "%s, case %zu (%zu tokens), %s", path_base(folder), i, c.len,
               engines[e].kernels->name);
      float *logits = golden_run(models[e], &c, &count);
      // bf16 files on a table with bf16 dot products are the one exception to "same bits"
      bool exception = engines[e].kernels->bf16_dot && !strcmp(models[e]->scheme, "bf16");
      golden_compare(what, json_array_get(cases, i), logits, count, session_columns(models[e]),
                     exception ? BUDGET_BF16_DOT : BUDGET);
      if (first && !exception && memcmp(first, logits, count * sizeof *logits) != 0)
        fail_msg("%s: other bits than scalar", what);
      if (first) free(logits);
      if (!first) first = logits;
    }
    free(first);
    golden_free(&c);
  }
  for (size_t e = 0; e < n; e++) model_close(models[e]);
  close_engines(engines, n);
}

static void logits_equal_transformers(void **state) {
  (void)state;
  each_golden(TEST_DIR "/golden/data/models", 19, check_folder);
}

// Copies a folder with another config.json into a temporary directory and opens it.
static enum pare_status open_with_config(const char *base, const json_t *config, struct pare_error *err) {
  struct outdir dir;
  must(dir_create_temp(&dir, err), err);
  char *from = path_join(base, "model.safetensors"), *to = path_join(dir.temp, "model.safetensors");
  char *file = path_join(dir.temp, "config.json"), *text = json_dumps(config, 0);
  struct mapping map;
  must(file_map(from, &map, err), err);
  must(file_write_all(to, map.data, map.len, err), err);
  must(file_write_all(file, text, strlen(text), err), err);
  file_unmap(&map);
  pare_engine engine = {0};
  must(kernels_select(NULL, &engine.kernels, err), err);
  pare_model *m = NULL;
  enum pare_status s = model_open(&engine, dir.temp, &m, err);
  model_close(m);
  free(from);
  free(to);
  free(file);
  free(text);
  dir_discard(&dir);
  return s;
}

static void check_configs(const char *name, bool refused) {
  char file[1024], base[1024];
  snprintf(file, sizeof file, "%s/golden/data/models/%s.json", TEST_DIR, name);
  json_t *list = json_load_file(file, 0, NULL);
  assert_true(json_array_size(list) > 0);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *j = json_array_get(list, i);
    const char *why = json_string_value(json_object_get(j, "why"));
    snprintf(base, sizeof base, "%s/golden/data/models/%s", TEST_DIR, json_string_value(json_object_get(j, "base")));
    struct pare_error err = {0};
    enum pare_status s = open_with_config(base, json_object_get(j, "config"), &err);
    if (refused && s != PARE_DATA && s != PARE_UNAVAILABLE) fail_msg("should be refused (%s), status %d", why, s);
    if (!refused && s) fail_msg("should be accepted (%s): %s", why, err.text);
    // "key: reason": the message names the key
    const char *colon = strchr(why, ':');
    if (refused && colon) {
      char key[128];
      snprintf(key, sizeof key, "%.*s", (int)(colon - why), why);
      if (!strstr(err.text, key)) fail_msg("the message for \"%s\" does not name %s: %s", why, key, err.text);
    }
  }
  json_decref(list);
}

static void variants_are_refused_by_name(void **state) {
  (void)state;
  check_configs("refused", true);
}

static void harmless_keys_are_accepted(void **state) {
  (void)state;
  check_configs("accepted", false);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(logits_equal_transformers),
                                     cmocka_unit_test(variants_are_refused_by_name),
                                     cmocka_unit_test(harmless_keys_are_accepted)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
