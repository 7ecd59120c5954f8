// pickle.h - reads Python pickles, protocols 0 to 5, as inert values. Nothing is imported, called or run: what a pickle
// would call becomes a record of what it would have called, with which arguments.
//
// A pickle is a program for a stack machine (Python's pickletools.py describes it). Of its instructions, three name
// Python objects: GLOBAL, STACK_GLOBAL and INST. Every name goes through pickle_global_allowed (pickle_globals.c): what
// torch, fastai and the libraries that their files lean on put there becomes a PICKLE_GLOBAL; any other (os.system,
// builtins.eval ...) refuses the whole file by that name, although nothing would be called.
#ifndef PARE_FORMAT_PICKLE_H
#define PARE_FORMAT_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum pickle_kind {
  PICKLE_NONE,
  PICKLE_BOOL,
  PICKLE_INT,  // fits 64 bits
  PICKLE_LONG, // does not: text holds its little-endian two's complement
  PICKLE_FLOAT,
  PICKLE_BYTES,
  PICKLE_STR, // as stored: UTF-8 is not checked here
  PICKLE_TUPLE,
  PICKLE_LIST,
  PICKLE_SET,
  PICKLE_DICT,       // seq holds key, value, key, value ...
  PICKLE_GLOBAL,     // a class or function, by name
  PICKLE_OBJECT,     // what calling `type` with `args` would have made
  PICKLE_PERSISTENT, // a reference to something outside: torch's storages
};

struct pickle_text {
  const char *bytes; // not NUL-terminated
  size_t len;
};
struct pickle_value;
struct pickle_seq {
  const struct pickle_value **items;
  size_t count, cap;
};
struct pickle_object {
  const struct pickle_value *type, *args; // type: a GLOBAL, or an OBJECT whose value would have been called
  const struct pickle_value *kwargs;      // NULL: none
  const struct pickle_value *state;       // what __setstate__ would get; NULL: none
  struct pickle_seq items, pairs;         // appended items; key, value, ... set afterwards
};
struct pickle_value {
  enum pickle_kind kind;
  union {
    bool truth;
    int64_t integer;
    double number;
    struct pickle_text text; // STR, BYTES, LONG
    struct pickle_seq seq;   // TUPLE, LIST, SET, DICT
    struct {
      struct pickle_text module, name;
    } global;
    struct pickle_object *object;
    const struct pickle_value *id; // PERSISTENT
  };
};

// The values of one pickle share nodes and may hold cycles, as Python's do: a walker bounds its depth and its steps.
// Texts refer into the bytes parsed, which must outlive the pickle.
struct pickle {
  const struct pickle_value *root;
  struct pickle_seq persistent; // every PERSISTENT in the order of its making
  size_t used;                  // bytes of the input, up to and with its STOP
  void *blocks;                 // owned: all values
  size_t memory;                // bytes of the blocks
};

// Memory for values beyond this refuses the file. An export that counted five million different words stays below.
enum { PICKLE_MEMORY_MAX = 1 << 30 };

// Parses the pickle that starts at bytes; what follows its STOP is left alone. PARE_DATA names file, byte offset and
// what is wrong. pickle_free accepts a zeroed struct.
enum pare_status pickle_parse(const uint8_t *bytes, size_t len, const char *file, struct pickle *out,
                              struct pare_error *err);
void pickle_free(struct pickle *p);

// Whether a pickle may name this global at all. See pickle_globals.c for the list and the reason of each line.
bool pickle_global_allowed(struct pickle_text module, struct pickle_text name);

// ---- looking at values: each accepts NULL and any kind, so that paths can be followed without asking at every step.

bool pickle_text_is(struct pickle_text t, const char *s);
bool pickle_is_str(const struct pickle_value *v, const char *s);
// v is the global module.name; module "a.b", or "" for any.
bool pickle_is_global(const struct pickle_value *v, const char *module, const char *name);
// v is an object made by module.name.
bool pickle_is_object(const struct pickle_value *v, const char *module, const char *name);
bool pickle_int(const struct pickle_value *v, int64_t *out); // an INT
// Items of a TUPLE, LIST or SET, of an object's appended items, or of a call of set, list, tuple or frozenset on one.
struct pickle_seq pickle_items(const struct pickle_value *v);
// Key, value, ... of a DICT or of an object that items were set in (OrderedDict).
struct pickle_seq pickle_pairs(const struct pickle_value *v);
const struct pickle_value *pickle_item(const struct pickle_value *v, size_t i);         // NULL: no such item
const struct pickle_value *pickle_get(const struct pickle_value *v, const char *key);   // in pickle_pairs, the last one
const struct pickle_value *pickle_state(const struct pickle_value *v, const char *key); // in an object's state

#endif
