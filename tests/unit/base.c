// base.c - base/: arena, sizes, text, numbers, time.
#include <stdarg.h>
#include <stddef.h>
// cmocka.h wants the two above and the two below first.
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/size.h"
#include "base/utf8.h"

// ---- arena, sizes ----

static void arena_carves_aligned_zeroed_blocks(void **state) {
  (void)state;
  struct arena a;
  assert_int_equal(arena_init(&a, arena_need(1) + arena_need(65) + arena_need(64), NULL), PARE_OK);
  assert_int_equal(a.size, 64 + 128 + 64);
  uint8_t *x = arena_take(&a, 1), *y = arena_take(&a, 65);
  size_t mark = arena_mark(&a);
  uint8_t *z = arena_take(&a, 64);
  assert_int_equal((uintptr_t)x % ARENA_ALIGN, 0);
  assert_ptr_equal(y, x + 64);
  assert_ptr_equal(z, y + 128);
  for (size_t i = 0; i < a.size; i++) assert_int_equal(x[i], 0);
  memset(x, 1, a.size); // all of it is ours
  arena_reset(&a, mark);
  assert_int_equal(a.used, 192);
  assert_int_equal(a.peak, 256);
  assert_ptr_equal(arena_take(&a, 3), z);
  arena_free(&a);
  arena_free(&a);
}

static void a_large_arena_begins_at_a_huge_page(void **state) {
  (void)state;
  const size_t huge = 2 << 20, size = 3 * huge + 4097;
  struct arena a;
  assert_int_equal(arena_init(&a, size, NULL), PARE_OK);
  assert_int_equal((uintptr_t)a.base % huge, 0);
  assert_int_equal(a.size, size);
  for (size_t i = 0; i < size; i += 4096) assert_int_equal(a.base[i], 0);
  a.base[size - 1] = 1;
  arena_free(&a);
}

static void arena_refuses_more_than_the_machine_has(void **state) {
  (void)state;
  struct arena a;
  struct pare_error err = {0};
  assert_int_equal(arena_init(&a, (size_t)1 << 62, &err), PARE_BUG);
  assert_non_null(strstr(err.text, "4611686018427387904"));
  assert_int_equal(arena_init(&a, SIZE_MAX - 1, &err), PARE_BUG);
  assert_int_equal(arena_init(&a, 0, &err), PARE_OK);
  arena_free(&a);
}

static void arena_overrun_stops_the_program(void **state) {
  (void)state;
  struct arena a;
  assert_int_equal(arena_init(&a, 128, NULL), PARE_OK);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    signal(SIGABRT, SIG_DFL);
    close(STDERR_FILENO);
    arena_take(&a, 64);
    arena_take(&a, 65);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  arena_free(&a);
}

static void sizes_are_checked(void **state) {
  (void)state;
  size_t out = 0;
  assert_true(size_mul(SIZE_MAX / 2, 2, &out));
  assert_true(out == SIZE_MAX - 1);
  assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &out));
  assert_false(size_mul((size_t)1 << 32, (size_t)1 << 32, &out));
  assert_true(size_mul(SIZE_MAX, 0, &out) && out == 0);
  assert_true(size_add(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
  assert_false(size_add(SIZE_MAX, 1, &out));
  assert_int_equal(size_round_up(0, 8), 0);
  assert_int_equal(size_round_up(1, 8), 8);
  assert_int_equal(size_round_up(8, 8), 8);
  assert_int_equal(size_ceil_div(9, 4), 3);
  assert_int_equal(size_ceil_div(8, 4), 2);
  assert_int_equal(size_min(2, 3), 2);
  assert_int_equal(size_max(2, 3), 3);
}

// ---- text ----

// RFC 3629 section 3, written the other way round: from code point to bytes.
static size_t encode(uint32_t c, unsigned char out[4]) {
  static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--, c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3F));
  out[0] = (unsigned char)(lead[len] | c);
  return len;
}

static void utf8_knows_every_code_point(void **state) {
  (void)state;
  for (uint32_t c = 0; c < 0x110000 + 0x1000; c++) {
    unsigned char bytes[4];
    size_t len = encode(c, bytes);
    bool valid = c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
    size_t got = utf8_sequence_len(bytes, len);
    if (got != (valid ? len : 0)) fail_msg("U+%04X: length %zu", c, got);
    for (size_t cut = 0; cut < len; cut++) {
      if (utf8_sequence_len(bytes, cut) != 0) fail_msg("U+%04X cut to %zu bytes is accepted", c, cut);
    }
  }
}

static void utf8_finds_the_first_bad_byte(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t len, bad;
  } cases[] = {
      {"", 0, 0},
      {"abc", 3, 3},
      {"a\0b", 3, 3},
      {"\xC3\xA9t\xC3\xA9", 5, 5},
      {"ab\x80", 3, 2},       // a tail alone
      {"a\xC0\xAF", 3, 1},    // overlong '/'
      {"\xE0\x80\xAF", 3, 0}, // overlong '/'
      {"\xF0\x80\x80\xAF", 4, 0},
      {"x\xED\xA0\x80", 4, 1},    // a surrogate
      {"\xF4\x90\x80\x80", 4, 0}, // U+110000
      {"\xF8\x88\x80\x80\x80", 5, 0},
      {"\xFF", 1, 0},
      {"ok\xE2\x82", 4, 2}, // cut
      {"\xE2\x82x", 3, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t got = utf8_first_bad(cases[i].bytes, cases[i].len);
    if (got != cases[i].bad) fail_msg("case %zu: %zu, %zu expected", i, got, cases[i].bad);
  }
}

static void error_text_cannot_drive_a_terminal(void **state) {
  (void)state;
  struct pare_error err;
  assert_int_equal(error_set(&err, PARE_DATA, "%s", "a\x1b[31mb\r\n\x7f\xff\xC3\xA9"), PARE_DATA);
  assert_int_equal(err.code, PARE_DATA);
  assert_string_equal(err.text, "a?[31mb????\xC3\xA9");
  error_set(&err, PARE_DATA, "%s",
            "a\xC2\x9B"
            "31mb\xC2\xA0"); // U+009B is ESC [ as one character
  assert_string_equal(err.text, "a??31mb\xC2\xA0");
  assert_int_equal(error_set(NULL, PARE_IO, "%s", "x"), PARE_IO);
  assert_int_equal(error_no_memory(&err), PARE_BUG);
  assert_string_equal(err.text, "out of memory");
}

static void error_text_is_cut_to_fit(void **state) {
  (void)state;
  struct {
    struct pare_error err;
    unsigned char guard[64];
  } x;
  char text[2 * sizeof x.err.text];
  // Two-byte letters at odd and even places, so that the cut falls inside one of them in one of the runs.
  for (size_t shift = 0; shift < 2; shift++) {
    memset(&x, 0xA5, sizeof x);
    memset(text, 'x', shift);
    for (size_t i = shift; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA9", 3);
    error_set(&x.err, PARE_DATA, "%s", text);
    size_t len = strlen(x.err.text);
    assert_int_equal(len, sizeof x.err.text - 1);
    assert_int_equal(utf8_first_bad(x.err.text, len), len);
    for (size_t i = 0; i < sizeof x.guard; i++) assert_int_equal(x.guard[i], 0xA5);
  }
}

static void buf_grows(void **state) {
  (void)state;
  struct buf b = {0};
  for (int i = 0; i < 1000; i++) buf_printf(&b, "%d,", i % 10);
  assert_int_equal(b.len, 2000);
  assert_int_equal(strlen(b.data), 2000);
  buf_add(&b, "x\0y", 3);
  buf_puts(&b, "");
  buf_puts(&b, "end");
  assert_int_equal(b.len, 2006);
  assert_memory_equal(b.data + 2000, "x\0yend", 7);
  char *text = buf_take(&b);
  assert_memory_equal(text, "0,1,2,", 6);
  assert_null(b.data);
  free(text);
  // Sizes around a power of two: the place where room for the NUL is forgotten.
  for (size_t len = 250; len < 262; len++) {
    char *fill = malloc(len);
    memset(fill, 'a', len);
    buf_add(&b, fill, len);
    assert_int_equal(strlen(b.data), len);
    buf_free(&b);
    free(fill);
  }
}

static void buf_take_of_nothing_and_of_failure(void **state) {
  (void)state;
  struct buf b = {0};
  char *text = buf_take(&b);
  assert_string_equal(text, "");
  free(text);
  buf_puts(&b, "kept");
  b.failed = true;
  buf_puts(&b, "dropped");
  assert_string_equal(b.data, "kept");
  assert_null(buf_take(&b));
  assert_false(b.failed);
}

// ---- numbers ----

static void rng_is_xoshiro256starstar(void **state) {
  (void)state;
  // The authors' generator from state {1, 2, 3, 4}.
  static const uint64_t expected[] = {11520,
                                      0,
                                      1509978240,
                                      1215971899390074240,
                                      1216172134540287360,
                                      607988272756665600,
                                      16172922978634559625u,
                                      8476171486693032832,
                                      10595114339597558777u,
                                      2904607092377533576};
  struct rng r = {{1, 2, 3, 4}};
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) assert_true(rng_next(&r) == expected[i]);
  // splitmix64 from 0.
  rng_seed(&r, 0);
  assert_true(r.s[0] == 0xe220a8397b1dcdafu && r.s[1] == 0x6e789e6aa1b965f4u);
  assert_true(r.s[2] == 0x06c45d188009454fu && r.s[3] == 0xf88bb8a8724c81ecu);
  assert_true(rng_next(&r) == 0x99ec5f36cb75f2b4u);
}

static void rng_distributions(void **state) {
  (void)state;
  struct rng r;
  rng_seed(&r, 7);
  enum { N = 70000 };
  size_t seen[7] = {0};
  double unit_sum = 0, sum = 0, squares = 0;
  for (int i = 0; i < N; i++) {
    size_t k = rng_below(&r, 7);
    assert_true(k < 7);
    seen[k]++;
    double u = rng_unit(&r), x = (double)rng_normal(&r);
    assert_true(u >= 0 && u < 1 && isfinite(x));
    unit_sum += u;
    sum += x;
    squares += x * x;
  }
  // Five standard errors each; the seed is fixed, so this cannot flicker.
  for (int i = 0; i < 7; i++) assert_true(fabs((double)seen[i] - N / 7.0) < 5 * sqrt(N * 6.0 / 49));
  assert_true(fabs(unit_sum / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
  assert_true(fabs(sum / N) < 5 / sqrt(N));
  assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
  for (int i = 0; i < 100; i++) assert_int_equal(rng_below(&r, 1), 0);
}

static void clock_moves_forward(void **state) {
  (void)state;
  uint64_t a = clock_ns();
  usleep(2000);
  uint64_t b = clock_ns();
  assert_true(b - a >= 2000000 && b - a < 60000000000u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arena_carves_aligned_zeroed_blocks),
      cmocka_unit_test(a_large_arena_begins_at_a_huge_page),
      cmocka_unit_test(arena_refuses_more_than_the_machine_has),
      cmocka_unit_test(arena_overrun_stops_the_program),
      cmocka_unit_test(sizes_are_checked),
      cmocka_unit_test(utf8_knows_every_code_point),
      cmocka_unit_test(utf8_finds_the_first_bad_byte),
      cmocka_unit_test(error_text_cannot_drive_a_terminal),
      cmocka_unit_test(error_text_is_cut_to_fit),
      cmocka_unit_test(buf_grows),
      cmocka_unit_test(buf_take_of_nothing_and_of_failure),
      cmocka_unit_test(rng_is_xoshiro256starstar),
      cmocka_unit_test(rng_distributions),
      cmocka_unit_test(clock_moves_forward),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
