// transpose.c - rows become columns: every table, words of 1, 2, 4 and 8 bytes, sizes around each block, odd strides.
#include "guard.h"

enum { MAX_BYTES = 1 << 20 };

struct blocks {
  struct guard src, dst;
};

static int open_blocks(void **state) {
  static struct blocks b;
  guard_open(&b.src, MAX_BYTES);
  guard_open(&b.dst, MAX_BYTES);
  *state = &b;
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_blocks(void **state) {
  struct blocks *b = *state;
  guard_close(&b->src);
  guard_close(&b->dst);
  return 0;
}

// gap: bytes between rows, of both matrices.
static void check(const struct kernels *k, struct blocks *b, struct rng *r, size_t rows, size_t columns, size_t size,
                  size_t gap) {
  struct transpose t = {.size = size, .rows = rows, .columns = columns};
  t.src_stride = columns * size + gap;
  t.dst_stride = rows * size + gap;
  uint8_t *src = guard_take(&b->src, rows * t.src_stride - gap);
  t.src = src;
  t.dst = guard_take(&b->dst, columns * t.dst_stride - gap);
  for (size_t i = 0; i < b->src.len; i++) src[i] = (uint8_t)rng_next(r);
  k->transpose(&t);
  for (size_t row = 0; row < rows; row++)
    for (size_t c = 0; c < columns; c++)
      if (memcmp(t.dst + c * t.dst_stride + row * size, t.src + row * t.src_stride + c * size, size) != 0)
        fail_msg("%s: %zu x %zu words of %zu bytes: row %zu, column %zu is wrong", k->name, rows, columns, size, row,
                 c);
  check_gaps(t.dst, columns, rows * size, t.dst_stride, 1);
  guard_check_front(&b->dst);
}

static void rows_become_columns(void **state) {
  struct rng r;
  rng_seed(&r, TEST_SEED);
  const struct kernels *k;
  for (size_t next = 0; (k = next_table(&next));)
    for (size_t i = 0; i < TEST_SIZES; i++)
      for (size_t j = 0; j < TEST_SIZES; j++)
        for (size_t size = 1; size <= 8; size *= 2) {
          if (test_sizes[i] > 129) continue; // no panel has that many outputs
          check(k, *state, &r, test_sizes[i], test_sizes[j], size, 0);
          check(k, *state, &r, test_sizes[i], test_sizes[j], size, 3);
        }
}

static void nothing_is_nothing(void **state) {
  const struct kernels *k;
  (void)state;
  uint8_t one = 7;
  for (size_t next = 0; (k = next_table(&next));)
    for (size_t size = 1; size <= 8; size *= 2) {
      k->transpose(&(struct transpose){.size = size, .rows = 0, .columns = 200, .src = &one, .dst = &one});
      k->transpose(&(struct transpose){.size = size, .rows = 200, .columns = 0, .src = &one, .dst = &one});
      assert_int_equal(one, 7);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_become_columns),
      cmocka_unit_test(nothing_is_nothing),
  };
  return cmocka_run_group_tests(tests, open_blocks, close_blocks);
}
