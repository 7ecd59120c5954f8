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

static void shipped_models_give_the_same_bits(void **state) {
  (void)state;
  static uint32_t ids[24], pair[17];
  for (uint32_t i = 0; i < 24; i++) ids[i] = 17 + i * 331 % 8000;
  for (uint32_t i = 0; i < 17; i++) pair[i] = 101 + i * 97 % 8000;
  struct same_bits_cases c = {.q = {{.ids = ids, .len = 24}, {.ids = pair, .len = 17}, {.ids = ids + 3, .len = 1}},
                              .n = 3};
  static const char *const schemes[] = {"f32", "int8", "nf4"};
  for (size_t i = 0; i < 3; i++) same_bits_scheme(PROJECT_DIR "/models/agnews-gpt2", schemes[i], &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_scheme_gives_the_same_bits),
                                     cmocka_unit_test(shipped_models_give_the_same_bits)};
  return cmocka_run_group_tests(tests, same_bits_setup, same_bits_teardown);
}
