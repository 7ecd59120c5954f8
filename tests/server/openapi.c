// openapi.c - the document at /openapi.json: it names every address of the server and no other, and what it refers to
// is in it.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "embedded.h"
#include "protocols.h"
#include "routes.h"

static json_t *document;

static int setup(void **state) {
  (void)state;
  struct embedded e = embedded_openapi();
  json_error_t at;
  document = json_loadb((const char *)e.bytes, e.len, JSON_REJECT_DUPLICATES, &at);
  if (!document) fail_msg("openapi.json:%d:%d: %s", at.line, at.column, at.text);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  json_decref(document);
  return 0;
}

static const char *const methods[] = {"get", "put", "post", "delete", "options", "head", "patch", "trace"};

// A pattern as the document writes it: {*} is a model's name, {} its version.
static void as_path(const char *pattern, char *out, size_t size) {
  size_t n = 0;
  while (*pattern) {
    const char *word = NULL;
    size_t len = 1;
    if (!strncmp(pattern, "{*}", 3)) word = "{model}", len = 3;
    if (!strncmp(pattern, "{}", 2)) word = "{version}", len = 2;
    n += (size_t)snprintf(out + n, size - n, "%.*s", word ? (int)strlen(word) : 1, word ? word : pattern);
    assert_true(n < size);
    pattern += len;
  }
}

static const json_t *operation(const char *method, const char *path) {
  const json_t *item = json_object_get(json_object_get(document, "paths"), path);
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
    if (!strcasecmp(methods[i], method)) return json_object_get(item, methods[i]);
  return NULL;
}

static void every_route_is_described(void **state) {
  (void)state;
  size_t routes = 0, described = 0;
  for (size_t l = 0; l < all_route_lists; l++) {
    for (size_t i = 0; i < *all_routes[l].count; i++, routes++) {
      const struct route *r = &all_routes[l].routes[i];
      char path[128];
      as_path(r->pattern, path, sizeof path);
      if (!operation(r->method, path)) fail_msg("%s %s is not in openapi.json", r->method, path);
    }
  }
  const char *path;
  json_t *item;
  json_object_foreach(json_object_get(document, "paths"), path, item) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
      described += json_object_get(item, methods[i]) != NULL;
  }
  // None is described twice, so that as many are those that are there.
  assert_true(routes > 0);
  assert_int_equal(described, routes);
}

// ---- references ---------------------------------------------------------------------------------------------------

static const json_t *resolve(const char *pointer) {
  const json_t *at = document;
  assert_true(!strncmp(pointer, "#/", 2));
  for (const char *from = pointer + 2; at; from++) {
    size_t len = strcspn(from, "/");
    at = json_object_getn(at, from, len);
    from += len;
    if (!*from) break;
  }
  return at;
}

static size_t check_references(const json_t *value) {
  size_t found = 0, i;
  const char *key;
  json_t *below;
  if (json_is_array(value)) json_array_foreach(value, i, below) found += check_references(below);
  if (json_is_object(value)) {
    json_object_foreach((json_t *)value, key, below) {
      if (strcmp(key, "$ref")) {
        found += check_references(below);
        continue;
      }
      if (!resolve(json_string_value(below))) fail_msg("%s leads nowhere", json_string_value(below));
      found++;
    }
  }
  return found;
}

// Whether the text of the document refers to a component.
static bool is_used(const char *kind, const char *name) {
  struct embedded e = embedded_openapi();
  char reference[128];
  snprintf(reference, sizeof reference, "\"#/components/%s/%s\"", kind, name);
  return memmem(e.bytes, e.len, reference, strlen(reference)) != NULL;
}

static void references_resolve(void **state) {
  (void)state;
  assert_true(check_references(document) > 100);
  const char *kind, *name;
  json_t *components, *one;
  json_object_foreach(json_object_get(document, "components"), kind, components) {
    json_object_foreach(components, name, one) {
      if (strcmp(kind, "securitySchemes") && !is_used(kind, name)) fail_msg("components/%s/%s is not used", kind, name);
    }
  }
}

// ---- each address -------------------------------------------------------------------------------------------------

static void check_operation(const char *path, const char *method, const json_t *item, const json_t *op) {
  const json_t *responses = json_object_get(op, "responses");
  const char *code;
  json_t *response;
  for (const char *const *want = (const char *const[]){"200", "401", "500", NULL}; *want; want++)
    if (!json_object_get(responses, *want)) fail_msg("%s %s: no answer %s", method, path, *want);
  if (!strcmp(method, "post") && !json_object_get(responses, "413")) fail_msg("%s: no answer 413", path);
  json_object_foreach((json_t *)responses, code, response) {
    const char *at = json_string_value(json_object_get(response, "$ref"));
    const json_t *r = at ? resolve(at) : response;
    if (!json_object_size(json_object_get(r, "content"))) fail_msg("%s %s: %s has no content", method, path, code);
    if (!json_string_value(json_object_get(r, "description"))) fail_msg("%s %s: %s says nothing", method, path, code);
  }
  size_t holes = 0;
  for (const char *c = path; *c; c++) holes += *c == '{';
  assert_int_equal(json_array_size(json_object_get(item, "parameters")), holes);
}

static void operations_are_whole(void **state) {
  (void)state;
  json_t *ids = json_object(), *item;
  const char *path;
  json_object_foreach(json_object_get(document, "paths"), path, item) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
      const json_t *op = json_object_get(item, methods[i]);
      if (!op) continue;
      check_operation(path, methods[i], item, op);
      const char *id = json_string_value(json_object_get(op, "operationId"));
      assert_non_null(id);
      if (json_object_get(ids, id)) fail_msg("operationId %s is there twice", id);
      json_object_set_new(ids, id, json_true());
    }
  }
  json_decref(ids);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_route_is_described),
      cmocka_unit_test(references_resolve),
      cmocka_unit_test(operations_are_whole),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
