// pickle.c - the pickle machine: one small function per instruction, found by its byte in a table. See pickle.h for
// what it makes of a pickle, and what it never does. Instruction names are those of Python's pickletools.
#include "format/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "format/pickle_vm.h"

typedef enum pare_status (*handler)(struct vm *vm);

// ---- constants and numbers ----

static enum pare_status push_kind(struct vm *vm, enum pickle_kind kind) {
  enum pare_status s;
  node v = vm_node(vm, kind, &s);
  return v ? vm_push(vm, v) : s;
}

static enum pare_status push_int(struct vm *vm, int64_t n) {
  enum pare_status s = push_kind(vm, PICKLE_INT);
  if (!s) vm->stack[vm->depth - 1]->integer = n;
  return s;
}

static enum pare_status push_bool(struct vm *vm, bool truth) {
  enum pare_status s = push_kind(vm, PICKLE_BOOL);
  if (!s) vm->stack[vm->depth - 1]->truth = truth;
  return s;
}

static enum pare_status op_none(struct vm *vm) {
  return push_kind(vm, PICKLE_NONE);
}
static enum pare_status op_true(struct vm *vm) {
  return push_bool(vm, true);
}
static enum pare_status op_false(struct vm *vm) {
  return push_bool(vm, false);
}

static enum pare_status op_binint(struct vm *vm) { // BININT 'J', BININT1 'K', BININT2 'M'
  uint64_t n;
  enum pare_status s = vm_uint(vm, *vm->op == 'J' ? 4 : *vm->op == 'K' ? 1 : 2, &n);
  if (s) return s;
  return push_int(vm, *vm->op == 'J' ? (int64_t)(int32_t)(uint32_t)n : (int64_t)n);
}

static enum pare_status op_long_bytes(struct vm *vm) { // LONG1, LONG4
  uint64_t len;
  const uint8_t *p;
  node v;
  enum pare_status s = vm_uint(vm, *vm->op == 0x8A ? 1 : 4, &len);
  if (!s) s = vm_bytes(vm, len, &p);
  if (!s) s = vm_long(vm, (struct pickle_text){(const char *)p, (size_t)len}, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_int_line(struct vm *vm) { // INT: "00" and "01" are protocol 1's False and True
  struct pickle_text line;
  node v;
  enum pare_status s = vm_line(vm, &line);
  if (!s && (pickle_text_is(line, "00") || pickle_text_is(line, "01"))) return push_bool(vm, line.bytes[1] == '1');
  if (!s) s = vm_decimal(vm, line, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_float_line(struct vm *vm) {
  struct pickle_text line;
  node v;
  enum pare_status s = vm_line(vm, &line);
  if (!s) s = vm_float_text(vm, line, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_binfloat(struct vm *vm) { // big-endian
  const uint8_t *p;
  uint64_t bits = 0;
  enum pare_status s = vm_bytes(vm, 8, &p);
  for (int i = 0; !s && i < 8; i++) bits = bits << 8 | p[i];
  if (!s) s = push_kind(vm, PICKLE_FLOAT);
  if (!s) memcpy(&vm->stack[vm->depth - 1]->number, &bits, sizeof bits);
  return s;
}

// ---- texts ----

static enum pare_status push_text(struct vm *vm, enum pickle_kind kind, size_t size_bytes) {
  uint64_t len;
  const uint8_t *p;
  enum pare_status s = vm_uint(vm, size_bytes, &len);
  if (!s) s = vm_bytes(vm, len, &p);
  if (!s) s = push_kind(vm, kind);
  if (!s) vm->stack[vm->depth - 1]->text = (struct pickle_text){(const char *)p, (size_t)len};
  return s;
}

static enum pare_status op_text1(struct vm *vm) { // SHORT_BINSTRING, SHORT_BINUNICODE
  return push_text(vm, PICKLE_STR, 1);
}
static enum pare_status op_text4(struct vm *vm) { // BINSTRING, BINUNICODE
  return push_text(vm, PICKLE_STR, 4);
}
static enum pare_status op_text8(struct vm *vm) { // BINUNICODE8
  return push_text(vm, PICKLE_STR, 8);
}
static enum pare_status op_bytes1(struct vm *vm) {
  return push_text(vm, PICKLE_BYTES, 1);
}
static enum pare_status op_bytes4(struct vm *vm) {
  return push_text(vm, PICKLE_BYTES, 4);
}
static enum pare_status op_bytes8(struct vm *vm) { // BINBYTES8, BYTEARRAY8
  return push_text(vm, PICKLE_BYTES, 8);
}

static enum pare_status push_line(struct vm *vm,
                                  enum pare_status (*read)(struct vm *vm, struct pickle_text line, node *out)) {
  struct pickle_text line;
  node v;
  enum pare_status s = vm_line(vm, &line);
  if (!s) s = read(vm, line, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_string(struct vm *vm) {
  return push_line(vm, vm_quoted);
}
static enum pare_status op_unicode(struct vm *vm) {
  return push_line(vm, vm_raw_escapes);
}
static enum pare_status op_long_line(struct vm *vm) {
  return push_line(vm, vm_decimal);
}

// ---- the stack and the memo ----

static enum pare_status op_pop(struct vm *vm) {
  node v, *items;
  size_t n;
  bool at_mark = vm->mark_count && vm->marks[vm->mark_count - 1] == vm->depth; // then the mark itself is popped
  return at_mark ? vm_pop_mark(vm, &items, &n) : vm_pop(vm, &v);
}

static enum pare_status op_pop_mark(struct vm *vm) {
  node *items;
  size_t n;
  return vm_pop_mark(vm, &items, &n);
}

static enum pare_status top(struct vm *vm, node *v) {
  enum pare_status s = vm_pop(vm, v);
  if (!s) vm->depth++;
  return s;
}

static enum pare_status op_dup(struct vm *vm) {
  node v;
  enum pare_status s = top(vm, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status memo_index(struct vm *vm, uint64_t *index) { // by the width that the instruction has
  switch (*vm->op) {
    case 'h':
    case 'q': return vm_uint(vm, 1, index);
    case 'j':
    case 'r': return vm_uint(vm, 4, index);
    default: break;
  }
  struct pickle_text line;
  node v;
  enum pare_status s = vm_line(vm, &line);
  if (!s) s = vm_decimal(vm, line, &v);
  if (!s && v->integer < 0) s = vm_fail(vm, "a negative memo index");
  if (!s) *index = (uint64_t)v->integer;
  return s;
}

static enum pare_status op_get(struct vm *vm) {
  uint64_t index;
  node v;
  enum pare_status s = memo_index(vm, &index);
  if (!s) s = vm_memo_get(vm, index, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_put(struct vm *vm) {
  uint64_t index = vm->memo_count; // MEMOIZE
  node v;
  enum pare_status s = *vm->op == 0x94 ? PARE_OK : memo_index(vm, &index);
  if (!s) s = top(vm, &v);
  return s ? s : vm_memo_put(vm, index, v);
}

// ---- containers ----

static enum pare_status append_all(struct vm *vm, struct pickle_seq *seq, node *items, size_t n) {
  enum pare_status s = PARE_OK;
  for (size_t i = 0; !s && i < n; i++) s = vm_append(vm, seq, items[i]);
  return s;
}

static enum pare_status push_seq(struct vm *vm, enum pickle_kind kind, node *items, size_t n) {
  enum pare_status s;
  node v = vm_node(vm, kind, &s);
  if (v) s = append_all(vm, &v->seq, items, n);
  return s ? s : vm_push(vm, v);
}

static enum pare_status collect(struct vm *vm, enum pickle_kind kind) {
  node *items;
  size_t n;
  enum pare_status s = vm_pop_mark(vm, &items, &n);
  if (!s && kind == PICKLE_DICT && n % 2) return vm_fail(vm, "a dictionary with a key that has no value");
  return s ? s : push_seq(vm, kind, items, n);
}

static enum pare_status op_tuple(struct vm *vm) {
  return collect(vm, PICKLE_TUPLE);
}
static enum pare_status op_list(struct vm *vm) {
  return collect(vm, PICKLE_LIST);
}
static enum pare_status op_dict(struct vm *vm) {
  return collect(vm, PICKLE_DICT);
}
static enum pare_status op_frozenset(struct vm *vm) {
  return collect(vm, PICKLE_SET);
}
static enum pare_status op_empty_tuple(struct vm *vm) {
  return push_kind(vm, PICKLE_TUPLE);
}
static enum pare_status op_empty_list(struct vm *vm) {
  return push_kind(vm, PICKLE_LIST);
}
static enum pare_status op_empty_dict(struct vm *vm) {
  return push_kind(vm, PICKLE_DICT);
}
static enum pare_status op_empty_set(struct vm *vm) {
  return push_kind(vm, PICKLE_SET);
}

static enum pare_status op_tuple_n(struct vm *vm) { // TUPLE1, TUPLE2, TUPLE3
  size_t n = (size_t)(*vm->op - 0x84);
  node items[3];
  enum pare_status s = PARE_OK;
  for (size_t i = n; !s && i > 0; i--) s = vm_pop(vm, &items[i - 1]);
  return s ? s : push_seq(vm, PICKLE_TUPLE, items, n);
}

// Adds n values to the container below them: a plain one of that kind, or an object, which keeps them as a record.
static enum pare_status add_to(struct vm *vm, enum pickle_kind kind, node *items, size_t n) {
  node v;
  enum pare_status s = top(vm, &v);
  if (s) return s;
  if (v->kind == kind) return append_all(vm, &v->seq, items, n);
  if (v->kind != PICKLE_OBJECT) return vm_fail(vm, "instruction 0x%02x adds to something that holds no items", *vm->op);
  return append_all(vm, kind == PICKLE_DICT ? &v->object->pairs : &v->object->items, items, n);
}

static enum pare_status add_marked(struct vm *vm, enum pickle_kind kind) {
  node *items;
  size_t n;
  enum pare_status s = vm_pop_mark(vm, &items, &n);
  if (!s && kind == PICKLE_DICT && n % 2) return vm_fail(vm, "a dictionary with a key that has no value");
  return s ? s : add_to(vm, kind, items, n); // nothing is pushed meanwhile: items stay where they are
}

static enum pare_status op_appends(struct vm *vm) {
  return add_marked(vm, PICKLE_LIST);
}
static enum pare_status op_setitems(struct vm *vm) {
  return add_marked(vm, PICKLE_DICT);
}
static enum pare_status op_additems(struct vm *vm) {
  return add_marked(vm, PICKLE_SET);
}

static enum pare_status op_append(struct vm *vm) {
  node v;
  enum pare_status s = vm_pop(vm, &v);
  return s ? s : add_to(vm, PICKLE_LIST, &v, 1);
}

static enum pare_status op_setitem(struct vm *vm) {
  node pair[2];
  enum pare_status s = vm_pop(vm, &pair[1]);
  if (!s) s = vm_pop(vm, &pair[0]);
  return s ? s : add_to(vm, PICKLE_DICT, pair, 2);
}

// ---- names and what would be called ----

static enum pare_status make_global(struct vm *vm, struct pickle_text module, struct pickle_text name, node *out) {
  enum pare_status s;
  *out = NULL;
  if (!pickle_global_allowed(module, name))
    return vm_fail(
        vm, "it names %.*s.%.*s, which is neither data nor part of torch or fastai: refused, nothing was run",
        (int)(module.len < 60 ? module.len : 60), module.bytes, (int)(name.len < 60 ? name.len : 60), name.bytes);
  if ((*out = vm_node(vm, PICKLE_GLOBAL, &s))) {
    (*out)->global.module = module;
    (*out)->global.name = name;
  }
  return s;
}

static enum pare_status read_global(struct vm *vm, node *out) {
  struct pickle_text module, name;
  enum pare_status s = vm_line(vm, &module);
  if (!s) s = vm_line(vm, &name);
  return s ? s : make_global(vm, module, name, out);
}

static enum pare_status op_global(struct vm *vm) {
  node v;
  enum pare_status s = read_global(vm, &v);
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_stack_global(struct vm *vm) {
  node module, name, v;
  enum pare_status s = vm_pop(vm, &name);
  if (!s) s = vm_pop(vm, &module);
  if (!s && (module->kind != PICKLE_STR || name->kind != PICKLE_STR))
    s = vm_fail(vm, "a global's module and name are not texts");
  if (!s) s = make_global(vm, module->text, name->text, &v);
  return s ? s : vm_push(vm, v);
}

// A record of type(*args, **kwargs). What may be called is a global, or what an earlier call would have returned.
static enum pare_status push_object(struct vm *vm, node type, node args, node kwargs) {
  enum pare_status s;
  if (type->kind != PICKLE_GLOBAL && type->kind != PICKLE_OBJECT)
    return vm_fail(vm, "instruction 0x%02x would call something that is no class or function", *vm->op);
  if (args->kind != PICKLE_TUPLE) return vm_fail(vm, "the arguments of a call are not a tuple");
  if (kwargs && kwargs->kind != PICKLE_DICT) return vm_fail(vm, "the named arguments of a call are not a dictionary");
  node v = vm_node(vm, PICKLE_OBJECT, &s);
  if (!v) return s;
  if (!(v->object = vm_take(vm, sizeof *v->object, &s))) return s;
  v->object->type = type;
  v->object->args = args;
  v->object->kwargs = kwargs;
  return vm_push(vm, v);
}

static enum pare_status op_reduce(struct vm *vm) { // REDUCE, NEWOBJ
  node type, args;
  enum pare_status s = vm_pop(vm, &args);
  if (!s) s = vm_pop(vm, &type);
  return s ? s : push_object(vm, type, args, NULL);
}

static enum pare_status op_newobj_ex(struct vm *vm) {
  node type, args, kwargs;
  enum pare_status s = vm_pop(vm, &kwargs);
  if (!s) s = vm_pop(vm, &args);
  if (!s) s = vm_pop(vm, &type);
  return s ? s : push_object(vm, type, args, kwargs);
}

static enum pare_status op_inst(struct vm *vm) { // INST: the class is named in the instruction; OBJ: it is on the stack
  node type = NULL, *items, args;
  size_t n;
  enum pare_status s = *vm->op == 'i' ? read_global(vm, &type) : PARE_OK;
  if (!s) s = vm_pop_mark(vm, &items, &n);
  if (s) return s;
  if (!type) {
    if (n == 0) return vm_fail(vm, "OBJ without a class");
    type = *items++;
    n--;
  }
  if (!(args = vm_node(vm, PICKLE_TUPLE, &s))) return s;
  s = append_all(vm, &args->seq, items, n);
  return s ? s : push_object(vm, type, args, NULL);
}

static enum pare_status op_build(struct vm *vm) {
  node v, state;
  enum pare_status s = vm_pop(vm, &state);
  if (!s) s = top(vm, &v);
  if (s) return s;
  if (v->kind != PICKLE_OBJECT) return vm_fail(vm, "BUILD gives a state to something that is no object");
  if (v->object->state) return vm_fail(vm, "BUILD gives an object a second state");
  v->object->state = state;
  return PARE_OK;
}

// torch refers to its storages by such tuples; and before 1.6 to classes, beside their source text, which is ignored.
static enum pare_status push_persistent(struct vm *vm, node id) {
  const struct pickle_value *kind = pickle_item(id, 0), *class = pickle_item(id, 1);
  bool storage = pickle_is_str(kind, "storage");
  if (!storage && !(pickle_is_str(kind, "module") && class && class->kind == PICKLE_GLOBAL))
    return vm_fail(vm, "a persistent id that names no storage of torch");
  enum pare_status s;
  node v = vm_node(vm, storage ? PICKLE_PERSISTENT : PICKLE_GLOBAL, &s);
  if (!v) return s;
  if (storage) {
    v->id = id;
    s = vm_append(vm, &vm->out->persistent, v);
  } else {
    v->global = class->global;
  }
  return s ? s : vm_push(vm, v);
}

static enum pare_status op_binpersid(struct vm *vm) {
  node id;
  enum pare_status s = vm_pop(vm, &id);
  return s ? s : push_persistent(vm, id);
}

static enum pare_status op_persid(struct vm *vm) {
  return vm_fail(vm, "a persistent id that names no storage of torch");
}

static enum pare_status op_extension(struct vm *vm) {
  return vm_fail(vm, "an extension code: it stands for a name that is not in the file");
}

static enum pare_status op_buffer(struct vm *vm) {
  return vm_fail(vm, "a buffer outside the pickle: there is none");
}

// ---- framing ----

static enum pare_status op_proto(struct vm *vm) {
  uint64_t version;
  enum pare_status s = vm_uint(vm, 1, &version);
  if (!s && version > 5) s = vm_fail(vm, "protocol %u; 0 to 5 are read", (unsigned)version);
  return s;
}

static enum pare_status op_frame(struct vm *vm) { // only says how much to read ahead
  uint64_t len;
  enum pare_status s = vm_uint(vm, 8, &len);
  if (!s && len > (uint64_t)(vm->end - vm->at)) s = vm_fail(vm, "a frame longer than the file; truncated?");
  return s;
}

static enum pare_status op_stop(struct vm *vm) {
  node v;
  enum pare_status s = vm_pop(vm, &v);
  if (s) return s;
  if (vm->depth || vm->mark_count) return vm_fail(vm, "it ends with values left over on its stack");
  vm->out->root = v;
  vm->done = true;
  return PARE_OK;
}

static const handler handlers[256] = {
    ['('] = vm_mark,       ['.'] = op_stop,        ['0'] = op_pop,           ['1'] = op_pop_mark,
    ['2'] = op_dup,        ['F'] = op_float_line,  ['I'] = op_int_line,      ['J'] = op_binint,
    ['K'] = op_binint,     ['L'] = op_long_line,   ['M'] = op_binint,        ['N'] = op_none,
    ['P'] = op_persid,     ['Q'] = op_binpersid,   ['R'] = op_reduce,        ['S'] = op_string,
    ['T'] = op_text4,      ['U'] = op_text1,       ['V'] = op_unicode,       ['X'] = op_text4,
    ['a'] = op_append,     ['b'] = op_build,       ['c'] = op_global,        ['d'] = op_dict,
    ['}'] = op_empty_dict, ['e'] = op_appends,     ['g'] = op_get,           ['h'] = op_get,
    ['i'] = op_inst,       ['j'] = op_get,         ['l'] = op_list,          [']'] = op_empty_list,
    ['o'] = op_inst,       ['p'] = op_put,         ['q'] = op_put,           ['r'] = op_put,
    ['s'] = op_setitem,    ['t'] = op_tuple,       [')'] = op_empty_tuple,   ['u'] = op_setitems,
    ['G'] = op_binfloat,   ['B'] = op_bytes4,      ['C'] = op_bytes1,        [0x80] = op_proto,
    [0x81] = op_reduce,    [0x82] = op_extension,  [0x83] = op_extension,    [0x84] = op_extension,
    [0x85] = op_tuple_n,   [0x86] = op_tuple_n,    [0x87] = op_tuple_n,      [0x88] = op_true,
    [0x89] = op_false,     [0x8A] = op_long_bytes, [0x8B] = op_long_bytes,   [0x8C] = op_text1,
    [0x8D] = op_text8,     [0x8E] = op_bytes8,     [0x8F] = op_empty_set,    [0x90] = op_additems,
    [0x91] = op_frozenset, [0x92] = op_newobj_ex,  [0x93] = op_stack_global, [0x94] = op_put,
    [0x95] = op_frame,     [0x96] = op_bytes8,     [0x97] = op_buffer,       [0x98] = op_buffer,
};

static enum pare_status run(struct vm *vm) {
  while (!vm->done) {
    vm->op = vm->at;
    if (vm->at == vm->end) return vm_fail(vm, "the file ends here, before the pickle does; truncated?");
    handler h = handlers[*vm->at++];
    if (!h) return vm_fail(vm, "0x%02x is no pickle instruction", *vm->op);
    enum pare_status s = h(vm);
    if (s) return s;
  }
  return PARE_OK;
}

enum pare_status pickle_parse(const uint8_t *bytes, size_t len, const char *file, struct pickle *out,
                              struct pare_error *err) {
  *out = (struct pickle){0};
  struct vm vm = {
      .begin = bytes, .at = bytes, .op = bytes, .end = len ? bytes + len : bytes, .file = file, .out = out, .err = err};
  enum pare_status s = len ? run(&vm) : vm_fail(&vm, "the file is empty");
  out->used = (size_t)(vm.at - vm.begin);
  free(vm.stack);
  free(vm.marks);
  free(vm.memo);
  if (s) pickle_free(out);
  return s;
}
