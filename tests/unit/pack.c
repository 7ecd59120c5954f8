// pack.c - packed weights, byte by byte: every dense encoding, every table and 1 and 2 threads against the layout that
// pack.h and the encodings' files describe, written here as one loop over single values.
#include "kernel/guard.h"

#include <stdlib.h>

#include "base/pool.h"
#include "base/size.h"
#include "pack/pack.h"

enum { MAX_VALUES = 1 << 18 };

static const size_t outputs[] = {1, 31, 32, 63, 64, 65, 130}, inputs[] = {1, 2, 3, 15, 16, 63, 64, 65, 96, 130, 258};

static struct guard values;

static int open_values(void **state) {
  (void)state;
  guard_open(&values, MAX_VALUES);
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_values(void **state) {
  (void)state;
  guard_close(&values);
  return 0;
}

// Random parts; the values end where a page begins that nobody may touch, and lie at an odd address when they can.
static struct stored make(const struct encoding *e, size_t N, size_t K, bool transposed, struct rng *r) {
  struct stored s;
  struct pare_error err;
  assert_int_equal(stored_new(e, N, K, &s, &err), PARE_OK);
  s.transposed = transposed;
  for (size_t i = 1; i < s.part_count; i++) {
    uint8_t *p = (uint8_t *)(uintptr_t)s.parts[i].data;
    bool floats = s.parts[i].type == PART_F32;
    for (size_t b = 0; b < s.parts[i].bytes / (floats ? 4 : 1); b++) {
      if (floats) {
        ((float *)(void *)p)[b] = test_float(r);
      } else {
        p[b] = (uint8_t)rng_next(r);
      }
    }
  }
  uint8_t *p = guard_take(&values, s.parts[0].bytes);
  for (size_t i = 0; i < s.parts[0].bytes; i++) p[i] = (uint8_t)rng_next(r);
  s.parts[0].data = p;
  return s;
}

static size_t value_bytes(const struct stored *s) {
  return part_type_bytes(s->parts[0].type);
}

static const uint8_t *value_at(const struct stored *s, size_t n, size_t k) {
  return (const uint8_t *)s->parts[0].data + (s->transposed ? k * s->N + n : n * s->K + k) * value_bytes(s);
}

static uint8_t code_at(const struct stored *s, size_t n, size_t k) {
  size_t i = n * s->K + k;
  uint8_t byte = ((const uint8_t *)s->parts[0].data)[i / 2];
  return i % 2 ? byte & 15 : byte >> 4;
}

// Panels of groups of k: (K / group, nr, group), zeros where there is no value.
static void plain_words(const struct stored *s, size_t nr, size_t group, uint8_t *panels, size_t panel_bytes) {
  size_t size = value_bytes(s);
  for (size_t n = 0; n < s->N; n++)
    for (size_t k = 0; k < s->K; k++)
      memcpy(panels + n / nr * panel_bytes + ((k / group * nr + n % nr) * group + k % group) * size, value_at(s, n, k),
             size);
}

static void put_nibble(uint8_t *bytes, size_t i, uint8_t code) {
  bytes[i / 2] |= (uint8_t)(code << i % 2 * 4);
}

// kernel.h's panels for gemm_nf4.
static void plain_nf4(const struct stored *s, size_t nr, size_t block, uint8_t *panels, size_t panel_bytes) {
  size_t unit = nf4_unit(block);
  for (size_t n = 0; n < s->N; n++)
    for (size_t k = 0; k < s->K; k++) {
      uint8_t *start = panels + n / nr * panel_bytes + k / unit * nf4_unit_bytes(nr, block);
      put_nibble(start + (k % unit / 8 * nr + n % nr) * 4, k % 8, code_at(s, n, k));
      float absmax = nf4_absmax(s, (n * s->K + k) / NF4_BLOCK);
      memcpy(start + unit / 2 * nr + (k % unit / block * nr + n % nr) * 4, &absmax, 4);
    }
}

// kernel.h's panels for gemm_i4.
static void plain_int4(const struct stored *s, size_t nr, uint8_t *panels, size_t panel_bytes) {
  size_t words = size_ceil_div(s->K, 8), groups = size_ceil_div(s->K, I4_GROUP);
  for (size_t n = 0; n < s->N; n++)
    for (size_t k = 0; k < s->K; k++) {
      size_t g = k / I4_GROUP, kn = size_min(I4_GROUP, size_round_up(s->K, 8) - g * I4_GROUP), i = k % I4_GROUP;
      uint8_t *start = panels + n / nr * panel_bytes + g * i4_group_bytes(nr, I4_GROUP), *tail = start + kn / 2 * nr;
      uint8_t byte = ((const uint8_t *)s->parts[0].data)[n * words * 4 + k / 2];
      int value = (k % 2 ? byte >> 4 : byte & 15) - 8;
      put_nibble(start + (i / 8 * nr + n % nr) * 4, i % 4 * 2 + i % 8 / 4, (uint8_t)(value & 15));
      memcpy(tail + n % nr * 4, (const uint8_t *)s->parts[1].data + (n * groups + g) * 4, 4);
      int16_t sum;
      memcpy(&sum, tail + nr * 4 + n % nr * 2, 2);
      sum = (int16_t)(sum + value);
      memcpy(tail + nr * 4 + n % nr * 2, &sum, 2);
    }
}

static size_t int4_panel_bytes(size_t nr, size_t K) {
  size_t bytes = 0;
  for (size_t k = 0; k < K; k += I4_GROUP) bytes += i4_group_bytes(nr, size_min(I4_GROUP, size_round_up(K, 8) - k));
  return bytes;
}

static void check_scales(const struct kernels *k, const struct stored *s, const struct packed *w) {
  size_t nr = s->encoding->integer ? k->i8_nr : k->f32_nr;
  for (size_t n = 0; n < w->panels * nr; n++) {
    int32_t sum = 0;
    for (size_t i = 0; w->sum && n < s->N && i < s->K; i++) sum += *(const int8_t *)value_at(s, n, i);
    if (w->sum) assert_int_equal(w->sum[n], sum);
    float scale = 0;
    if (n < s->N && w->scale) scale = part_f32(&s->parts[1], s->encoding == &encoding_int8_tensor ? 0 : n);
    if (s->encoding == &encoding_llm_int8) scale /= 127;
    if (w->scale) assert_memory_equal(&w->scale[n], &scale, 4);
  }
}

static void check(const struct kernels *k, const struct stored *s, const struct packed *w) {
  const struct encoding *e = s->encoding;
  bool nf4 = e == &encoding_nf4 || e == &encoding_nf4_dq, int4 = e == &encoding_int4;
  size_t nr = e->integer ? k->i8_nr : k->f32_nr, group = 1, unit = nf4_unit(size_max(w->block, 1));
  if (e->integer) group = k->i8_kg;
  if (w->input.kind == ACTIVATION_BF16) group = 2;
  assert_int_equal(w->panels, size_ceil_div(s->N, nr));
  if (nf4) assert_true(s->K % w->block == 0 && NF4_BLOCK % w->block == 0);
  assert_int_equal(w->panel_bytes, nf4    ? size_ceil_div(s->K, unit) * nf4_unit_bytes(nr, w->block)
                                   : int4 ? int4_panel_bytes(nr, s->K)
                                          : nr * size_round_up(s->K, group) * value_bytes(s));
  uint8_t *want = calloc(w->panels, w->panel_bytes);
  assert_non_null(want);
  if (nf4) {
    plain_nf4(s, nr, w->block, want, w->panel_bytes);
  } else if (int4) {
    plain_int4(s, nr, want, w->panel_bytes);
  } else {
    plain_words(s, nr, group, want, w->panel_bytes);
  }
  for (size_t i = 0; i < w->panels * w->panel_bytes; i++)
    if (want[i] != w->data[i])
      fail_msg("%s, %s, %zu x %zu%s: byte %zu of panel %zu is %02x, expected %02x", k->name, e->name, s->N, s->K,
               s->transposed ? " transposed" : "", i % w->panel_bytes, i / w->panel_bytes, w->data[i], want[i]);
  free(want);
  if (!nf4 && !int4) check_scales(k, s, w);
}

struct job {
  const struct kernels *k;
  const struct stored *s;
  const struct packed *w;
};
static void pack_run(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct job *j = context;
  j->s->encoding->pack_panels(j->k, j->s, j->w, job, job + 1);
}

static void check_weight(const struct encoding *e, size_t N, size_t K, bool transposed, struct pool *pool,
                         struct rng *r) {
  struct stored s = make(e, N, K, transposed, r);
  const struct kernels *k;
  for (size_t next = 0; (k = next_table(&next));) {
    struct arena a;
    struct packed w;
    assert_int_equal(arena_init(&a, e->packed_bytes(k, N, K), NULL), PARE_OK);
    memset(a.base, GUARD_FILL, a.size); // what the memory held before must not show
    e->pack(k, &s, &a, &w);
    assert_int_equal(a.used, a.size);
    pool_run(pool, pack_run, &(struct job){k, &s, &w}, w.panels);
    check(k, &s, &w);
    arena_free(&a);
  }
  stored_free(&s);
}

static void check_all(size_t threads) {
  static const struct encoding *const dense[] = {&encoding_f32,         &encoding_f16,      &encoding_bf16,
                                                 &encoding_int16,       &encoding_int8,     &encoding_int8_tensor,
                                                 &encoding_int8_static, &encoding_llm_int8, &encoding_int4,
                                                 &encoding_nf4,         &encoding_nf4_dq};
  struct pool *pool;
  struct rng r;
  rng_seed(&r, TEST_SEED);
  assert_int_equal(pool_open(threads, &pool, NULL), PARE_OK);
  for (size_t e = 0; e < sizeof dense / sizeof *dense; e++)
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
      for (size_t j = 0; j < sizeof inputs / sizeof *inputs; j++) {
        check_weight(dense[e], outputs[i], inputs[j], false, pool, &r);
        if (dense[e] == &encoding_f32 || dense[e] == &encoding_f16 || dense[e] == &encoding_bf16)
          check_weight(dense[e], outputs[i], inputs[j], true, pool, &r);
      }
  pool_close(pool);
}

static void panels_hold_what_a_plain_loop_puts_there(void **state) {
  (void)state;
  check_all(1);
}

static void two_threads_pack_the_same(void **state) {
  (void)state;
  check_all(2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(panels_hold_what_a_plain_loop_puts_there),
      cmocka_unit_test(two_threads_pack_the_same),
  };
  return cmocka_run_group_tests(tests, open_values, close_values);
}
