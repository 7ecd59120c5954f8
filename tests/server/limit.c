// limit.c - server/limit.h: how sequences follow each other and what each may spend; server/recent.h: quantiles lately.
#include "limit.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "recent.h"

static struct limit share_at_most(double bound) {
  struct limit l = {.bound = bound, .alpha = 0.05, .horizon = 100};
  limit_clear(&l);
  return l;
}

static void same_interval(const struct limit *l, uint64_t number, uint64_t hits, uint64_t n) {
  struct limit_reading r = limit_read(l);
  double k = (double)number;
  struct interval x = sequential_share(hits, n, 0.05 / (k * (k + 1)));
  assert_int_equal(r.number, number);
  assert_int_equal(r.n, n);
  assert_int_equal(r.hits, hits);
  assert_true(r.interval.low == x.low && r.interval.high == x.high);
}

static void sequences_follow(void **state) {
  (void)state;
  struct limit l = share_at_most(0.9);
  assert_true(isnan(limit_read(&l).value));
  for (int i = 0; i < 99; i++) limit_add(&l, i % 10 == 0);
  same_interval(&l, 1, 10, 99);
  limit_add(&l, 1); // the first ends; the second has seen the last 50 (five tens and this one)
  same_interval(&l, 2, 6, 50);
  for (int i = 0; i < 50; i++) limit_add(&l, 0);
  same_interval(&l, 3, 0, 50);
  assert_int_equal(l.total, 150);
  for (int i = 0; i < 1000; i++) {
    limit_add(&l, 0);
    assert_in_range(limit_read(&l).n, 50, 100); // always at least half a horizon
  }
  uint64_t number = limit_read(&l).number;
  limit_restart(&l);
  assert_int_equal(limit_read(&l).number, number + 2); // the younger's number is not used again
  assert_int_equal(l.total, 0);
  limit_clear(&l);
  same_interval(&l, 1, 0, 0);
}

// 1/2 + 1/6 + 1/12 + ... = 1: what all sequences spend together.
static void spends_alpha_once(void **state) {
  (void)state;
  double sum = 0;
  for (double k = 1; k < 1e6; k++) sum += 1 / (k * (k + 1));
  assert_true(sum < 1 && sum > 0.99999);
}

static void directions(void **state) {
  (void)state;
  for (int at_least = 0; at_least < 2; at_least++) {
    for (int hit = 0; hit < 2; hit++) {
      struct limit l = {.bound = 0.5, .alpha = 0.05, .horizon = 1000, .at_least = at_least};
      struct limit m = {.bound = 0.5, .alpha = 0.05, .horizon = 1000, .at_least = at_least, .of_mean = true};
      limit_clear(&l);
      limit_clear(&m);
      assert_int_equal(limit_read(&l).status, LIMIT_UNDECIDED);
      assert_int_equal(limit_read(&m).status, LIMIT_UNDECIDED);
      for (int i = 0; i < 100; i++) {
        limit_add(&l, hit);
        limit_add(&m, hit ? 0.9 : 0.1);
      }
      assert_int_equal(limit_read(&l).status, hit == at_least ? LIMIT_MET : LIMIT_VIOLATED);
      assert_int_equal(limit_read(&m).status, hit == at_least ? LIMIT_MET : LIMIT_VIOLATED);
      assert_true(fabs(limit_read(&m).value - (hit ? 0.9 : 0.1)) < 1e-12);
      l.bound = 0; // nothing is decided, all the same it is counted
      assert_int_equal(limit_read(&l).status, LIMIT_UNDECIDED);
      assert_int_equal(limit_read(&l).n, 100);
    }
  }
}

// The younger sequence sees a fault that the older one's good past would hide.
static void younger_warns(void **state) {
  (void)state;
  struct limit l = {.bound = 0.05, .alpha = 0.05, .horizon = 4000};
  limit_clear(&l);
  for (int i = 0; i < 2000; i++) limit_add(&l, 0);
  size_t faults = 0;
  while (limit_read(&l).status != LIMIT_VIOLATED && faults < 1000) {
    limit_add(&l, 1);
    faults++;
  }
  assert_true(faults < 20);
  assert_int_equal(limit_read(&l).number, 2);
  assert_int_equal(sequential_share(faults, 2000 + faults, 0.025).low > 0.05, 0); // the older would not have said so
}

static void quantiles_lately(void **state) {
  (void)state;
  static struct recent r;
  assert_true(isnan(recent_quantile(&r, 0.5)));
  for (int i = 1; i <= 1000; i++) recent_add(&r, i * 1e-3);
  assert_int_equal(recent_count(&r), 1000);
  for (double q = 0.05; q < 1; q += 0.05) { // within the width of a bucket
    double ratio = recent_quantile(&r, q) / q;
    assert_true(ratio > 0.91 && ratio < 1.1);
  }
  for (int i = 0; i < 3 * RECENT_HALF; i++) recent_add(&r, 5); // what was before is forgotten
  assert_true(recent_quantile(&r, 0.001) > 4.5 && recent_quantile(&r, 1) < 5.5);
  assert_in_range(recent_count(&r), RECENT_HALF, 2 * RECENT_HALF);
  static struct recent ends;
  recent_add(&ends, -1);
  recent_add(&ends, 0);
  recent_add(&ends, NAN);
  recent_add(&ends, INFINITY);
  recent_add(&ends, 1e9);
  assert_true(recent_quantile(&ends, 0.5) < 1.1e-6 && recent_quantile(&ends, 1) > 260);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sequences_follow), cmocka_unit_test(spends_alpha_once), cmocka_unit_test(directions),
      cmocka_unit_test(younger_warns),    cmocka_unit_test(quantiles_lately),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
