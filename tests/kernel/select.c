// Choosing a table: by name, by PARE_ISA, by what the CPU has; what is missing is refused with the right status.
#include "guard.h"

#include <stdlib.h>

#if defined(__x86_64__)
static const char *const names[] = {"scalar", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};
static const char absent[] = "neon_dot";
#elif defined(__aarch64__)
static const char *const names[] = {"scalar", "neon", "neon_dot", "neon_i8mm"};
static const char absent[] = "avx512_vnni";
#else
static const char *const names[] = {"scalar"};
static const char absent[] = "avx512_vnni";
#endif

static void test_tables_are_complete(void **state) {
  (void)state;
  size_t count;
  const struct kernels *const *all = kernels_all(&count);
  assert_int_equal(count, sizeof names / sizeof *names);
  assert_true(all[0]->supported());
  for (size_t i = 0; i < count; i++) {
    const struct kernels *t = all[i];
    assert_string_equal(t->name, names[i]);
    assert_true(t->supported && t->gemm_f32 && t->gemm_i8 && t->gemm_half && t->quantize_u8 && t->layernorm);
    assert_true(t->softmax_exp && t->div && t->add && t->act && t->lstm);
    assert_true(t->unpack_i16 && t->gemm_i4 && t->gemm_nf4 && t->quantize_u8_fixed && t->mark_outliers &&
                t->quantize_s8);
    assert_true(t->f32_mr > 0 && t->i8_mr > 0 && t->i8_nr > 0 && t->i8_kg > 0 && t->i8_kg <= KERNEL_I8_KG_MAX);
    assert_int_equal(t->f32_nr % 32, 0);
    assert_true(t->f32_nr <= KERNEL_NR_MAX && t->i8_nr <= KERNEL_NR_MAX);
    assert_int_equal(t->bf16_dot, t->gemm_bf16 != NULL);
    assert_int_equal(t->bf16_dot, t->round_bf16 != NULL);
    assert_int_equal(t->bf16_dot, strcmp(t->name, "avx512_bf16") == 0);
  }
}

static void test_by_name(void **state) {
  (void)state;
  size_t count;
  const struct kernels *const *all = kernels_all(&count);
  for (size_t i = 0; i < count; i++) {
    const struct kernels *t = NULL;
    struct pare_error err = {0};
    enum pare_status status = kernels_select(all[i]->name, &t, &err);
    if (all[i]->supported()) {
      assert_int_equal(status, PARE_OK);
      assert_ptr_equal(t, all[i]);
    } else {
      assert_int_equal(status, PARE_UNAVAILABLE);
      assert_non_null(strstr(err.text, all[i]->name));
    }
  }
}

static void test_refusals(void **state) {
  (void)state;
  const struct kernels *t = NULL;
  struct pare_error err = {0};
  assert_int_equal(kernels_select("sse9", &t, &err), PARE_USAGE);
  assert_non_null(strstr(err.text, "sse9"));
  assert_non_null(strstr(err.text, "avx512_vnni"));
  assert_non_null(strstr(err.text, "neon_i8mm"));
  assert_int_equal(kernels_select("", &t, &err), PARE_USAGE);
  assert_int_equal(kernels_select(absent, &t, &err), PARE_UNAVAILABLE); // not in this program, but there is such a name
  assert_non_null(strstr(err.text, absent));
  assert_null(t);
  assert_int_equal(kernels_select("AVX2", &t, NULL), PARE_USAGE);
}

static void test_environment(void **state) {
  (void)state;
  size_t count;
  const struct kernels *const *all = kernels_all(&count), *best = all[0], *t = NULL;
  for (size_t i = 0; i < count; i++) {
    if (all[i]->supported()) best = all[i];
  }
  struct pare_error err;
  unsetenv("PARE_ISA");
  assert_int_equal(kernels_select(NULL, &t, &err), PARE_OK);
  assert_ptr_equal(t, best);
  setenv("PARE_ISA", "", 1);
  assert_int_equal(kernels_select(NULL, &t, &err), PARE_OK);
  assert_ptr_equal(t, best);
  setenv("PARE_ISA", "scalar", 1);
  assert_int_equal(kernels_select(NULL, &t, &err), PARE_OK);
  assert_ptr_equal(t, all[0]);
  setenv("PARE_ISA", "nonsense", 1);
  assert_int_equal(kernels_select(NULL, &t, &err), PARE_USAGE);
  assert_int_equal(kernels_select("scalar", &t, &err), PARE_OK); // a name given outranks it
  unsetenv("PARE_ISA");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tables_are_complete),
      cmocka_unit_test(test_by_name),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_environment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
