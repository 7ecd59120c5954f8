// fields.h - reading an object of a request key by key. The first mistake answers 400 (naming the key, what was
// expected and what was found) and everything after it returns the absent value; look at `ok` once at the end.
#ifndef PARE_SERVER_FIELDS_H
#define PARE_SERVER_FIELDS_H

#include "exchange.h"

struct fields {
  struct exchange *x;
  json_t *object;
  const char *path; // of the object in the body: "parameters." or ""
  bool ok;
};

// The body as an object.
struct fields fields_of_body(struct exchange *x);
// An object below; absent or null: an empty one.
struct fields fields_below(struct fields *f, const char *key);
bool fields_has(const struct fields *f, const char *key); // there and not null
const char *fields_text(struct fields *f, const char *key, const char *absent);
double fields_number(struct fields *f, const char *key, double absent, double low, double high);
size_t fields_size(struct fields *f, const char *key, size_t absent, size_t low, size_t high);
bool fields_flag(struct fields *f, const char *key, bool absent);
json_t *fields_any(const struct fields *f, const char *key); // NULL: absent or null; borrowed
// A mistake of the caller's own finding: "KEY: expected EXPECTED, found ..." (found: the JSON type or the value).
void fields_fail(struct fields *f, const char *key, const char *expected);
// A text or a list of texts: *count texts, borrowed from the body, in an array from job_alloc-like memory to be freed
// with free(). NULL: answered. limit: most of them.
struct pare_text *fields_texts(struct fields *f, const char *key, size_t limit, size_t *count);
// A list of short strings, or one string; absent: NULL and *count 0. To be freed with free().
const char **fields_strings(struct fields *f, const char *key, size_t limit, size_t *count);

#endif
