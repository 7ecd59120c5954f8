// pickle_memory.c - the pickle machine's memory: values in blocks freed together, its stack, marks and memo.
// A file cannot make it take more than PICKLE_MEMORY_MAX: whatever grows is counted first.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "format/pickle_vm.h"

enum { BLOCK_BYTES = 1 << 16 };

struct block {
  struct block *next;
  size_t used, size;
  _Alignas(8) uint8_t bytes[];
};

enum pare_status vm_fail(struct vm *vm, const char *format, ...) {
  char what[200];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return error_set(vm->err, PARE_DATA, "%s: byte %zu of the pickle: %s", vm->file, (size_t)(vm->op - vm->begin), what);
}

static enum pare_status count(struct vm *vm, size_t bytes) {
  if (bytes > PICKLE_MEMORY_MAX - vm->out->memory)
    return vm_fail(vm, "its values need more than %d MiB of memory", PICKLE_MEMORY_MAX >> 20);
  vm->out->memory += bytes;
  return PARE_OK;
}

void *vm_take(struct vm *vm, size_t bytes, enum pare_status *status) {
  if (bytes > PICKLE_MEMORY_MAX) {
    *status = vm_fail(vm, "its values need more than %d MiB of memory", PICKLE_MEMORY_MAX >> 20);
    return NULL;
  }
  bytes = size_round_up(bytes, 8);
  struct block *b = vm->out->blocks;
  if (!b || bytes > b->size - b->used) {
    size_t size = size_max(bytes, BLOCK_BYTES);
    *status = count(vm, size + sizeof *b);
    if (*status) return NULL;
    if (!(b = calloc(1, sizeof *b + size))) {
      *status = error_no_memory(vm->err);
      return NULL;
    }
    b->size = size;
    b->next = vm->out->blocks;
    vm->out->blocks = b;
  }
  void *p = b->bytes + b->used;
  b->used += bytes;
  *status = PARE_OK;
  return p;
}

void pickle_free(struct pickle *p) {
  for (struct block *b = p->blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  *p = (struct pickle){0};
}

node vm_node(struct vm *vm, enum pickle_kind kind, enum pare_status *status) {
  node v = vm_take(vm, sizeof *v, status);
  if (v) v->kind = kind;
  return v;
}

enum pare_status vm_append(struct vm *vm, struct pickle_seq *seq, const struct pickle_value *v) {
  if (seq->count == seq->cap) {
    enum pare_status s;
    size_t cap = seq->cap ? 2 * seq->cap : 4; // counted memory bounds it far below overflow
    const struct pickle_value **items = vm_take(vm, cap * sizeof *items, &s);
    if (!items) return s;
    if (seq->count) memcpy(items, seq->items, seq->count * sizeof *items);
    seq->items = items;
    seq->cap = cap;
  }
  seq->items[seq->count++] = v;
  return PARE_OK;
}

// Room for one more element of a malloc'ed array, counted.
static enum pare_status grow(struct vm *vm, void **array, size_t *cap, size_t need, size_t element) {
  if (need <= *cap) return PARE_OK;
  size_t to = size_max(need, size_max(64, 2 * *cap));
  enum pare_status s = count(vm, (to - *cap) * element);
  if (s) return s;
  void *p = realloc(*array, to * element);
  if (!p) return error_no_memory(vm->err);
  memset((uint8_t *)p + *cap * element, 0, (to - *cap) * element);
  *array = p;
  *cap = to;
  return PARE_OK;
}

enum pare_status vm_push(struct vm *vm, node v) {
  void *stack = vm->stack;
  enum pare_status s = grow(vm, &stack, &vm->cap, vm->depth + 1, sizeof *vm->stack);
  vm->stack = stack;
  if (!s) vm->stack[vm->depth++] = v;
  return s;
}

enum pare_status vm_pop(struct vm *vm, node *v) {
  size_t floor = vm->mark_count ? vm->marks[vm->mark_count - 1] : 0;
  if (vm->depth == floor) return vm_fail(vm, "instruction 0x%02x finds too few values on the stack", *vm->op);
  *v = vm->stack[--vm->depth];
  return PARE_OK;
}

enum pare_status vm_mark(struct vm *vm) {
  void *marks = vm->marks;
  enum pare_status s = grow(vm, &marks, &vm->mark_cap, vm->mark_count + 1, sizeof *vm->marks);
  vm->marks = marks;
  if (!s) vm->marks[vm->mark_count++] = vm->depth;
  return s;
}

enum pare_status vm_pop_mark(struct vm *vm, node **items, size_t *n) {
  if (vm->mark_count == 0) return vm_fail(vm, "instruction 0x%02x finds no mark on the stack", *vm->op);
  size_t from = vm->marks[--vm->mark_count];
  *items = vm->stack ? vm->stack + from : NULL; // nothing was ever pushed
  *n = vm->depth - from;
  vm->depth = from;
  return PARE_OK;
}

// Python counts its memo up from 0, and every entry takes at least one byte of the file: no index reaches its size.
enum pare_status vm_memo_put(struct vm *vm, uint64_t index, node v) {
  if (index >= (uint64_t)(vm->end - vm->begin))
    return vm_fail(vm, "memo index %llu, more than the file has bytes", (unsigned long long)index);
  void *memo = vm->memo;
  enum pare_status s = grow(vm, &memo, &vm->memo_cap, (size_t)index + 1, sizeof *vm->memo);
  vm->memo = memo;
  if (s) return s;
  vm->memo_count += !vm->memo[index];
  vm->memo[index] = v;
  return PARE_OK;
}

enum pare_status vm_memo_get(struct vm *vm, uint64_t index, node *v) {
  if (index >= vm->memo_cap || !vm->memo[index])
    return vm_fail(vm, "memo entry %llu was never stored", (unsigned long long)index);
  *v = vm->memo[index];
  return PARE_OK;
}
