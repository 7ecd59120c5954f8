// cache.c - server/cache.h: what was put is found, the least recently used goes first, sizes hold.
#include "cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

static void put(struct cache *c, const char *key, const char *answer) {
  cache_put(c, key, strlen(key), answer, strlen(answer));
}

static const char *get(struct cache *c, const char *key) {
  static char out[256];
  size_t len;
  if (!cache_get(c, key, strlen(key), out, sizeof out - 1, &len)) return NULL;
  out[len < sizeof out ? len : sizeof out - 1] = 0;
  return out;
}

static void found_and_replaced(void **state) {
  (void)state;
  struct cache *c = cache_new(1 << 16);
  assert_null(get(c, "a"));
  put(c, "a", "one");
  put(c, "b", "two");
  put(c, "", "empty");
  assert_string_equal(get(c, "a"), "one");
  assert_string_equal(get(c, ""), "empty");
  size_t before = cache_bytes(c);
  put(c, "a", "new");
  assert_string_equal(get(c, "a"), "new");
  assert_int_equal(cache_bytes(c), before);
  size_t len;
  char two[2] = {0};
  assert_true(cache_get(c, "b", 1, two, 2, &len)); // cut, and the length says so
  assert_int_equal(len, 3);
  assert_memory_equal(two, "tw", 2);
  cache_free(c);
}

static void the_oldest_goes(void **state) {
  (void)state;
  struct cache *c = cache_new(1 << 15);
  char key[16], answer[101];
  memset(answer, 'x', 100);
  answer[100] = 0;
  put(c, "kept", "k");
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof key, "%d", i);
    put(c, key, answer);
    assert_true(cache_bytes(c) <= 1 << 15);
    assert_non_null(get(c, "kept")); // used all the time
    assert_non_null(get(c, key));
  }
  assert_null(get(c, "0"));
  assert_non_null(get(c, "4990"));
  char large[4096];
  memset(large, 'y', sizeof large);
  cache_put(c, "large", 5, large, sizeof large); // more than a sixteenth
  assert_null(get(c, "large"));
  cache_put(c, "huge", 4, large, SIZE_MAX);
  cache_free(c);
}

// A key and an answer of no bytes may come without an address.
static void nothing_is_kept_too(void **state) {
  (void)state;
  struct cache *c = cache_new(1 << 15);
  size_t len = 7;
  assert_false(cache_get(c, NULL, 0, NULL, 0, &len));
  cache_put(c, NULL, 0, NULL, 0);
  assert_true(cache_get(c, NULL, 0, NULL, 0, &len));
  assert_int_equal(len, 0);
  cache_put(c, "a", 1, "answer", 6);
  assert_true(cache_get(c, "a", 1, NULL, 0, &len)); // how long is it?
  assert_int_equal(len, 6);
  cache_free(c);
}

static void *hammer(void *arg) {
  char key[16];
  for (int i = 0; i < 20000; i++) {
    snprintf(key, sizeof key, "%d", i * 7919 % 300);
    const char *expected = key;
    char out[16] = {0};
    size_t len;
    if (cache_get(arg, key, strlen(key), out, sizeof out - 1, &len) && strcmp(out, expected)) return arg;
    cache_put(arg, key, strlen(key), key, strlen(key));
  }
  return NULL;
}

static void from_several_threads(void **state) {
  (void)state;
  struct cache *c = cache_new(1 << 14);
  pthread_t threads[4];
  void *wrong;
  for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, hammer, c), 0);
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], &wrong);
    assert_null(wrong);
  }
  assert_true(cache_bytes(c) <= 1 << 14);
  cache_free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(found_and_replaced), cmocka_unit_test(the_oldest_goes),
                                     cmocka_unit_test(from_several_threads), cmocka_unit_test(nothing_is_kept_too)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
