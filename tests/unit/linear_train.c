// linear_train.c - pare train: the gradient is that of the loss, threads and tables change no byte, a model learnt from
// real texts is right, goes through every command's path, and damaged ones are refused.
#include "unit/model_files.h"

#include "base/rng.h"
#include "eval/dataset.h"
#include "model/session.h"
#include "task/classify.h"
#include "train/fit.h"
#include "train/train.h"

#define SMS PROJECT_DIR "/data/sms_spam_test.csv"
#define INTENTS PROJECT_DIR "/data/clinc150_test.csv"

static pare_engine engine_of(const char *isa, size_t threads) {
  pare_engine e = {0};
  struct pare_error err;
  must(kernels_select(isa, &e.kernels, &err), &err);
  must(pool_open(threads, &e.pool, &err), &err);
  return e;
}

// ---- the objective ----

static void check_gradient(size_t labels, bool unit) {
  static const char *const lines[] = {"good film",    "bad film", "a good one", "so so", "bad bad day",
                                      "one good day", ""};
  enum { ROWS = sizeof lines / sizeof *lines };
  struct pare_text texts[ROWS];
  uint32_t label[ROWS];
  struct rng rng;
  struct pare_error err;
  pare_engine e = engine_of(NULL, 2);
  rng_seed(&rng, labels);
  for (size_t i = 0; i < ROWS; i++) {
    texts[i] = (struct pare_text){.text = lines[i], .len = strlen(lines[i])};
    label[i] = (uint32_t)rng_below(&rng, labels);
  }
  struct design_options options = {.ngrams = {true, 1, 2, 0, 0, 16, 0}, .counted = ROWS, .min_count = 1, .unit = unit};
  struct design d;
  struct objective o;
  must(design_build(e.pool, texts, ROWS, &options, &d, &err), &err);
  assert_int_equal(d.columns, 8 + 8); // good film bad a one so day / 2-grams; "so so" counts once
  must(objective_init(&o, e.kernels, e.pool, &d, label, labels, &err), &err);
  o.l2 = 0.1;
  size_t n = objective_size(&o);
  float *w = malloc(n * sizeof *w), *g = malloc(n * sizeof *g), *unused = malloc(n * sizeof *unused);
  for (size_t i = 0; i < n; i++) w[i] = 0.5f * rng_normal(&rng);
  objective_eval(&o, w, g);
  for (size_t i = 0; i < n; i++) {
    float was = w[i], step = 1e-2f;
    w[i] = was + step;
    double up = objective_eval(&o, w, unused);
    w[i] = was - step;
    double down = objective_eval(&o, w, unused);
    w[i] = was;
    double slope = (up - down) / (2 * (double)step);
    if (fabs(slope - (double)g[i]) > 1e-4) fail_msg("gradient %zu is %g, the loss says %g", i, (double)g[i], slope);
  }
  free(w);
  free(g);
  free(unused);
  objective_free(&o);
  design_free(&d);
  pool_close(e.pool);
}

static void gradient_is_the_slope_of_the_loss(void **state) {
  (void)state;
  check_gradient(2, true);
  check_gradient(2, false);
  check_gradient(3, true);
  check_gradient(17, true);
}

// ---- whole runs ----

struct trained {
  struct outdir dir; // dir.temp/m
  char *path;
  json_t *record;
};

static struct trained train(pare_engine *e, const char *data, const struct pare_train_options *o) {
  struct trained t = {.record = NULL};
  struct pare_error err = {0};
  must(dir_create_temp(&t.dir, &err), &err);
  t.path = path_join(t.dir.temp, "m");
  must(train_run(e, data, t.path, o, &t.record, &err), &err);
  return t;
}

static void trained_free(struct trained *t) {
  json_decref(t->record);
  free(t->path);
  dir_discard(&t->dir);
}

static double number(const json_t *record, const char *key, const char *inner) {
  const json_t *j = json_object_get(record, key);
  return json_number_value(inner ? json_object_get(j, inner) : j);
}

static void threads_and_tables_change_no_byte(void **state) {
  (void)state;
  const struct pare_train_options o = {.char_min = 2, .char_max = 3, .word_min = 1, .word_max = 2, .max_bytes = 6000};
  struct pare_dataset_options few = {.limit = 1500};
  struct pare_train_options intents = {.prune = 0.9, .precision = 16, .data = few, .c = 3, .max_iterations = 8};
  char first[2][65];
  static const char *const isas[] = {"scalar", "scalar", NULL, NULL};
  for (size_t i = 0; i < 4; i++) {
    pare_engine e = engine_of(isas[i], i % 2 ? 3 : 1);
    for (size_t k = 0; k < 2; k++) {
      struct trained t = train(&e, k ? INTENTS : SMS, k ? &intents : &o);
      const char *sha256 = json_string_value(json_object_get(t.record, "sha256"));
      if (!i) memcpy(first[k], sha256, 65);
      assert_string_equal(sha256, first[k]);
      trained_free(&t);
    }
    pool_close(e.pool);
  }
}

static size_t best_of(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

// Logits of one text by the short way and by ids, the same bits; the label it gives.
static size_t answer(pare_model *m, pare_session *s, const struct pare_text *text, float *row) {
  struct pare_error err;
  struct encoded ids = {0};
  size_t N = m->config.N;
  float *by_ids = malloc(N * sizeof(float));
  must(session_text_logits(s, text, 0, row, &err), &err);
  must(model_tokenize(m, text, 0, false, &ids, &err), &err);
  must(session_logits(s, &(struct pare_sequence){.ids = ids.ids, .len = ids.len}, 1, by_ids, &err), &err);
  assert_memory_equal(row, by_ids, N * sizeof(float));
  encoded_free(&ids);
  free(by_ids);
  return best_of(row, N);
}

static void real_texts_are_learnt(void **state) {
  (void)state;
  pare_engine e = engine_of(NULL, 2);
  struct pare_error err;
  struct trained t = train(&e, SMS, &(struct pare_train_options){.precision = 8, .c = 30, .max_bytes = 4000});
  assert_true(number(t.record, "bytes", NULL) <= 4000);
  assert_true(number(t.record, "accuracy", "n") == 102);
  assert_true(number(t.record, "accuracy", "value") > 0.93);
  pare_model *m;
  pare_session *s;
  pare_dataset *d;
  must(model_open(&e, t.path, &m, &err), &err);
  must(session_open(m, 0, &s, &err), &err);
  must(dataset_open(SMS, NULL, &d, &err), &err);
  assert_int_equal(m->tensors.file_bytes, (size_t)number(t.record, "bytes", NULL));
  size_t right = 0;
  for (size_t i = 0; i < d->count; i++) {
    float row[2], scores[2];
    struct pare_text text = dataset_text(d, i);
    right += strcmp(m->labels[answer(m, s, &text, row)], d->rows[i].label) == 0;
    must(classify_run(s, &text, 1, NULL, scores, NULL, &err), &err);
    assert_true(row[0] == -row[1] && fabsf(scores[0] + scores[1] - 1) < 1e-6f);
    assert_int_equal(best_of(row, 2), best_of(scores, 2));
  }
  assert_true(right > d->count * 97 / 100); // texts it has learnt from
  const struct pare_text none = {.text = "", .len = 0};
  float row[2];
  answer(m, s, &none, row); // no feature at all: the bias
  dataset_close(d);
  session_close(s);
  model_close(m);
  trained_free(&t);
  pool_close(e.pool);
}

static void bounds_are_kept_and_choices_said(void **state) {
  (void)state;
  pare_engine e = engine_of(NULL, 2);
  struct pare_dataset_options some = {.limit = 1200};
  struct trained t =
      train(&e, INTENTS, &(struct pare_train_options){.data = some, .c = 3, .prune = 0.97, .max_iterations = 15});
  const json_t *list = json_object_get(t.record, "candidates");
  assert_int_equal(json_array_size(list), 3);
  assert_string_equal(json_string_value(json_object_get(json_array_get(list, 2), "encoding")), "sparse-int8");
  assert_true(number(json_array_get(list, 2), "bytes", NULL) < number(json_array_get(list, 0), "bytes", NULL) / 2);
  assert_non_null(strstr(json_string_value(json_object_get(t.record, "because")), "smallest file"));
  assert_non_null(strstr(json_string_value(json_object_get(t.record, "because")), "without its zeros"));
  trained_free(&t);
  struct pare_error err;
  json_t *record;
  char *out = path_join("/nonexistent", "m");
  assert_int_equal(train_run(&e, SMS, out, &(struct pare_train_options){.max_bytes = 100}, &record, &err), PARE_USAGE);
  assert_non_null(strstr(err.text, "too few"));
  assert_int_equal(train_run(&e, SMS, out, &(struct pare_train_options){.precision = 4}, &record, &err), PARE_USAGE);
  assert_int_equal(train_run(&e, SMS, out, &(struct pare_train_options){.bits = 60}, &record, &err), PARE_USAGE);
  assert_int_equal(train_run(&e, SMS, out, &(struct pare_train_options){.prune = 1}, &record, &err), PARE_USAGE);
  assert_int_equal(train_run(&e, SMS, out, &(struct pare_train_options){.c = -1}, &record, &err), PARE_USAGE);
  free(out);
  pool_close(e.pool);
}

// ---- damaged directories ----

// A model of three labels and a few hundred sparse weights, as files that can be edited.
static struct model_files *open_files(pare_engine *e, struct trained *t) {
  *t = train(
      e, INTENTS,
      &(struct pare_train_options){.data = {.limit = 600}, .c = 3, .prune = 0.9, .precision = 8, .max_iterations = 5});
  struct model_files *f = calloc(1, sizeof *f);
  struct pare_error err = {0};
  char *config = path_join(t->path, "config.json");
  must(dir_create_temp(&f->dir, &err), &err);
  must(tensors_open(t->path, &f->source, &err), &err);
  must(json_file_load(config, &f->config, &err), &err);
  f->count = f->source.count;
  memcpy(f->list, f->source.list, f->count * sizeof f->list[0]);
  free(config);
  return f;
}

static void set_ngrams(struct model_files *f, const char *key, json_t *value) {
  json_object_set_new(json_object_get(f->config, "ngrams"), key, value);
}

static void damaged_models_are_refused(void **state) {
  (void)state;
  pare_engine e = engine_of(NULL, 2);
  struct trained t;
  for (int damage = 0; damage < 15; damage++) {
    struct model_files *f = open_files(&e, &t);
    const char *said = "ngrams";
    switch (damage) {
      case 0: set_ngrams(f, "bits", json_integer(60)), said = "bits"; break;
      case 1: set_ngrams(f, "bits", json_integer(9)), said = "below 2^9"; break;
      case 2: set_ngrams(f, "words", json_pack("[i, i]", 0, 2)), said = "words"; break;
      case 3: set_ngrams(f, "words", json_pack("[i]", 1)), said = "words"; break;
      case 4: set_ngrams(f, "chars", json_pack("[i, i]", 1, 99)), said = "chars"; break;
      case 5: set_ngrams(f, "seed", json_integer(-1)), said = "seed"; break;
      case 6: files_set(f, "ngrams", json_null()); break;
      case 7: files_remove(f, "ngrams"), said = "missing tensor ngrams"; break;
      case 8: files_set(f, "vocab_size", json_integer(3)), said = "classifier.weight"; break;
      case 9: memset(files_bytes(f, "ngrams"), 0xff, files_find(f, "ngrams")->bytes); break;
      case 10: memset((uint8_t *)files_bytes(f, "classifier.weight_index") + 1, 0xff, 9), said = "position"; break;
      case 11: *(uint8_t *)files_bytes(f, "classifier.weight_index") = 200, said = "position"; break;
      case 12: memset(files_bytes(f, "classifier.weight_scale"), 0xff, 4), said = "not a number"; break;
      case 13: files_find(f, "classifier.weight_index")->dtype = DTYPE_I8, said = "classifier.weight"; break;
      case 14: memset(files_bytes(f, "classifier.bias"), 0xff, 4), said = "not a number"; break;
      default: break;
    }
    files_refuse(f, PARE_DATA, NEEDLES(said));
    files_close(f);
    trained_free(&t);
  }
  pool_close(e.pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_is_the_slope_of_the_loss),
      cmocka_unit_test(threads_and_tables_change_no_byte),
      cmocka_unit_test(real_texts_are_learnt),
      cmocka_unit_test(bounds_are_kept_and_choices_said),
      cmocka_unit_test(damaged_models_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
