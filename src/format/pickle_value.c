// pickle_value.c - looking at the values of a pickle. Nothing here recurses, so cycles do no harm.
#include <string.h>

#include "format/pickle.h"

bool pickle_text_is(struct pickle_text t, const char *s) {
  size_t len = strlen(s);
  return t.len == len && memcmp(t.bytes, s, len) == 0;
}

bool pickle_is_str(const struct pickle_value *v, const char *s) {
  return v && v->kind == PICKLE_STR && pickle_text_is(v->text, s);
}

bool pickle_is_global(const struct pickle_value *v, const char *module, const char *name) {
  return v && v->kind == PICKLE_GLOBAL && pickle_text_is(v->global.name, name) &&
         (!*module || pickle_text_is(v->global.module, module));
}

bool pickle_is_object(const struct pickle_value *v, const char *module, const char *name) {
  return v && v->kind == PICKLE_OBJECT && pickle_is_global(v->object->type, module, name);
}

bool pickle_int(const struct pickle_value *v, int64_t *out) {
  if (!v || v->kind != PICKLE_INT) return false;
  *out = v->integer;
  return true;
}

struct pickle_seq pickle_items(const struct pickle_value *v) {
  static const char *const copies[] = {"list", "tuple", "set", "frozenset"};
  const struct pickle_seq none = {0};
  if (!v) return none;
  if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_SET) return v->seq;
  if (v->kind != PICKLE_OBJECT) return none;
  for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
    const struct pickle_value *type = v->object->type, *from = pickle_item(v->object->args, 0);
    if ((pickle_is_global(type, "builtins", copies[i]) || pickle_is_global(type, "__builtin__", copies[i])) && from &&
        from->kind == PICKLE_LIST)
      return from->seq;
  }
  return v->object->items;
}

struct pickle_seq pickle_pairs(const struct pickle_value *v) {
  if (v && v->kind == PICKLE_DICT) return v->seq;
  return v && v->kind == PICKLE_OBJECT ? v->object->pairs : (struct pickle_seq){0};
}

const struct pickle_value *pickle_item(const struct pickle_value *v, size_t i) {
  if (!v || (v->kind != PICKLE_TUPLE && v->kind != PICKLE_LIST)) return NULL;
  return i < v->seq.count ? v->seq.items[i] : NULL;
}

const struct pickle_value *pickle_get(const struct pickle_value *v, const char *key) {
  struct pickle_seq pairs = pickle_pairs(v);
  for (size_t i = pairs.count; i >= 2; i -= 2)
    if (pickle_is_str(pairs.items[i - 2], key)) return pairs.items[i - 1];
  return NULL;
}

const struct pickle_value *pickle_state(const struct pickle_value *v, const char *key) {
  return v && v->kind == PICKLE_OBJECT ? pickle_get(v->object->state, key) : NULL;
}
