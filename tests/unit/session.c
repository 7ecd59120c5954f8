// session.c - the computed arena holds every batch that is accepted, for each architecture, scheme and thread count;
// what is not acceptable is refused by sequence and token; weights that are no numbers make no harm.
#include "model_files.h"

#include <math.h>

#include "quant/scheme.h"
#include "quantize_any.h"

enum { MOST_TOKENS = 1600 };

static const char *const golden_models[] = {"models/gpt2-cls", "models/gpt2-lm",    "models/gpt2-lm-untied",
                                            "models/bert",     "models/distilbert", "encoder"};
enum { GOLDEN_MODELS = sizeof golden_models / sizeof golden_models[0] };

// "encoder": BERT without a head, which no golden is.
static struct model_files *open_golden(const char *name) {
  bool encoder = !strcmp(name, "encoder");
  struct model_files *f = files_open(encoder ? "models/bert" : name);
  if (encoder) files_set(f, "architectures", json_pack("[s]", "BertModel"));
  return f;
}

static uint32_t ids[MOST_TOKENS];
static uint8_t types[MOST_TOKENS];

static int setup(void **state) {
  (void)state;
  for (uint32_t i = 0; i < MOST_TOKENS; i++) {
    ids[i] = (i * 7 + 3) % 43;
    types[i] = (uint8_t)(i % 2);
  }
  return 0;
}

// Sequences of the lengths given, one after another through ids; 0 ends the list.
static size_t make_sequences(const size_t *lengths, size_t n, struct pare_sequence *out) {
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    out[i] = (struct pare_sequence){.ids = ids + at, .types = types + at, .len = lengths[i]};
    at += lengths[i];
  }
  assert_true(at <= MOST_TOKENS);
  return at;
}

// One session of `tokens`, one call; the arena itself stops the program when it is overrun.
static void run(pare_model *m, size_t tokens, const size_t *lengths, size_t n) {
  struct pare_sequence sequences[MOST_TOKENS];
  struct pare_error err = {0};
  size_t total = make_sequences(lengths, n, sequences);
  size_t count = session_rows(m, 1) == session_rows(m, 2) ? n : total;
  float *logits = malloc(count * session_columns(m) * sizeof *logits);
  for (size_t i = 0; i < count * session_columns(m); i++) logits[i] = NAN;
  pare_session *s;
  must(session_open(m, tokens, &s, &err), &err);
  must(session_logits(s, sequences, n, logits, &err), &err);
  for (size_t i = 0; i < count * session_columns(m); i++)
    if (!isfinite(logits[i])) fail_msg("value %zu of %zu was not written", i, count * session_columns(m));
  assert_int_equal(s->arena.used, 0);
  assert_true(s->arena.peak > 0 && s->arena.peak <= s->arena.size);
  session_close(s);
  free(logits);
}

// All of length 1, the longest alone, several of the longest, one row, a ragged mixture.
static void run_worst_cases(pare_model *m) {
  size_t P = m->config.P, ones[MOST_TOKENS];
  for (size_t i = 0; i < MOST_TOKENS; i++) ones[i] = 1;
  run(m, 1, ones, 3);
  run(m, 33, ones, 33);
  run(m, 0, ones, P);
  run(m, 200, ones, 200);
  run(m, 0, (size_t[]){P}, 1);
  run(m, P, (size_t[]){P, P, 1, P}, 4);
  run(m, 2 * P + 1, (size_t[]){P, P, 1, 7}, 4);
  run(m, P, (size_t[]){P - 1, 1, 1, P, 17, 5, 16, 15}, 8);
  run(m, 25, (size_t[]){24, 25, 1, 13, 12, 2}, 6);
}

// Attention's scratch grows with the longest sequence, and is larger than a product's only for long ones.
static void long_sequences_fit_too(void **state) {
  (void)state;
  for (size_t threads = 1; threads <= 5; threads += 4) {
    pare_engine engine = {0};
    struct pare_error err = {0};
    must(kernels_select(NULL, &engine.kernels, &err), &err);
    must(pool_open(threads, &engine.pool, &err), &err);
    struct model_files *f = files_open("models/gpt2-cls");
    files_set(f, "n_positions", json_integer(1500));
    files_put(f, "transformer.wpe.weight", DTYPE_F32, 2, (size_t[]){1500, 36}, NULL);
    pare_model *m = files_model(f, &engine);
    run(m, 0, (size_t[]){1500, 30, 70}, 3);
    run(m, 1600, (size_t[]){100, 1500}, 2);
    model_close(m);
    files_close(f);
    pool_close(engine.pool);
  }
}

static void with_threads(const char *dir) {
  static const struct {
    const char *isa;
    size_t threads;
  } cases[] = {{"scalar", 3}, {NULL, 1}, {NULL, 2}, {NULL, 3}, {NULL, 5}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    pare_engine engine = {0};
    struct pare_error err = {0};
    must(kernels_select(cases[i].isa, &engine.kernels, &err), &err);
    must(pool_open(cases[i].threads, &engine.pool, &err), &err);
    pare_model *m;
    must(model_open(&engine, dir, &m, &err), &err);
    run_worst_cases(m);
    model_close(m);
    pool_close(engine.pool);
  }
}

static void the_arena_is_never_overrun(void **state) {
  (void)state;
  size_t count;
  const struct scheme *schemes = schemes_all(&count);
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select(NULL, &engine.kernels, &err), &err);
  for (size_t i = 0; i < GOLDEN_MODELS; i++) {
    for (size_t k = 0; k < count; k++) {
      if (!schemes[k].encoding) continue;
      struct model_files *f = open_golden(golden_models[i]);
      files_write(f);
      char *out = path_join(f->dir.temp, "out");
      struct pare_quantize_options options = {.scheme = schemes[k].name, .even_if_larger = true};
      json_t *record;
      must(quantize_any(&engine, f->dir.temp, out, &options, &record, &err), &err);
      with_threads(out);
      json_decref(record);
      free(out);
      files_close(f);
    }
  }
}

// ---- refusals ----

static void refuse(pare_session *s, const struct pare_sequence *q, size_t n, const char *const *needles) {
  float logits[64] = {[0] = 5};
  struct pare_error err = {0};
  enum pare_status status = session_logits(s, q, n, logits, &err);
  assert_int_equal(status, PARE_DATA);
  for (size_t i = 0; needles[i]; i++)
    if (!strstr(err.text, needles[i])) fail_msg("the message does not hold \"%s\": %s", needles[i], err.text);
  assert_true(logits[0] == 5); // nothing was computed
}

static void what_cannot_be_computed_is_refused_by_place(void **state) {
  (void)state;
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select(NULL, &engine.kernels, &err), &err);
  struct model_files *f = files_open("models/bert");
  pare_model *m = files_model(f, &engine);
  pare_session *s;
  must(session_open(m, 0, &s, &err), &err);
  uint32_t bad_ids[3] = {1, 42, 43}, far[1] = {UINT32_MAX};
  uint8_t bad_types[3] = {0, 2, 1};
  struct pare_sequence good = {.ids = ids, .types = NULL, .len = 4};
  refuse(s, (struct pare_sequence[]){good, {.ids = bad_ids, .types = NULL, .len = 3}}, 2,
         NEEDLES(f->dir.temp, "sequence 1, token 2", "id 43", "43"));
  refuse(s, (struct pare_sequence[]){{.ids = far, .types = NULL, .len = 1}}, 1,
         NEEDLES("sequence 0, token 0", "id 4294967295"));
  refuse(s, (struct pare_sequence[]){good, good, {.ids = ids, .types = bad_types, .len = 3}}, 3,
         NEEDLES("sequence 2, token 1", "token type 2", "below 2"));
  refuse(s, (struct pare_sequence[]){good, {.ids = ids, .types = NULL, .len = 0}}, 2,
         NEEDLES("sequence 1", "expected 1 to 70 tokens", "found 0"));
  refuse(s, (struct pare_sequence[]){{.ids = ids, .types = NULL, .len = 71}}, 1,
         NEEDLES("sequence 0", "expected 1 to 70 tokens", "found 71"));
  refuse(s, (struct pare_sequence[]){{.ids = ids, .types = NULL, .len = SIZE_MAX}}, 1,
         NEEDLES("found 18446744073709551615"));
  assert_int_equal(session_logits(s, NULL, 0, NULL, &err), PARE_OK);
  session_close(s);
  must(session_open(m, 8, &s, &err), &err); // a small session takes no longer sequence
  refuse(s, (struct pare_sequence[]){{.ids = ids, .types = NULL, .len = 9}}, 1,
         NEEDLES("expected 1 to 8 tokens", "found 9"));
  session_close(s);
  model_close(m);
  files_close(f);
}

// DistilBERT and GPT-2 have no token types: given ones are not looked at.
static void token_types_are_ignored_where_there_are_none(void **state) {
  (void)state;
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select(NULL, &engine.kernels, &err), &err);
  struct model_files *f = files_open("models/distilbert");
  pare_model *m = files_model(f, &engine);
  pare_session *s;
  must(session_open(m, 0, &s, &err), &err);
  uint8_t odd[4] = {255, 0, 9, 1};
  float with[3], without[3];
  must(session_logits(s, &(struct pare_sequence){.ids = ids, .types = odd, .len = 4}, 1, with, &err), &err);
  must(session_logits(s, &(struct pare_sequence){.ids = ids, .types = NULL, .len = 4}, 1, without, &err), &err);
  assert_memory_equal(with, without, sizeof with);
  session_close(s);
  model_close(m);
  files_close(f);
}

static void absurd_batches_are_refused(void **state) {
  (void)state;
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select(NULL, &engine.kernels, &err), &err);
  struct model_files *f = files_open("models/gpt2-cls");
  pare_model *m = files_model(f, &engine);
  static const size_t absurd[] = {SIZE_MAX, SIZE_MAX / 2 + 2, SIZE_MAX / 4 + 1, SIZE_MAX / 144 + 1,
                                  ((size_t)1 << 24) + 1};
  for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
    pare_session *s = (pare_session *)&engine;
    assert_int_equal(session_open(m, absurd[i], &s, &err), PARE_USAGE);
    assert_null(s);
    assert_non_null(strstr(err.text, "16777216"));
  }
  model_close(m);
  files_close(f);
}

// ---- weights that are no numbers ----

static void fill(struct model_files *f, const char *name, float value) {
  struct tensor *t = files_find(f, name);
  size_t n = t->bytes / dtype_bytes(t->dtype);
  files_put(f, name, DTYPE_F32, t->rank, t->shape, NULL);
  float *x = files_bytes(f, name);
  for (size_t i = 0; i < n; i++) x[i] = value;
}

static void no_numbers_do_no_harm(void **state) {
  (void)state;
  static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-45f};
  for (size_t g = 0; g < GOLDEN_MODELS; g++) {
    for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
      pare_engine engines[8];
      size_t n = open_engines(engines, 8, 2), columns;
      for (size_t e = 0; e < n; e++) {
        struct model_files *f = open_golden(golden_models[g]);
        fill(f, f->list[v % f->count].name, values[v]);
        fill(f, f->list[f->count / 2].name, values[v]);
        pare_model *m = files_model(f, &engines[e]);
        struct golden_case c = {.ids = ids, .types = types, .len = 31};
        free(golden_run(m, &c, &columns));
        model_close(m);
        files_close(f);
      }
      close_engines(engines, n);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_arena_is_never_overrun),
      cmocka_unit_test(long_sequences_fit_too),
      cmocka_unit_test(what_cannot_be_computed_is_refused_by_place),
      cmocka_unit_test(token_types_are_ignored_where_there_are_none),
      cmocka_unit_test(absurd_batches_are_refused),
      cmocka_unit_test(no_numbers_do_no_harm),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
