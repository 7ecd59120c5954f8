// routes.c - see routes.h. Patterns are few and short: each is tried in turn.
#include "routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols.h"

// The end of a part of a path.
static const char *part_end(const char *at) {
  while (*at && *at != '/') at++;
  return at;
}

struct match {
  const char *from[EXCHANGE_PARAMS], *to[EXCHANGE_PARAMS];
  size_t count;
};

// {*} takes as few parts as let the rest of the pattern match, so "models/a/b/infer" is the model "a/b".
static bool matches(const char *pattern, const char *path, struct match *m) {
  while (*pattern) {
    bool many = !strncmp(pattern, "{*}", 3);
    if (many || !strncmp(pattern, "{}", 2)) {
      size_t at = m->count++;
      const char *rest = pattern + (many ? 3 : 2);
      for (const char *end = part_end(path); end > path; end = *end ? part_end(end + 1) : path) {
        if (end[-1] == '/') break; // a part is not empty
        m->from[at] = path;
        m->to[at] = end;
        m->count = at + 1;
        if (matches(rest, end, m)) return true;
        if (!many || !*end) break;
      }
      return false;
    }
    if (*pattern++ != *path++) return false;
  }
  return !*path;
}

static bool method_is(const char *have, const char *want) {
  return !strcmp(have, want) || (!strcmp(have, "HEAD") && !strcmp(want, "GET"));
}

const struct route *route_find(const struct route_list *lists, size_t count, const char *method, const char *path,
                               char *params[EXCHANGE_PARAMS], char allowed[64]) {
  const char *first = NULL;
  *allowed = 0;
  for (size_t l = 0; l < count; l++) {
    for (size_t i = 0; i < *lists[l].count; i++) {
      const struct route *r = &lists[l].routes[i];
      struct match m = {.count = 0};
      // The first pattern that matches is what the path means: "models/a/infer" is no model "a/infer" for a GET.
      if ((first && strcmp(first, r->pattern)) || !matches(r->pattern, path, &m)) continue;
      first = r->pattern;
      if (method_is(method, r->method)) {
        for (size_t k = 0; k < m.count; k++) params[k] = strndup(m.from[k], (size_t)(m.to[k] - m.from[k]));
        return r;
      }
      size_t len = strlen(allowed);
      if (!strstr(allowed, r->method)) snprintf(allowed + len, 64 - len, "%s%s", len ? ", " : "", r->method);
    }
  }
  return NULL;
}

const struct route_list all_routes[] = {
    {completions_routes, &completions_route_count},
    {classify_routes, &classify_route_count},
    {hf_routes, &hf_route_count},
    {embeddings_routes, &embeddings_route_count},
    {oip_routes, &oip_route_count},
    {openai_models_routes, &openai_models_route_count},
    {system_routes, &system_route_count},
};
const size_t all_route_lists = sizeof all_routes / sizeof all_routes[0];
