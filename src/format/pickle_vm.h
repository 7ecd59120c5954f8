// pickle_vm.h - the pickle machine's state, shared by its parts; private to format/.
#ifndef PARE_FORMAT_PICKLE_VM_H
#define PARE_FORMAT_PICKLE_VM_H

#include "format/pickle.h"

typedef struct pickle_value *node; // mutable while the machine runs

struct vm {
  const uint8_t *begin, *at, *end;
  const uint8_t *op; // the instruction being run
  const char *file;
  struct pickle *out;
  node *stack;
  size_t depth, cap;
  size_t *marks; // depths at which MARK was run
  size_t mark_count, mark_cap;
  node *memo;
  size_t memo_cap, memo_count;
  bool done;
  struct pare_error *err;
};

enum pare_status vm_fail(struct vm *vm, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- memory (pickle_memory.c). Each fails beyond PICKLE_MEMORY_MAX.
void *vm_take(struct vm *vm, size_t bytes, enum pare_status *status); // zeroed, 8-byte aligned; NULL with *status set
node vm_node(struct vm *vm, enum pickle_kind kind, enum pare_status *status);
enum pare_status vm_append(struct vm *vm, struct pickle_seq *seq, const struct pickle_value *v);

enum pare_status vm_push(struct vm *vm, node v);
enum pare_status vm_pop(struct vm *vm, node *v); // refuses to go below the last mark
enum pare_status vm_mark(struct vm *vm);
// Everything above the last mark, which is dropped: *items stays valid until the next push.
enum pare_status vm_pop_mark(struct vm *vm, node **items, size_t *count);
enum pare_status vm_memo_put(struct vm *vm, uint64_t index, node v);
enum pare_status vm_memo_get(struct vm *vm, uint64_t index, node *v);

// ---- reading arguments (pickle_args.c)
enum pare_status vm_bytes(struct vm *vm, uint64_t len, const uint8_t **out);        // the next len bytes
enum pare_status vm_uint(struct vm *vm, size_t bytes, uint64_t *out);               // little-endian
enum pare_status vm_line(struct vm *vm, struct pickle_text *out);                   // up to a newline, which is dropped
enum pare_status vm_decimal(struct vm *vm, struct pickle_text line, node *out);     // an INT or LONG
enum pare_status vm_quoted(struct vm *vm, struct pickle_text line, node *out);      // 'text' with Python's escapes
enum pare_status vm_raw_escapes(struct vm *vm, struct pickle_text line, node *out); // \uXXXX alone is special
enum pare_status vm_long(struct vm *vm, struct pickle_text bytes, node *out);       // two's complement
enum pare_status vm_float_text(struct vm *vm, struct pickle_text line, node *out);

#endif
