// steps.c - pare_serving.h's steps: tokens, rows and scores apart give the bits of pare_classify; pooling of encoders.
#include "model_files.h"

#include "pare_serving.h"
#include "task/classify.h"
#include "task/embed.h"

#include <sys/stat.h>
#include <unistd.h>

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

static const char *const phrases[] = {"the cat", "a dog", "red", "the blue house", "a"};

static void same_bits(const char *golden, const struct pare_classify_options *o) {
  struct model_files *files = files_open(golden);
  struct pare_error err = {0};
  files_tokenizer(files);
  pare_model *m = files_model(files, &engine);
  pare_session *s;
  must(pare_session_open(m, &(struct pare_session_options){.alone = true}, &s, &err), &err);
  const char *text = "the cat sat on the mat";
  struct pare_text input = {.text = text, .len = strlen(text)};
  size_t L = pare_classify_label_count(m, o), n = pare_classify_sequence_count(m, o), N = pare_model_output_width(m);
  assert_int_equal(n, o && o->labels ? o->label_count : 1);
  float scores[8], logits[8], apart[8], apart_logits[8], rows[64];
  assert_true(L <= 8 && n * N <= 64);
  must(pare_classify(s, &input, 1, o, scores, logits, &err), &err);
  struct pare_tokens tokens[8] = {{0}};
  struct pare_sequence sequences[8];
  for (int again = 0; again < 2; again++) { // the tokens' room is used anew
    must(pare_classify_tokenize(m, &input, o, tokens, &err), &err);
    for (size_t i = 0; i < n; i++)
      sequences[i] = (struct pare_sequence){.ids = tokens[i].ids, .types = tokens[i].types, .len = tokens[i].len};
    must(pare_session_logits(s, sequences, n, rows, &err), &err);
    must(pare_classify_scores(m, o, rows, apart, apart_logits, &err), &err);
    assert_memory_equal(apart, scores, L * sizeof *scores);
    assert_memory_equal(apart_logits, logits, L * sizeof *logits);
  }
  for (size_t i = 0; i < 8; i++) pare_tokens_free(&tokens[i]);
  pare_session_close(s);
  pare_model_close(m);
  files_close(files);
}

static void steps_give_the_bits_of_the_whole(void **state) {
  (void)state;
  same_bits("models/bert", NULL);
  same_bits("models/bert", &(struct pare_classify_options){.multi_label = true});
  same_bits("models/bert", &(struct pare_classify_options){.max_tokens = 4});
  same_bits("models/bert", &(struct pare_classify_options){.labels = phrases, .label_count = 5});
  same_bits("models/bert", &(struct pare_classify_options){.labels = phrases, .label_count = 1});
  same_bits("models/bert", &(struct pare_classify_options){.labels = phrases, .label_count = 3, .multi_label = true});
}

static void pooling(void **state) {
  (void)state;
  const float rows[] = {1, 2, /**/ 3, -2, /**/ 5, 6};
  float v[2];
  embed_pool(PARE_POOLING_MEAN, rows, 3, 2, true, v);
  assert_true(v[0] == 3 && v[1] == 2);
  embed_pool(PARE_POOLING_FIRST, rows, 3, 2, true, v);
  assert_true(v[0] == 1 && v[1] == 2);
  embed_pool(PARE_POOLING_MAX, rows, 3, 2, true, v);
  assert_true(v[0] == 5 && v[1] == 6);
  embed_pool(PARE_POOLING_MEAN, (const float[]){3, 4}, 1, 2, false, v);
  assert_true(v[0] == 0.6f && v[1] == 0.8f);
  embed_pool(PARE_POOLING_MEAN, (const float[]){0, 0}, 1, 2, false, v);
  assert_true(v[0] == 0 && v[1] == 0);
}

static void pooling_is_read_beside_the_model(void **state) {
  (void)state;
  char dir[] = "/tmp/pare-pooling-XXXXXX", path[128];
  assert_non_null(mkdtemp(dir));
  assert_int_equal(pare_pooling_of(dir), PARE_POOLING_MEAN);
  snprintf(path, sizeof path, "%s/1_Pooling", dir);
  assert_int_equal(mkdir(path, 0700), 0);
  static const struct {
    const char *json;
    enum pare_pooling pooling;
  } cases[] = {{"{\"pooling_mode_cls_token\": true}", PARE_POOLING_FIRST},
               {"{\"pooling_mode_max_tokens\": true, \"pooling_mode_mean_tokens\": false}", PARE_POOLING_MAX},
               {"{\"pooling_mode_mean_tokens\": true}", PARE_POOLING_MEAN},
               {"{\"pooling_mode_cls_token\": 1}", PARE_POOLING_MEAN},
               {"not JSON", PARE_POOLING_MEAN}};
  snprintf(path, sizeof path, "%s/1_Pooling/config.json", dir);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(cases[i].json, f);
    fclose(f);
    assert_int_equal(pare_pooling_of(dir), cases[i].pooling);
  }
  unlink(path);
  snprintf(path, sizeof path, "%s/1_Pooling", dir);
  rmdir(path);
  rmdir(dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_give_the_bits_of_the_whole),
      cmocka_unit_test(pooling),
      cmocka_unit_test(pooling_is_read_beside_the_model),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
