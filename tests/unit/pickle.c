// pickle.c - the pickle machine: what every instruction leaves behind, what is refused and with which words, and that
// no input makes it run, crash or take memory without end.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "format/pickle.h"

// A value as text, for comparing: objects as type(args){state}+[items]+{pairs}.
static void print(struct buf *b, const struct pickle_value *v, int depth);

static void print_list(struct buf *b, struct pickle_seq s, const char *open, const char *close, int depth) {
  buf_puts(b, open);
  for (size_t i = 0; i < s.count; i++) {
    if (i) buf_puts(b, ",");
    print(b, s.items[i], depth);
  }
  buf_puts(b, close);
}

static void print_text(struct buf *b, struct pickle_text t) {
  for (size_t i = 0; i < t.len; i++) {
    unsigned char c = (unsigned char)t.bytes[i];
    if (c < 32 || c > 126) {
      buf_printf(b, "\\%02x", c);
    } else {
      buf_add(b, &t.bytes[i], 1);
    }
  }
}

static void print(struct buf *b, const struct pickle_value *v, int depth) {
  if (depth > 6) {
    buf_puts(b, "...");
    return;
  }
  switch (v->kind) {
    case PICKLE_NONE: buf_puts(b, "None"); break;
    case PICKLE_BOOL: buf_puts(b, v->truth ? "True" : "False"); break;
    case PICKLE_INT: buf_printf(b, "%lld", (long long)v->integer); break;
    case PICKLE_FLOAT: buf_printf(b, "%gf", v->number); break;
    case PICKLE_LONG: buf_puts(b, "long:"), print_text(b, v->text); break;
    case PICKLE_BYTES: buf_puts(b, "b'"), print_text(b, v->text), buf_puts(b, "'"); break;
    case PICKLE_STR: buf_puts(b, "'"), print_text(b, v->text), buf_puts(b, "'"); break;
    case PICKLE_TUPLE: print_list(b, v->seq, "(", ")", depth + 1); break;
    case PICKLE_LIST: print_list(b, v->seq, "[", "]", depth + 1); break;
    case PICKLE_SET: print_list(b, v->seq, "<", ">", depth + 1); break;
    case PICKLE_DICT: print_list(b, v->seq, "{", "}", depth + 1); break;
    case PICKLE_GLOBAL: print_text(b, v->global.module), buf_puts(b, "."), print_text(b, v->global.name); break;
    case PICKLE_PERSISTENT: buf_puts(b, "@"), print(b, v->id, depth + 1); break;
    case PICKLE_OBJECT:
      print(b, v->object->type, depth + 1);
      print(b, v->object->args, depth + 1);
      if (v->object->kwargs) buf_puts(b, "**"), print(b, v->object->kwargs, depth + 1);
      if (v->object->state) buf_puts(b, "|"), print(b, v->object->state, depth + 1);
      if (v->object->items.count) print_list(b, v->object->items, "+[", "]", depth + 1);
      if (v->object->pairs.count) print_list(b, v->object->pairs, "+{", "}", depth + 1);
      break;
  }
}

static enum pare_status parse(const char *bytes, size_t len, struct pickle *out, struct pare_error *err) {
  // A heap copy of exactly these bytes, so that a sanitizer sees a read beyond them.
  uint8_t *copy = malloc(len ? len : 1);
  if (len) memcpy(copy, bytes, len);
  enum pare_status s = pickle_parse(copy, len, "p.pkl", out, err);
  struct buf b = {0};
  if (s == PARE_OK) print(&b, out->root, 0); // reads every text
  buf_free(&b);
  if (s != PARE_OK) assert_null(out->blocks);
  pickle_free(out);
  free(copy);
  return s;
}

struct row {
  const char *bytes;
  size_t len;
  const char *expected;
};
#define ROW(bytes, expected) \
  { bytes, sizeof(bytes) - 1, expected }

static void every_instruction(void **state) {
  (void)state;
  static const struct row rows[] = {
      ROW("N.", "None"),
      ROW("\x80\x02\x88.", "True"),
      ROW("\x80\x05\x89.", "False"),
      ROW("I01\n.", "True"),
      ROW("I00\n.", "False"),
      ROW("I-12\n.", "-12"),
      ROW("I12\r\n.", "12"),
      ROW("L123456789012L\n.", "123456789012"),
      ROW("F-2.5\n.", "-2.5f"),
      ROW("G\x3f\xf8\0\0\0\0\0\0.", "1.5f"),
      ROW("J\xff\xff\xff\xff.", "-1"),
      ROW("K\xff.", "255"),
      ROW("M\x01\x02.", "513"),
      ROW("\x8a\0.", "0"),
      ROW("\x8a\x01\xff.", "-1"),
      ROW("\x8a\x02\xff\0.", "255"),
      ROW("\x8a\x08\0\0\0\0\0\0\0\x80.", "-9223372036854775808"),
      ROW("\x8b\x09\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09.", "long:\\01\\02\\03\\04\\05\\06\\07\\08\\09"),
      ROW("S'a\\n\\x41\\'\\\\'\n.", "'a\\0aA'\\'"),
      ROW("S\"it's\"\n.", "'it's'"),
      ROW("Va\\u00e9\\U0001F600\xe9\n.", "'a\\c3\\a9\\f0\\9f\\98\\80\\c3\\a9'"),
      ROW("T\x02\0\0\0hi.", "'hi'"),
      ROW("U\x02hi.", "'hi'"),
      ROW("X\x02\0\0\0hi.", "'hi'"),
      ROW("\x8c\x02hi.", "'hi'"),
      ROW("\x8d\x02\0\0\0\0\0\0\0hi.", "'hi'"),
      ROW("C\x02hi.", "b'hi'"),
      ROW("B\x02\0\0\0hi.", "b'hi'"),
      ROW("\x8e\x02\0\0\0\0\0\0\0hi.", "b'hi'"),
      ROW("\x96\x02\0\0\0\0\0\0\0hi.", "b'hi'"),
      ROW(").", "()"),
      ROW("].", "[]"),
      ROW("}.", "{}"),
      ROW("\x8f.", "<>"),
      ROW("(K\1K\2t.", "(1,2)"),
      ROW("(K\1K\2l.", "[1,2]"),
      ROW("(K\1K\2d.", "{1,2}"),
      ROW("(K\1K\2\x91.", "<1,2>"),
      ROW("K\1\x85.", "(1)"),
      ROW("K\1K\2\x86.", "(1,2)"),
      ROW("K\1K\2K\3\x87.", "(1,2,3)"),
      ROW("]K\1a.", "[1]"),
      ROW("](K\1K\2K\3K\4K\5e.", "[1,2,3,4,5]"),
      ROW("}K\1K\2s.", "{1,2}"),
      ROW("}(K\1K\2K\3K\4u.", "{1,2,3,4}"),
      ROW("\x8f(K\1K\2\x90.", "<1,2>"),
      ROW("K\1K\2"
          "0.",
          "1"),
      ROW("K\1(K\2K\3"
          "1.",
          "1"),
      ROW("K\1(0.", "1"),
      ROW("K\1"
          "2\x86.",
          "(1,1)"),
      ROW("K\1q\0h\0\x86.", "(1,1)"),
      ROW("K\1r\3\0\0\0j\3\0\0\0\x86.", "(1,1)"),
      ROW("K\1p3\ng3\n\x86.", "(1,1)"),
      ROW("K\1\x94K\2\x94\x86h\1\x86.", "((1,2),2)"),
      ROW("\x80\x04\x95\x03\0\0\0\0\0\0\0K\1.", "1"),
      ROW("ccollections\nOrderedDict\n.", "collections.OrderedDict"),
      ROW("\x8c\x05torch\x8c\x04Size\x93)R.", "torch.Size()"),
      ROW("ctorch.nn\nLinear\n)R}(U\1aK\1ub.", "torch.nn.Linear()|{'a',1}"),
      ROW("ctorch\nLinear\n)\x81.", "torch.Linear()"),
      ROW("ctorch\nLinear\nK\1\x85}U\1aK\2s\x92.", "torch.Linear(1)**{'a',2}"),
      ROW("(K\1K\2itorch\nSize\n.", "torch.Size(1,2)"),
      ROW("(ctorch\nSize\nK\1o.", "torch.Size(1)"),
      ROW("ccollections\nOrderedDict\n)R(U\1aK\1U\1bK\2u.", "collections.OrderedDict()+{'a',1,'b',2}"),
      ROW("cfastcore.foundation\nL\n)RK\1a.", "fastcore.foundation.L()+[1]"),
      ROW("c__builtin__\ngetattr\nctorch\nSize\nU\1a\x86R)R.", "__builtin__.getattr(torch.Size,'a')()"),
      ROW("(U\7storagectorch\nFloatStorage\nU\1"
          "0U\3cpuK\2tQ.",
          "@('storage',torch.FloatStorage,'0','cpu',2)"),
      ROW("U\6modulectorch.nn\nLinear\nU\4text\x87Q)\x81.", "torch.nn.Linear()"),
      ROW("K\1.and what follows", "1"),
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct pickle p;
    struct pare_error err = {0};
    struct buf b = {0};
    if (pickle_parse((const uint8_t *)rows[i].bytes, rows[i].len, "p.pkl", &p, &err))
      fail_msg("row %zu (%s): %s", i, rows[i].expected, err.text);
    print(&b, p.root, 0);
    assert_string_equal(b.data, rows[i].expected);
    buf_free(&b);
    pickle_free(&p);
    // Cut anywhere, it is refused.
    size_t whole = strncmp(rows[i].bytes, "K\1.and", 6) ? rows[i].len : 3;
    for (size_t n = 0; n < whole; n++) assert_int_equal(parse(rows[i].bytes, n, &p, &err), PARE_DATA);
  }
}

static void names_that_are_not_data_are_refused(void **state) {
  (void)state;
  static const struct row rows[] = {
      ROW("cos\nsystem\n(S'touch was-here'\ntR.", "os.system"),
      ROW("cposix\nsystem\n.", "posix.system"),
      ROW("cbuiltins\neval\n(S'1'\ntR.", "builtins.eval"),
      ROW("c__builtin__\nexec\n.", "__builtin__.exec"),
      ROW("cbuiltins\n__import__\n.", "builtins.__import__"),
      ROW("cbuiltins\nopen\n.", "builtins.open"),
      ROW("csubprocess\nPopen\n.", "subprocess.Popen"),
      ROW("crunpy\n_run_code\n.", "runpy._run_code"),
      ROW("cnumpy\nload\n.", "numpy.load"),
      ROW("c__main__\nf\n.", "__main__.f"),
      ROW("ctorchvision\nx\n.", "torchvision.x"), // no part of the package torch
      ROW("cfastai_x\nx\n.", "fastai_x.x"),
      ROW("c\nsystem\n.", ".system"),
      ROW("\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
      ROW("(S'x'\nios\nsystem\n.", "os.system"),
      ROW("(cos\nsystem\nS'x'\no.", "os.system"),
      ROW("cos\nsystem\n)\x81.", "os.system"),
      ROW("cos\nsystem\n)}\x92.", "os.system"),
      ROW("ctorch.nn\nLinear\n)Rcos\nsystem\nb.", "os.system"), // the state that BUILD would give
      ROW("(U\7storagecos\nsystem\nU\1"
          "0U\3cpuK\2tQ.",
          "os.system"),
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct pickle p;
    struct pare_error err = {0};
    assert_int_equal(parse(rows[i].bytes, rows[i].len, &p, &err), PARE_DATA);
    if (!strstr(err.text, rows[i].expected) || !strstr(err.text, "nothing was run"))
      fail_msg("row %zu: %s", i, err.text);
    assert_int_equal(strncmp(err.text, "p.pkl: byte ", 12), 0);
  }
}

static void what_makes_no_sense_is_refused(void **state) {
  (void)state;
  static const struct row rows[] = {
      ROW("", "empty"),
      ROW("\xff.", "no pickle instruction"),
      ROW("\x80\x06N.", "protocol 6"),
      ROW(".", "too few values"),
      ROW("NN.", "left over"),
      ROW("(N.", "left over"),
      ROW("N(.", "too few values"), // the mark hides what is below it
      ROW("N(N.", "left over"),
      ROW("Nt.", "no mark"),
      ROW("N\x86.", "too few values"),
      ROW("K\1(K\2\x86.", "too few values"),
      ROW("h\0.", "never stored"),
      ROW("Nq\1h\0.", "never stored"),
      ROW("Nr\xff\xff\xff\xff.", "memo index"),
      ROW("Np-1\n.", "negative"),
      ROW("Np99999999999\n.", "memo index"),
      ROW("Ng99999999999999999999999999999\n.", "64 bits"),
      ROW("q\0N.", "too few values"),
      ROW("\x8d\xff\xff\xff\xff\xff\xff\xff\xffx.", "truncated"),
      ROW("\x8e\xff\xff\xff\xff\xff\xff\xff\x7fx.", "truncated"),
      ROW("X\xff\xff\xff\xffx.", "truncated"),
      ROW("\x8b\xff\xff\xff\xffx.", "truncated"),
      ROW("\x95\xff\xff\xff\xff\xff\xff\xff\xffN.", "frame"),
      ROW("(Nd.", "no value"),
      ROW("}(Nu.", "no value"),
      ROW("NNa.", "holds no items"),
      ROW("]NNs.", "holds no items"),
      ROW("}Na.", "holds no items"),
      ROW("](N\x90.", "holds no items"),
      ROW("K\1)R.", "no class or function"),
      ROW("U\1a)\x81.", "no class or function"),
      ROW("ctorch\nSize\nNR.", "not a tuple"),
      ROW("ctorch\nSize\n]R.", "not a tuple"),
      ROW("ctorch\nSize\n)N\x92.", "not a dictionary"),
      ROW("(o.", "without a class"),
      ROW("(K\1o.", "no class or function"),
      ROW("N}b.", "no object"),
      ROW("ctorch\nSize\n}b.", "no object"), // a class would get it
      ROW("ctorch\nSize\n)R}b}b.", "second state"),
      ROW("U\1aU\1b\x93.", "neither data"),
      ROW("NN\x93.", "not texts"),
      ROW("\x82\x01.", "extension"),
      ROW("\x83\x01\x01.", "extension"),
      ROW("\x84\x01\x01\x01\x01.", "extension"),
      ROW("\x97.", "buffer"),
      ROW("\x98.", "buffer"),
      ROW("P0\n.", "persistent"),
      ROW("NQ.", "persistent"),
      ROW("U\4file\x85Q.", "persistent"),
      ROW("U\6moduleU\1a\x86Q.", "persistent"),
      ROW("I1x\n.", "integer"),
      ROW("I\n.", "integer"),
      ROW("L99999999999999999999L\n.", "64 bits"),
      ROW("Fx\n.", "number"),
      ROW("Sabc\n.", "quotes"),
      ROW("S'\n.", "quotes"),
      ROW("S'\\q'\n.", "escape"),
      ROW("S'\\x4'\n.", "escape"),
      ROW("S'\\'\n.", "escape"),
      ROW("V\\u12\n.", "escape"),
      ROW("V\\U00110000\n.", "escape"),
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct pickle p;
    struct pare_error err = {0};
    enum pare_status s = parse(rows[i].bytes, rows[i].len, &p, &err);
    if (s != PARE_DATA || !strstr(err.text, rows[i].expected))
      fail_msg("row %zu: status %d, '%s' expected in: %s", i, s, rows[i].expected, err.text);
  }
}

// ---- small inputs that stand for a lot ----

static void doubling_shares_its_nodes(void **state) {
  (void)state;
  struct buf b = {0};
  buf_puts(&b, "K");
  buf_add(&b, "\1", 1);
  for (int i = 0; i < 200; i++) buf_puts(&b, "2\x86"); // DUP TUPLE2: 2^200 leaves for one that walks it as a tree
  buf_puts(&b, ".");
  struct pickle p;
  assert_int_equal(pickle_parse((const uint8_t *)b.data, b.len, "p", &p, NULL), PARE_OK);
  assert_true(p.memory < 1 << 20);
  pickle_free(&p);
  buf_free(&b);
}

static void cycles_and_depth(void **state) {
  (void)state;
  struct pickle p;
  static const char loop[] = "]q\0h\0a."; // a list that holds itself
  assert_int_equal(pickle_parse((const uint8_t *)loop, sizeof loop - 1, "p", &p, NULL), PARE_OK);
  assert_ptr_equal(pickle_item(p.root, 0), p.root);
  assert_null(pickle_get(p.root, "a"));
  pickle_free(&p);
  enum { DEEP = 1 << 20 };
  char *deep = malloc(DEEP + 2);
  deep[0] = ')';
  memset(deep + 1, '\x85', DEEP);
  deep[DEEP + 1] = '.';
  assert_int_equal(pickle_parse((const uint8_t *)deep, DEEP + 2, "p", &p, NULL), PARE_OK);
  pickle_free(&p);
  memset(deep, '(', DEEP); // marks without end
  struct pare_error err;
  assert_int_equal(pickle_parse((const uint8_t *)deep, DEEP, "p", &p, &err), PARE_DATA);
  free(deep);
}

static void memory_has_a_limit(void **state) {
  (void)state;
  // 64 MB of empty dictionaries would need several GB; refused on the way, at PICKLE_MEMORY_MAX.
  enum { LEN = 64 << 20 };
  char *many = malloc(LEN);
  memset(many, '}', LEN);
  struct pickle p;
  struct pare_error err = {0};
  assert_int_equal(pickle_parse((const uint8_t *)many, LEN, "p", &p, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "memory"));
  free(many);
}

static void looking_accepts_anything(void **state) {
  (void)state;
  static const char bytes[] = "}(U\1aK\1U\1aK\2u.";
  struct pickle p;
  int64_t n = 0;
  assert_int_equal(pickle_parse((const uint8_t *)bytes, sizeof bytes - 1, "p", &p, NULL), PARE_OK);
  assert_true(pickle_int(pickle_get(p.root, "a"), &n));
  assert_int_equal(n, 2); // the last one, as in Python
  assert_null(pickle_get(p.root, "b"));
  assert_null(pickle_get(NULL, "a"));
  assert_null(pickle_state(p.root, "a"));
  assert_null(pickle_item(p.root, 0));
  assert_int_equal(pickle_items(NULL).count, 0);
  assert_false(pickle_is_object(p.root, "torch", "Size"));
  assert_false(pickle_int(p.root, &n));
  pickle_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_instruction),
                                     cmocka_unit_test(names_that_are_not_data_are_refused),
                                     cmocka_unit_test(what_makes_no_sense_is_refused),
                                     cmocka_unit_test(doubling_shares_its_nodes),
                                     cmocka_unit_test(cycles_and_depth),
                                     cmocka_unit_test(memory_has_a_limit),
                                     cmocka_unit_test(looking_accepts_anything)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
