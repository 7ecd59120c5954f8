// bits.c - same_bits.h's rules for every scheme on tiny models of each architecture, and for the shipped classifiers on
// a short text.
#include "same_bits.h"

static void every_scheme_gives_the_same_bits(void **state) {
  (void)state;
  static const char *const names[] = {"gpt2-cls",   "gpt2-lm", "gpt2-lm-untied", "bert",
                                      "distilbert", "bart",    "bart-cls"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/golden/data/models/%s", TEST_DIR, names[i]);
    same_bits_all_schemes(folder);
  }
}

// Norms with large gains: here llm-int8 has outlier columns in nearly every layer, other ones for every text.
static void check_outliers(const char *folder, const json_t *golden) {
  struct golden_case read[SAME_BITS_CASES];
  struct same_bits_cases c = {.n = size_min(json_array_size(golden), SAME_BITS_CASES)};
  for (size_t i = 0; i < c.n; i++) {
    read[i] = golden_read(json_array_get(golden, i));
    c.q[i] = golden_sequence(&read[i]);
  }
  same_bits_check_model(path_base(folder), folder, &c);
  for (size_t i = 0; i < c.n; i++) golden_free(&read[i]);
}

static void outlier_columns_are_each_texts_own(void **state) {
  (void)state;
  each_golden(TEST_DIR "/golden/data/llm-int8", 4, check_outliers);
}

// As many rows of the decoder as of the texts, yet other texts' where they are.
static void check_as_many_rows(const char *folder) {
  static const uint32_t ids[] = {4, 9, 6, 11, 5, 8, 7, 10, 12, 3, 14, 13};
  struct same_bits_cases c = {.q = {{.ids = ids, .len = 3, .decoder_ids = ids + 1, .decoder_len = 9},
                                    {.ids = ids + 3, .len = 9, .decoder_ids = ids + 5, .decoder_len = 3}},
                              .n = 2};
  same_bits_check_model(path_base(folder), folder, &c);
}

// Two kinds of rows in one pass, those of the texts and the decoder's, each with columns of its own.
static void encoder_decoders_tell_their_rows_apart(void **state) {
  (void)state;
  static const char *const names[] = {"bart", "bart-cls"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char folder[1024], file[1100];
    snprintf(folder, sizeof folder, "%s/golden/data/models/%s", TEST_DIR, names[i]);
    snprintf(file, sizeof file, "%s/golden.json", folder);
    json_t *golden = json_load_file(file, 0, NULL);
    assert_non_null(golden);
    struct outdir source, out;
    struct pare_error err = {0};
    same_bits_outliers(folder, "layer_norm.weight", 5, &source);
    must(dir_create_temp(&out, &err), &err);
    char *quantized = path_join(out.temp, "model");
    struct pare_quantize_options options = {.scheme = "llm-int8", .even_if_larger = true};
    json_t *record;
    must(quantize_any(&same_bits_engines[0][0], source.temp, quantized, &options, &record, &err), &err);
    check_outliers(quantized, golden);
    if (i == 0) check_as_many_rows(quantized);
    json_decref(record);
    json_decref(golden);
    free(quantized);
    dir_discard(&source);
    dir_discard(&out);
  }
}

static void shipped_models_give_the_same_bits(void **state) {
  (void)state;
  static uint32_t ids[24], pair[17];
  for (uint32_t i = 0; i < 24; i++) ids[i] = 17 + i * 331 % 8000;
  for (uint32_t i = 0; i < 17; i++) pair[i] = 101 + i * 97 % 8000;
  struct same_bits_cases c = {.q = {{.ids = ids, .len = 24}, {.ids = pair, .len = 17}, {.ids = ids + 3, .len = 1}},
                              .n = 3};
  static const char *const schemes[] = {"f32", "int8", "int4", "nf4", "llm-int8", "int8-static"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    same_bits_scheme(PROJECT_DIR "/models/agnews-gpt2", schemes[i], &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_scheme_gives_the_same_bits), cmocka_unit_test(outlier_columns_are_each_texts_own),
      cmocka_unit_test(encoder_decoders_tell_their_rows_apart), cmocka_unit_test(shipped_models_give_the_same_bits)};
  return cmocka_run_group_tests(tests, same_bits_setup, same_bits_teardown);
}
