// torch_state.c - finds the state dict in what was saved, and names its tensors as torch.nn.Module.state_dict() does.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"
#include "format/safetensors.h"
#include "format/torch.h"

// Modules share nodes, so a small file can spell out a tree without end: each bound is far beyond real models. A step
// is one entry of a dictionary that is looked at, or one byte of a name that is kept.
enum { MAX_DEPTH = 64, MAX_MODULES = 1 << 16, MAX_TENSORS = 1 << 20, MAX_STEPS = 1 << 26 };

struct walk {
  struct torch_file *f;
  struct tensors *out;
  size_t cap, modules, steps;
  char *file; // f->file as the tensors keep it
  struct pare_error *err;
};

static enum pare_status spend(struct walk *w, size_t steps) {
  if (steps > MAX_STEPS - w->steps)
    return error_set(w->err, PARE_DATA, "%s: its modules and names spell out more than %d entries", w->file, MAX_STEPS);
  w->steps += steps;
  return PARE_OK;
}

// Kept in out->strings.
static char *keep(struct walk *w, const char *prefix, struct pickle_text name) {
  size_t prefix_len = strlen(prefix);
  struct strings *block = malloc(sizeof *block + prefix_len + name.len + 1);
  if (!block) return NULL;
  block->next = w->out->strings;
  w->out->strings = block;
  memcpy(block->bytes, prefix, prefix_len);
  memcpy(block->bytes + prefix_len, name.bytes, name.len);
  block->bytes[prefix_len + name.len] = 0;
  return block->bytes;
}

static enum pare_status check_name(struct walk *w, const char *prefix, struct pickle_text name) {
  if (name.len && strlen(prefix) + name.len <= SAFETENSORS_NAME_MAX && !memchr(name.bytes, 0, name.len) &&
      utf8_first_bad(name.bytes, name.len) == name.len)
    return PARE_OK;
  return error_set(w->err, PARE_DATA, "%s: a tensor's name is empty, longer than %d bytes or no UTF-8 text", w->file,
                   SAFETENSORS_NAME_MAX);
}

static enum pare_status add(struct walk *w, const char *prefix, struct pickle_text name, const struct pickle_value *v) {
  enum pare_status s = check_name(w, prefix, name);
  if (!s) s = spend(w, strlen(prefix) + name.len);
  if (s) return s;
  if (w->out->count == MAX_TENSORS)
    return error_set(w->err, PARE_DATA, "%s: more than %d tensors", w->file, MAX_TENSORS);
  if (w->out->count == w->cap) {
    w->cap = w->cap ? 2 * w->cap : 64;
    struct tensor *list = realloc(w->out->list, w->cap * sizeof *list);
    if (!list) return error_no_memory(w->err);
    w->out->list = list;
  }
  char *kept = keep(w, prefix, name);
  if (!kept) return error_no_memory(w->err);
  struct tensor t;
  s = torch_tensor(w->f, v, kept, &t, w->err);
  t.file = w->file;
  if (!s) w->out->list[w->out->count++] = t;
  return s;
}

// ---- a module ----

static bool is_module(const struct pickle_value *v) {
  return pickle_state(v, "_modules") && pickle_state(v, "_parameters");
}

// Entries that a look for an attribute of v may pass.
static size_t attributes(const struct pickle_value *v) {
  return v->kind == PICKLE_OBJECT ? pickle_pairs(v->object->state).count : 0;
}

static bool is_listed(struct pickle_seq list, struct pickle_text name) {
  for (size_t i = 0; i < list.count; i++) {
    const struct pickle_value *v = list.items[i];
    if (v->kind == PICKLE_STR && v->text.len == name.len && memcmp(v->text.bytes, name.bytes, name.len) == 0)
      return true;
  }
  return false;
}

// Those of a dict's values that are tensors, skipping names in `without`.
static enum pare_status add_dict(struct walk *w, const char *prefix, const struct pickle_value *dict,
                                 struct pickle_seq without) {
  struct pickle_seq pairs = pickle_pairs(dict);
  // Both counts are of values in memory, below 2^28: no overflow.
  enum pare_status s = spend(w, pairs.count * (1 + without.count));
  for (size_t i = 0; !s && i + 1 < pairs.count; i += 2) {
    const struct pickle_value *key = pairs.items[i];
    if (key->kind == PICKLE_STR && torch_is_tensor(pairs.items[i + 1]) && !is_listed(without, key->text))
      s = add(w, prefix, key->text, pairs.items[i + 1]);
  }
  return s;
}

static enum pare_status add_module(struct walk *w, const char *prefix, const struct pickle_value *v, int depth) {
  if (depth == MAX_DEPTH || w->modules++ == MAX_MODULES)
    return error_set(w->err, PARE_DATA, "%s: at %.200s: more than %d modules, or nested more than %d deep", w->file,
                     prefix, MAX_MODULES, MAX_DEPTH);
  enum pare_status s = add_dict(w, prefix, pickle_state(v, "_parameters"), (struct pickle_seq){0});
  if (!s)
    s = add_dict(w, prefix, pickle_state(v, "_buffers"), pickle_items(pickle_state(v, "_non_persistent_buffers_set")));
  struct pickle_seq children = pickle_pairs(pickle_state(v, "_modules"));
  for (size_t i = 0; !s && i + 1 < children.count; i += 2) {
    const struct pickle_value *key = children.items[i];
    s = spend(w, 1 + attributes(children.items[i + 1]));
    if (s) return s;
    if (key->kind != PICKLE_STR || !is_module(children.items[i + 1])) continue; // a slot set to None
    char next[SAFETENSORS_NAME_MAX + 1];
    s = check_name(w, prefix, key->text);
    if (s) return s;
    int n = snprintf(next, sizeof next, "%s%.*s.", prefix, (int)key->text.len, key->text.bytes);
    if (n < 0 || (size_t)n >= sizeof next)
      return error_set(w->err, PARE_DATA, "%s: at %.200s: a name longer than %d bytes", w->file, prefix,
                       SAFETENSORS_NAME_MAX);
    s = add_module(w, next, children.items[i + 1], depth + 1);
  }
  return s;
}

// ---- what was saved ----

static bool holds_tensors(const struct pickle_value *v) {
  struct pickle_seq pairs = pickle_pairs(v);
  for (size_t i = 0; i + 1 < pairs.count; i += 2)
    if (torch_is_tensor(pairs.items[i + 1])) return true;
  return false;
}

// A checkpoint keeps the state dict beside other things, which may be tensors as well: so the usual names go first.
static const struct pickle_value *find_state(const struct pickle_value *v) {
  enum { MAX_NESTING = 4 };
  static const char *const keys[] = {"model", "state_dict", "model_state_dict"};
  const struct pickle_value *found = NULL;
  for (int depth = 0; v && depth < MAX_NESTING; depth++) {
    if (is_module(v)) return v;
    if (holds_tensors(v)) found = v;
    const struct pickle_value *inner = pickle_state(v, "model"); // a fastai Learner
    for (size_t i = 0; !inner && i < sizeof keys / sizeof *keys; i++) inner = pickle_get(v, keys[i]);
    v = inner;
  }
  return found; // the innermost
}

static enum pare_status check_distinct(const struct walk *w) {
  for (size_t i = 1; i < w->out->count; i++)
    if (!strcmp(w->out->list[i - 1].name, w->out->list[i].name))
      return error_set(w->err, PARE_DATA, "%s: tensor %.200s is there twice", w->file, w->out->list[i].name);
  return PARE_OK;
}

enum pare_status torch_state(struct torch_file *f, const struct pickle_value *v, struct tensors *out,
                             struct pare_error *err) {
  *out = (struct tensors){0};
  struct walk w = {.f = f, .out = out, .file = f->file, .err = err};
  const struct pickle_value *state = find_state(v);
  if (!state)
    return error_set(err, PARE_DATA,
                     "%s: no weights: expected names with tensors, or such under model, state_dict or model_state_dict",
                     f->file);
  w.file = keep(&w, f->file, (struct pickle_text){"", 0});
  if (!w.file) return error_no_memory(err);
  enum pare_status s =
      is_module(state) ? add_module(&w, "", state, 0) : add_dict(&w, "", state, (struct pickle_seq){0});
  if (!s && out->count) qsort(out->list, out->count, sizeof *out->list, tensor_compare);
  if (!s) s = check_distinct(&w);
  if (!s) out->file_bytes = f->bytes;
  if (s) tensors_close(out);
  return s;
}
