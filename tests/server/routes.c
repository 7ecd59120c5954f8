// routes.c - server/routes.h: which handler a method and a path lead to, and which keys open the door.
#include "routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "keys.h"

static void nothing(struct exchange *x) {
  (void)x;
}

static const struct route table[] = {
    {"GET", "/a/{*}/ready", nothing, ERROR_PLAIN, "ready"},
    {"GET", "/a/{*}/v/{}/ready", nothing, ERROR_PLAIN, "versioned"},
    {"POST", "/a/{*}/do", nothing, ERROR_PLAIN, "do"},
    {"GET", "/a/{*}", nothing, ERROR_PLAIN, "a"},
    {"DELETE", "/a/{*}", nothing, ERROR_PLAIN, "delete"},
    {"GET", "/", nothing, ERROR_PLAIN, "root"},
};
static const size_t count = sizeof table / sizeof table[0];
static const struct route_list lists[] = {{table, &count}};

static void leads(const char *method, const char *path, const char *endpoint, const char *first, const char *second) {
  char *params[EXCHANGE_PARAMS] = {NULL}, allowed[64];
  const struct route *r = route_find(lists, 1, method, path, params, allowed);
  if (!endpoint) {
    assert_null(r);
    assert_string_equal(allowed, first);
    return;
  }
  if (!r) fail_msg("%s %s leads nowhere", method, path);
  assert_string_equal(r->endpoint, endpoint);
  if (first) assert_string_equal(params[0], first);
  if (second) assert_string_equal(params[1], second);
  free(params[0]);
  free(params[1]);
}

static void paths(void **state) {
  (void)state;
  leads("GET", "/", "root", NULL, NULL);
  leads("HEAD", "/", "root", NULL, NULL);
  leads("GET", "/a/m", "a", "m", NULL);
  leads("GET", "/a/org/m", "a", "org/m", NULL);
  leads("GET", "/a/org/m/ready", "ready", "org/m", NULL);
  leads("GET", "/a/m/v/1/ready", "ready", "m/v/1", NULL); // the first that matches
  leads("POST", "/a/org/m/do", "do", "org/m", NULL);
  leads("POST", "/a/m", NULL, "GET, DELETE", NULL);
  leads("GET", "/a/m/do", NULL, "POST", NULL); // and no "a" called "m/do"
  leads("HEAD", "/a/m/do", NULL, "POST", NULL);
  leads("GET", "/a/", NULL, "", NULL);
  leads("GET", "/a", NULL, "", NULL);
  leads("GET", "/a//b", NULL, "", NULL);
  leads("GET", "/a/b/", NULL, "", NULL);
  leads("GET", "", NULL, "", NULL);
  leads("POST", "/nowhere", NULL, "", NULL);
  leads("post", "/a/m/do", NULL, "POST", NULL); // methods are exact
}

static void every_address_is_once(void **state) {
  (void)state;
  for (size_t a = 0; a < all_route_lists; a++)
    for (size_t i = 0; i < *all_routes[a].count; i++)
      for (size_t b = 0; b <= a; b++)
        for (size_t k = 0; k < (a == b ? i : *all_routes[b].count); k++) {
          const struct route *x = &all_routes[a].routes[i], *y = &all_routes[b].routes[k];
          if (!strcmp(x->method, y->method) && !strcmp(x->pattern, y->pattern)) fail_msg("twice: %s", x->pattern);
        }
}

static void keys(void **state) {
  (void)state;
  char *list[] = {"secret", "an other"};
  struct serve_config open = {.port = 1}, c = {.api_keys = list, .api_key_count = 2};
  assert_true(keys_allow(&open, NULL, NULL));
  assert_true(keys_allow(&c, "Bearer secret", NULL));
  assert_true(keys_allow(&c, "bearer an other", NULL));
  assert_true(keys_allow(&c, NULL, "secret"));
  assert_true(keys_allow(&c, "Basic dTpzZWNyZXQ=", NULL)); // u:secret
  assert_false(keys_allow(&c, "Basic c2VjcmV0", NULL));    // no colon
  assert_false(keys_allow(&c, "Basic !!!!", NULL));
  assert_false(keys_allow(&c, "Basic ", NULL));
  static const char *const wrong[] = {"",      "Bearer", "Bearer ", "Bearer Secret", "Bearer secre", "Bearer secret ",
                                      "secret"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) assert_false(keys_allow(&c, wrong[i], NULL));
  assert_false(keys_allow(&c, NULL, NULL));
  assert_false(keys_allow(&c, NULL, ""));
  char *huge = malloc(100001);
  memset(huge, 'A', 100000);
  memcpy(huge, "Basic ", 6);
  huge[100000] = 0;
  assert_false(keys_allow(&c, huge, NULL));
  free(huge);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(paths), cmocka_unit_test(every_address_is_once),
                                     cmocka_unit_test(keys)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
