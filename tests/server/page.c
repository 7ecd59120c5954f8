// page.c - the page at /: how it is sent, and that it needs nobody but this server.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "embedded.h"
#include "protocols.h"
#include "routes.h"

static struct exchange *get(const char *path) {
  struct exchange *x = calloc(1, sizeof *x);
  char allowed[64];
  x->route = route_find(all_routes, all_route_lists, "GET", path, x->params, allowed);
  if (!x->route) fail_msg("GET %s leads nowhere", path);
  x->route->handle(x);
  assert_int_equal(x->status, 200);
  return x;
}

static void done(struct exchange *x) {
  exchange_free(x);
  free(x);
}

static const char *header(const struct exchange *x, const char *name) {
  for (size_t i = 0; i < x->header_count; i++)
    if (!strcmp(x->headers[i].name, name)) return x->headers[i].value;
  return "";
}

static void is_sent_with_its_policy(void **state) {
  (void)state;
  struct exchange *x = get("/");
  assert_string_equal(x->content_type, "text/html; charset=utf-8");
  assert_string_equal(header(x, "Content-Security-Policy"), "default-src 'self' 'unsafe-inline'; img-src data:");
  assert_int_equal(x->out.len, embedded_page().len);
  assert_memory_equal(x->out.data, "<!doctype html>", 15);
  done(x);
  x = get("/openapi.json");
  assert_string_equal(x->content_type, "application/json");
  assert_int_equal(x->out.len, embedded_openapi().len);
  done(x);
}

// The page's text, ended by a NUL.
static const char *page(void) {
  struct embedded e = embedded_page();
  assert_int_equal(e.bytes[e.len], 0);
  assert_int_equal(strlen((const char *)e.bytes), e.len);
  return (const char *)e.bytes;
}

static void needs_nobody_else(void **state) {
  (void)state;
  static const char svg[] = "http://www.w3.org/2000/svg"; // a name, never asked for
  size_t names = 0;
  for (const char *at = page(); (at = strstr(at, "//")) != NULL; at += 2) {
    bool comment = at == page() || at[-1] == ' ' || at[-1] == '\n';
    bool name = at - page() > 5 && !strncmp(at - 5, svg, strlen(svg));
    if (!comment && !name) fail_msg("an address of another server: %.60s", at - 8);
    names += name;
  }
  assert_true(names > 0);
  static const char *const others[] = {"url(", "@import", "<script src", "<iframe", "<link rel=\"style", "WebSocket"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strstr(page(), others[i])) fail_msg("the page has %s", others[i]);
}

// What servers, models and texts say must not become part of the document.
static void puts_text_in_as_text(void **state) {
  (void)state;
  static const char *const ways[] = {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser",
                                     "srcdoc",    "eval(",     "Function(",          "javascript:"};
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    if (strstr(page(), ways[i])) fail_msg("the page has %s", ways[i]);
  assert_non_null(strstr(page(), "textContent"));
}

// Every control is named for who does not see it, and everything that is looked up is there.
static void is_whole(void **state) {
  (void)state;
  assert_non_null(strstr(page(), "<html lang="));
  assert_non_null(strstr(page(), "name=\"viewport\""));
  assert_non_null(strstr(page(), "prefers-color-scheme: dark"));
  size_t found = 0;
  for (const char *at = page(); (at = strstr(at, "at(\"")) != NULL; at += 4, found++) {
    char id[64];
    snprintf(id, sizeof id, " id=\"%.*s\"", (int)strcspn(at + 4, "\""), at + 4);
    if (!strstr(page(), id)) fail_msg("nothing has%s", id);
  }
  assert_true(found > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(is_sent_with_its_policy),
      cmocka_unit_test(needs_nobody_else),
      cmocka_unit_test(puts_text_in_as_text),
      cmocka_unit_test(is_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
