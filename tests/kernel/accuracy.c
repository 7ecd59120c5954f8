// How close the definition (scalar.c) is to the mathematics: float kernels against double-precision libm, each within a
// stated budget. The other tables have scalar's bits, which the other tests show.
#include "guard.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static double gelu(double x) {
  return 0.5 * x * erfc(-x / sqrt(2.0));
}

static double gelu_tanh(double x) {
  return x / (1 + exp(-2 * sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

static double quick_gelu(double x) {
  return x / (1 + exp(-1.702 * x));
}

static double silu(double x) {
  return x / (1 + exp(-x));
}

static double relu(double x) {
  return x > 0 ? x : 0;
}

// |got - exact| <= absolute + relative |exact|, over all floats of [-range, range] that the walk meets. ulp is 2^-23.
// gelu's absolute part is |x| times the error of Phi; the gated ones lose digits only where the answer is already tiny.
static const struct budget {
  enum act act;
  const char *name;
  double (*exact)(double x);
  double absolute, relative, range;
} budgets[] = {
    {ACT_GELU, "gelu", gelu, 1.0e-7, 1.3e-7, 20},
    {ACT_GELU_TANH, "gelu_tanh", gelu_tanh, 1.0e-7, 1.5e-7, 20},
    {ACT_QUICK_GELU, "quick_gelu", quick_gelu, 0.8e-7, 1.3e-7, 100},
    {ACT_SILU, "silu", silu, 0.8e-7, 1.3e-7, 100},
    {ACT_RELU, "relu", relu, 0, 0, FLT_MAX},
    {ACT_TANH, "tanh", tanh, 0, 2.5e-7, FLT_MAX},
};

enum { STEP = 7919, CHUNK = 4096 }; // a prime step through the bit patterns: about 280,000 floats of each sign

// The next floats of the walk with |x| <= range; *bits moves on. Returns how many.
static size_t walk(uint64_t *bits, double range, float *x) {
  size_t n = 0;
  for (; *bits <= UINT32_MAX && n < CHUNK; *bits += STEP) {
    uint32_t u = (uint32_t)*bits;
    memcpy(&x[n], &u, sizeof *x);
    if (fabs((double)x[n]) <= range) n++; // false for NaN
  }
  return n;
}

static void test_activations(void **state) {
  (void)state;
  static float x[CHUNK], y[CHUNK];
  for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
    const struct budget *b = &budgets[i];
    double worst = 0, worst_x = 0;
    size_t n;
    for (uint64_t bits = 0; (n = walk(&bits, b->range, x)) > 0;) {
      memcpy(y, x, n * sizeof *x);
      scalar_table()->act(b->act, y, n);
      for (size_t k = 0; k < n; k++) {
        double exact = b->exact((double)x[k]), error = fabs((double)y[k] - exact);
        double allowed = b->absolute + b->relative * fabs(exact) + 0x1p-126; // results may underflow to 0
        if (error / allowed > worst) worst = error / allowed, worst_x = (double)x[k];
      }
    }
    printf("%-10s uses %3.0f %% of its budget, at x = %.9g\n", b->name, 100 * worst, worst_x);
    if (worst > 1) fail_msg("%s(%.9g) is over its budget: %.2f times", b->name, worst_x, worst);
  }
}

// exp through softmax's two-element row {0, x}: 2 units in the last place, and 0 only below the smallest normal float.
static void test_exp(void **state) {
  (void)state;
  double worst = 0;
  for (uint32_t i = 0; i < 1000000; i++) {
    float x = -(float)i * 1e-4f, row[2] = {0.0f, x};
    float sum = scalar_table()->softmax_exp(row, 2, 1.0f);
    double exact = exp((double)x);
    assert_true(row[0] == 1.0f && sum == row[0] + row[1]);
    if (x < -87.7f) {
      assert_true(row[1] == 0.0f);
    } else if (exact < FLT_MIN) {
      assert_true(fabs((double)row[1] - exact) < FLT_MIN);
    } else {
      worst = fmax(worst, fabs((double)row[1] - exact) / exact);
    }
  }
  printf("exp: relative error up to %.2f * 2^-24\n", worst * 0x1p24);
  assert_true(worst < 2 * 0x1p-23);
}

// Gates within what sigmoid and tanh are each good to; the state may be large.
static void test_lstm(void **state) {
  (void)state;
  enum { N = 64 };
  static float x[4 * N], r[4 * N], c[N], h[N];
  struct rng rng;
  rng_seed(&rng, TEST_SEED + 2);
  double worst = 0;
  for (int round = 0; round < 2000; round++) {
    double gate[4], before[N];
    for (size_t i = 0; i < 4 * (size_t)N; i++) x[i] = rng_normal(&rng) * 4, r[i] = rng_normal(&rng) * 4;
    for (size_t i = 0; i < N; i++) c[i] = rng_normal(&rng) * 3, before[i] = (double)c[i];
    scalar_table()->lstm(x, r, N, c, h);
    for (size_t i = 0; i < N; i++) {
      for (size_t g = 0; g < 4; g++) {
        double t = (double)(x[g * N + i] + r[g * N + i]); // this sum is rounded in the definition
        gate[g] = g == 2 ? tanh(t) : 1 / (1 + exp(-t));
      }
      double cell = gate[1] * before[i] + gate[0] * gate[2], out = gate[3] * tanh(cell);
      worst = fmax(worst, fabs((double)c[i] - cell) / (1 + fabs(before[i])));
      worst = fmax(worst, fabs((double)h[i] - out) / (1 + fabs(before[i])));
    }
  }
  printf("lstm: error up to %.2g of the size of the state\n", worst);
  assert_true(worst < 4e-7);
}

// erf as GELU has it: Phi(x) = gelu(x) / x, erf = 2 Phi(x sqrt 2) - 1.
static void test_erf(void **state) {
  (void)state;
  double worst = 0;
  for (int i = -60000; i <= 60000; i++) {
    float x = (float)i * 1e-4f, y = x;
    if (i == 0) continue;
    scalar_table()->act(ACT_GELU, &y, 1);
    worst = fmax(worst, fabs(2 * (double)y / (double)x - 1 - erf((double)x / sqrt(2.0))));
  }
  printf("erf: absolute error up to %.2g\n", worst);
  assert_true(worst < 2.5e-7); // 2e-7 of our own, the rest is the rounding of y
}

static void test_layernorm(void **state) {
  (void)state;
  enum { C = 768 };
  static float x[C], gamma[C], beta[C], y[C];
  struct rng r;
  rng_seed(&r, TEST_SEED);
  double worst = 0;
  for (int round = 0; round < 100; round++) {
    double shift = 10 * (double)rng_normal(&r), sum = 0, square = 0;
    for (size_t i = 0; i < C; i++) {
      x[i] = rng_normal(&r) + (float)shift, gamma[i] = rng_normal(&r), beta[i] = rng_normal(&r);
      sum += (double)x[i];
    }
    double mean = sum / C;
    for (size_t i = 0; i < C; i++) square += ((double)x[i] - mean) * ((double)x[i] - mean);
    double inverse = 1 / sqrt(square / C + (double)1e-5f);
    scalar_table()->layernorm(x, gamma, beta, 1e-5f, C, y);
    for (size_t i = 0; i < C; i++) {
      double exact = ((double)x[i] - mean) * inverse * (double)gamma[i] + (double)beta[i];
      // The mean is good to a few units of its own last place, which cancellation brings into view.
      double size = 1 + fabs(exact) + fabs((double)gamma[i]) * (3 + fabs(mean));
      worst = fmax(worst, fabs((double)y[i] - exact) / size);
    }
  }
  printf("layernorm: error up to %.2g of the size of its terms\n", worst);
  assert_true(worst < 4e-7);
}

static void test_softmax(void **state) {
  (void)state;
  enum { N = 500 };
  static float s[N], p[N];
  struct rng r;
  rng_seed(&r, TEST_SEED + 1);
  double worst = 0;
  for (int round = 0; round < 100; round++) {
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < N; i++) {
      s[i] = p[i] = rng_normal(&r) * 20;
      max = fmax(max, (double)s[i] * 0.125);
    }
    for (size_t i = 0; i < N; i++) sum += exp((double)s[i] * 0.125 - max);
    scalar_table()->div(p, N, scalar_table()->softmax_exp(p, N, 0.125f));
    for (size_t i = 0; i < N; i++) {
      double exact = exp((double)s[i] * 0.125 - max) / sum;
      worst = fmax(worst, fabs((double)p[i] - exact) / exact);
    }
  }
  printf("softmax: relative error up to %.2g\n", worst);
  assert_true(worst < 2e-6); // the exponent, up to 20, was rounded to float: 20 * 2^-24, and a few more
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_activations), cmocka_unit_test(test_exp),       cmocka_unit_test(test_lstm),
      cmocka_unit_test(test_erf),         cmocka_unit_test(test_layernorm), cmocka_unit_test(test_softmax),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
