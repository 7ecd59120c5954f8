// linear_features.c - hashed n-grams against a slow and obvious version, position codes, sparse weights.
#include "golden/golden.h"

#include "base/rice.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "pack/sparse.h"
#include "text/ngram.h"
#include "text/unicode.h"

// ---- position codes ----

static void positions_come_back(void **state) {
  (void)state;
  struct rng rng;
  rng_seed(&rng, 7);
  for (int round = 0; round < 60; round++) {
    uint64_t positions[300], at = 0, found;
    size_t n = rng_below(&rng, 300), spread = 1 + rng_below(&rng, round % 3 ? 20 : 1u << 30);
    for (size_t i = 0; i < n; i++) at = positions[i] = at + rng_below(&rng, spread) + (i > 0);
    size_t bytes = rice_encode(positions, n, NULL);
    uint8_t *code = malloc(bytes); // as long as promised: sanitizers see one byte more
    assert_int_equal(rice_encode(positions, n, code), bytes);
    struct rice_reader r;
    assert_true(rice_open(&r, code, bytes));
    for (size_t i = 0; i < n; i++) {
      assert_true(rice_next(&r, at + 1, &found));
      assert_true(found == positions[i]);
    }
    assert_true(rice_at_end(&r));
    if (n) { // the last position is not below itself
      rice_open(&r, code, bytes);
      for (size_t i = 0; i + 1 < n; i++) rice_next(&r, at, &found);
      assert_false(rice_next(&r, at, &found));
    }
    free(code);
  }
}

static void hostile_codes_end(void **state) {
  (void)state;
  struct rice_reader r;
  uint64_t found;
  assert_false(rice_open(&r, (const uint8_t *)"", 0));
  assert_false(rice_open(&r, (const uint8_t *)"\x29", 1)); // k = 41
  uint8_t ones[40];
  memset(ones, 0xff, sizeof ones);
  ones[0] = 40;
  assert_true(rice_open(&r, ones, sizeof ones));
  assert_false(rice_next(&r, UINT64_MAX, &found)); // a quotient without end
  ones[39] = 0x0f;                                 // one that ends, and is too large
  rice_open(&r, ones, sizeof ones);
  assert_false(rice_next(&r, UINT64_MAX, &found));
  struct rng rng;
  rng_seed(&rng, 3);
  for (int round = 0; round < 2000; round++) {
    uint8_t code[24];
    for (size_t i = 0; i < sizeof code; i++) code[i] = (uint8_t)rng_below(&rng, 256);
    code[0] = (uint8_t)(code[0] % 41);
    uint64_t last = 0;
    assert_true(rice_open(&r, code, sizeof code));
    for (size_t n = 0; rice_next(&r, 1000, &found); n++) {
      assert_true(found < 1000 && (n == 0 || found > last));
      last = found;
    }
  }
}

// ---- n-grams ----

enum { CAP = 4096 };
struct list {
  uint32_t v[CAP];
  size_t n;
};
static void collect(void *context, const uint32_t *buckets, size_t n) {
  struct list *l = context;
  assert_true(l->n + n <= CAP);
  memcpy(l->v + l->n, buckets, n * sizeof *buckets);
  l->n += n;
}
static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static const uint64_t BASE = 0x9E3779B97F4A7C15, MIX = 0xBF58476D1CE4E5B9, SALT = 0xFF51AFD7ED558CCD;
static uint64_t polynomial(const uint64_t *values, size_t n) {
  uint64_t h = 0;
  for (size_t i = 0; i < n; i++) h = h * BASE + values[i];
  return h;
}
static void slow_add(struct list *l, const struct ngram_settings *s, const uint64_t *values, size_t n, size_t kind) {
  uint64_t h = polynomial(values, n) + (uint64_t)s->seed * MIX + kind * SALT;
  h = (h ^ h >> 32) * MIX;
  h = (h ^ h >> 29) * BASE;
  l->v[l->n++] = (uint32_t)(h >> (64 - s->bits));
}
// All n-grams of every length, each hashed from its start.
static void slow_all(struct list *l, const struct ngram_settings *s, const uint64_t *values, size_t count, size_t min,
                     size_t max, size_t kind) {
  for (size_t n = min; n <= max && n; n++)
    for (size_t i = 0; i + n <= count; i++) slow_add(l, s, values + i, n, kind + n);
}

static void slow_extract(const struct ngram_settings *s, const char *text, size_t len, struct list *l) {
  uint64_t words[512], chars[512];
  size_t word_count = 0, n = 1, i = 0;
  while (i < len) {
    size_t bytes;
    uint32_t c = unicode_read(text + i, &bytes), lower[2] = {c, 0};
    if (unicode_is_space(c) || (c >= 0x1c && c <= 0x1f)) {
      i += bytes;
      continue;
    }
    n = 1;
    bool word = unicode_is_word(c);
    do { // one word
      c = unicode_read(text + i, &bytes);
      size_t parts = s->lowercase ? unicode_lower(c, lower) : (lower[0] = c, 1);
      for (size_t k = 0; k < (word ? parts : 1); k++) chars[n++] = 2 + (uint64_t)lower[k];
      i += bytes;
    } while (word && i < len && unicode_is_word(unicode_read(text + i, &bytes)));
    chars[0] = chars[n] = 1; // the marks at its ends
    slow_all(l, s, chars, n + 1, s->char_min, s->char_max, 16);
    uint64_t h = polynomial(chars + 1, n - 1);
    words[word_count++] = (h ^ h >> 32) * MIX;
  }
  slow_all(l, s, words, word_count, s->word_min, s->word_max, 0);
}

static void check_text(const struct ngram_settings *s, const char *text, size_t len) {
  struct list fast = {.n = 0}, slow = {.n = 0};
  struct ngram_sink sink = {.take = collect, .context = &fast};
  struct pare_error err;
  must(ngram_extract(s, (struct text_span){text, len}, &sink, &err), &err);
  slow_extract(s, text, len, &slow);
  qsort(fast.v, fast.n, sizeof *fast.v, by_value);
  qsort(slow.v, slow.n, sizeof *slow.v, by_value);
  assert_int_equal(fast.n, slow.n);
  assert_memory_equal(fast.v, slow.v, fast.n * sizeof *fast.v);
}

static void ngrams_are_those_of_the_slow_version(void **state) {
  (void)state;
  static const struct ngram_settings settings[] = {
      {true, 1, 2, 0, 0, 18, 0}, {true, 1, 3, 3, 5, 20, 9}, {false, 2, 8, 1, 8, 24, 1}, {true, 0, 0, 2, 3, 8, 5}};
  static const char *const texts[] = {"",
                                      " ",
                                      "a",
                                      "It 's a charming and often affecting journey .",
                                      "WIN!!! \xC2\xA3"
                                      "1000 now",
                                      "na\xC3\xAFve \xC3\x89T\xC3\x89 \xC4\xB0stanbul \xE2\x82\xAC"
                                      "5 \xF0\x9F\x98\x80\xF0\x9F\x98\x80",
                                      "snake_case x\ty\nz\x1ew",
                                      "\xE4\xB8\xAD\xE6\x96\x87 \xE3\x80\x80 text"};
  struct rng rng;
  rng_seed(&rng, 5);
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) check_text(&settings[i], texts[t], strlen(texts[t]));
    for (int round = 0; round < 200; round++) { // characters of every length, at random
      static const char *const parts[] = {
          "a", "B", "7", " ", ".", "_", "\xC3\x89", "\xE2\x82\xAC", "\xE2\x80\x83", "\xF0\x9F\x98\x80", "e\xCC\x81"};
      char text[200] = "";
      for (size_t n = rng_below(&rng, 30); n > 0; n--) strcat(text, parts[rng_below(&rng, 11)]);
      check_text(&settings[i], text, strlen(text));
    }
  }
}

static void text_that_is_not_utf8_is_refused(void **state) {
  (void)state;
  struct list l = {.n = 0};
  struct ngram_sink sink = {.take = collect, .context = &l};
  struct ngram_settings s = {true, 1, 2, 0, 0, 18, 0};
  struct pare_error err;
  assert_int_equal(ngram_extract(&s, (struct text_span){"ok \xff", 4}, &sink, &err), PARE_DATA);
  assert_string_equal(err.text, "text is not valid UTF-8 at byte 3");
}

static void settings_out_of_range_are_named(void **state) {
  (void)state;
  assert_null(ngram_settings_problem(&(struct ngram_settings){true, 1, 2, 0, 0, 18, 0}));
  assert_non_null(ngram_settings_problem(&(struct ngram_settings){true, 0, 0, 0, 0, 18, 0}));
  assert_non_null(ngram_settings_problem(&(struct ngram_settings){true, 1, 9, 0, 0, 18, 0}));
  assert_non_null(ngram_settings_problem(&(struct ngram_settings){true, 3, 2, 0, 0, 18, 0}));
  assert_non_null(ngram_settings_problem(&(struct ngram_settings){true, 1, 2, 4, 3, 18, 0}));
  assert_non_null(ngram_settings_problem(&(struct ngram_settings){true, 1, 2, 0, 0, 60, 0}));
  assert_non_null(ngram_settings_problem(&(struct ngram_settings){true, 1, 2, 0, 0, 7, 0}));
}

// ---- sparse weights ----

static void fill(struct rng *rng, const struct stored *s, size_t one_in) {
  uint8_t *p = s->owned;
  size_t width = part_type_bytes(s->parts[0].type);
  for (size_t i = 0; i < s->N * s->K; i++) {
    if (rng_below(rng, one_in)) continue;
    float x = rng_normal(rng);
    int16_t w = (int16_t)(1 + rng_below(rng, 100));
    uint16_t h = f16_from_f32(x);
    if (width == 4) memcpy(p + 4 * i, &x, 4);
    if (width == 2) memcpy(p + 2 * i, s->encoding == &encoding_f16 ? (void *)&h : (void *)&w, 2);
    if (width == 1) p[i] = (uint8_t)(int8_t)-w;
  }
  for (size_t i = 0; s->part_count > 1 && i < s->N; i++)
    ((float *)(uintptr_t)s->parts[1].data)[i] = 0.01f * (float)(i + 1);
}

static void sums_of(struct nn_ctx *ctx, const struct stored *s, const uint32_t *ids, size_t n, float *y, bool *sparse) {
  struct pare_error err;
  struct arena a;
  struct bag bag;
  must(arena_init(&a, nn_bag_bytes(s), &err), &err);
  nn_bag_pack(ctx->kernels, s, &a, &bag);
  *sparse = bag.entries != NULL;
  assert_true(nn_bag_finite(&bag));
  nn_bag(ctx, &bag, ids, n, y);
  arena_free(&a);
}

static void sparse_weights_give_the_bits_of_dense_ones(void **state) {
  (void)state;
  enum { N = 37, K = 301, IDS = 50 };
  const struct encoding *const all[] = {&encoding_f32, &encoding_f16, &encoding_int16, &encoding_int8};
  struct rng rng;
  rng_seed(&rng, 11);
  pare_engine engines[8];
  size_t count = open_engines(engines, 8, 1);
  for (size_t e = 0; e < sizeof all / sizeof *all; e++) {
    struct stored dense, sparse, widened;
    struct pare_error err;
    must(stored_new(all[e], N, K, &dense, &err), &err);
    must(stored_new(all[e], N, K, &sparse, &err), &err);
    struct rng same = rng;
    fill(&rng, &dense, 12);
    fill(&same, &sparse, 12);
    must(sparse_if_smaller(&sparse, &err), &err);
    assert_true(sparse.encoding->dense == all[e] && stored_bytes(&sparse) < stored_bytes(&dense));
    assert_null(sparse.encoding->check(&sparse));
    must(sparse_to_f32(&sparse, &widened, &err), &err);
    uint32_t ids[IDS];
    for (size_t i = 0; i < IDS; i++) ids[i] = (uint32_t)rng_below(&rng, K);
    float first[N];
    for (size_t k = 0; k < count; k++) {
      struct nn_ctx ctx = {.kernels = engines[k].kernels};
      float x[K], z[K], f[K], y[N], s[N];
      for (size_t n = 0; n < N; n++) {
        stored_row(ctx.kernels, &dense, n, x);
        stored_row(ctx.kernels, &sparse, n, z);
        stored_row(ctx.kernels, &widened, n, f);
        for (size_t i = 0; i < K; i++) assert_true(x[i] == z[i] && x[i] == f[i]);
      }
      bool is_sparse;
      sums_of(&ctx, &dense, ids, IDS, y, &is_sparse);
      assert_false(is_sparse);
      sums_of(&ctx, &sparse, ids, IDS, s, &is_sparse);
      assert_true(is_sparse);
      if (k == 0) memcpy(first, y, sizeof y);
      assert_memory_equal(y, s, sizeof y);
      assert_memory_equal(y, first, sizeof y);
    }
    stored_free(&widened);
    stored_free(&dense);
    stored_free(&sparse);
  }
  close_engines(engines, count);
}

// More than a quarter of the values, so the rows are dense in memory though sparse in the file.
static void half_full_weights_are_read_whole(void **state) {
  (void)state;
  enum { N = 20, K = 90 };
  struct stored dense, sparse;
  struct pare_error err;
  struct rng rng, same;
  rng_seed(&rng, 4);
  same = rng;
  must(stored_new(&encoding_f32, N, K, &dense, &err), &err);
  must(stored_new(&encoding_f32, N, K, &sparse, &err), &err);
  fill(&rng, &dense, 2);
  fill(&same, &sparse, 2);
  must(sparse_if_smaller(&sparse, &err), &err);
  assert_true(sparse.encoding == &encoding_sparse_f32);
  struct nn_ctx ctx = {0};
  must(kernels_select(NULL, &ctx.kernels, &err), &err);
  uint32_t ids[K];
  for (uint32_t i = 0; i < K; i++) ids[i] = K - 1 - i;
  float y[N], z[N];
  bool is_sparse;
  sums_of(&ctx, &dense, ids, K, y, &is_sparse);
  sums_of(&ctx, &sparse, ids, K, z, &is_sparse);
  assert_false(is_sparse);
  assert_memory_equal(y, z, sizeof y);
  stored_free(&dense);
  stored_free(&sparse);
}

static void count_visit(void *context, size_t n, size_t k, float value) {
  (void)n;
  (void)k;
  assert_true(value != 0);
  ++*(size_t *)context;
}

// The zeros that fill a code's last byte can read as one position more.
static void stored_values_are_visited_and_no_others(void **state) {
  (void)state;
  struct rng rng;
  rng_seed(&rng, 8);
  for (size_t one_in = 2; one_in < 40; one_in++) {
    for (size_t K = 100; K < 120; K++) {
      struct stored s;
      struct pare_error err;
      size_t visits = 0;
      must(stored_new(&encoding_f32, 8, K, &s, &err), &err);
      fill(&rng, &s, one_in);
      must(sparse_if_smaller(&s, &err), &err);
      if (sparse_is(&s)) {
        sparse_each(&s, count_visit, &visits);
        assert_int_equal(visits, sparse_count(&s));
      }
      stored_free(&s);
    }
  }
}

static void full_weights_stay_dense(void **state) {
  (void)state;
  struct stored s;
  struct pare_error err;
  struct rng rng;
  rng_seed(&rng, 2);
  must(stored_new(&encoding_int8, 3, 200, &s, &err), &err);
  fill(&rng, &s, 1);
  must(sparse_if_smaller(&s, &err), &err);
  assert_true(s.encoding == &encoding_int8);
  stored_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(positions_come_back),
      cmocka_unit_test(hostile_codes_end),
      cmocka_unit_test(ngrams_are_those_of_the_slow_version),
      cmocka_unit_test(text_that_is_not_utf8_is_refused),
      cmocka_unit_test(settings_out_of_range_are_named),
      cmocka_unit_test(sparse_weights_give_the_bits_of_dense_ones),
      cmocka_unit_test(half_full_weights_are_read_whole),
      cmocka_unit_test(stored_values_are_visited_and_no_others),
      cmocka_unit_test(full_weights_stay_dense),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
