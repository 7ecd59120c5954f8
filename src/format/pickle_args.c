// pickle_args.c - the arguments of pickle instructions: binary sizes and numbers, and the text forms of protocol 0.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "format/pickle_vm.h"

enum pare_status vm_bytes(struct vm *vm, uint64_t len, const uint8_t **out) {
  size_t left = (size_t)(vm->end - vm->at);
  *out = vm->at;
  if (len > left)
    return vm_fail(vm, "instruction 0x%02x wants %llu bytes, %zu are left; truncated?", *vm->op,
                   (unsigned long long)len, left);
  vm->at += len;
  return PARE_OK;
}

enum pare_status vm_uint(struct vm *vm, size_t bytes, uint64_t *out) {
  const uint8_t *p;
  enum pare_status s = vm_bytes(vm, bytes, &p);
  if (!s) *out = size_read_le(p, bytes);
  return s;
}

enum pare_status vm_line(struct vm *vm, struct pickle_text *out) {
  const uint8_t *nl = memchr(vm->at, '\n', (size_t)(vm->end - vm->at));
  if (!nl) return vm_fail(vm, "instruction 0x%02x: no end of line; truncated?", *vm->op);
  *out = (struct pickle_text){(const char *)vm->at, (size_t)(nl - vm->at)};
  if (out->len && out->bytes[out->len - 1] == '\r') out->len--;
  vm->at = nl + 1;
  return PARE_OK;
}

enum pare_status vm_long(struct vm *vm, struct pickle_text t, node *out) {
  enum pare_status s;
  if (!(*out = vm_node(vm, t.len <= 8 ? PICKLE_INT : PICKLE_LONG, &s))) return s;
  if (t.len > 8) {
    (*out)->text = t;
    return PARE_OK;
  }
  uint64_t bits = t.len && (uint8_t)t.bytes[t.len - 1] & 0x80 ? UINT64_MAX : 0; // the sign fills what is missing
  for (size_t i = t.len; i > 0; i--) bits = bits << 8 | (uint8_t)t.bytes[i - 1];
  (*out)->integer = (int64_t)bits;
  return PARE_OK;
}

// NUL-terminated copy for the C library's number readers; false when it does not fit.
static bool number_text(struct pickle_text t, char *out, size_t cap) {
  if (t.len == 0 || t.len >= cap || memchr(t.bytes, 0, t.len)) return false;
  memcpy(out, t.bytes, t.len);
  out[t.len] = 0;
  return true;
}

enum pare_status vm_decimal(struct vm *vm, struct pickle_text t, node *out) {
  char text[32], *end;
  enum pare_status s;
  if (t.len && t.bytes[t.len - 1] == 'L') t.len--; // Python 2's long
  if (!number_text(t, text, sizeof text)) return vm_fail(vm, "an integer of at most 31 digits expected");
  errno = 0;
  long long n = strtoll(text, &end, 10);
  if (*end || errno) return vm_fail(vm, "'%.31s': an integer of at most 64 bits expected", text);
  if ((*out = vm_node(vm, PICKLE_INT, &s))) (*out)->integer = n;
  return s;
}

enum pare_status vm_float_text(struct vm *vm, struct pickle_text t, node *out) {
  char text[64], *end;
  enum pare_status s;
  if (!number_text(t, text, sizeof text)) return vm_fail(vm, "a number expected");
  double n = strtod(text, &end);
  if (*end) return vm_fail(vm, "'%.63s': a number expected", text);
  if ((*out = vm_node(vm, PICKLE_FLOAT, &s))) (*out)->number = n;
  return s;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// digits hexadecimal digits at p; -1 when they are not there.
static int64_t hex(const char *p, size_t left, size_t digits) {
  int64_t n = 0;
  if (left < digits) return -1;
  for (size_t i = 0; i < digits; i++) {
    int d = hex_digit(p[i]);
    if (d < 0) return -1;
    n = n << 4 | d;
  }
  return n;
}

static size_t put_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (size_t i = len - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
  out[0] = (char)(0xF00 >> len | c); // as many ones as bytes, a zero, the bits left
  return len;
}

enum pare_status vm_raw_escapes(struct vm *vm, struct pickle_text t, node *out) {
  enum pare_status s;
  if (!(*out = vm_node(vm, PICKLE_STR, &s))) return s;
  char *to = vm_take(vm, 2 * t.len + 1, &s); // a byte from 0x80 on is Latin-1: two bytes of UTF-8
  if (!to) return s;
  size_t n = 0;
  for (size_t i = 0; i < t.len;) {
    size_t digits = i + 1 < t.len && t.bytes[i] == '\\' ? (t.bytes[i + 1] == 'u'   ? 4
                                                           : t.bytes[i + 1] == 'U' ? 8
                                                                                   : 0)
                                                        : 0;
    int64_t c = digits ? hex(t.bytes + i + 2, t.len - i - 2, digits) : (uint8_t)t.bytes[i];
    if (c < 0 || c > 0x10FFFF) return vm_fail(vm, "a \\u escape that names no character");
    n += put_utf8(to + n, (uint32_t)c);
    i += digits ? digits + 2 : 1;
  }
  (*out)->text = (struct pickle_text){to, n};
  return PARE_OK;
}

enum pare_status vm_quoted(struct vm *vm, struct pickle_text t, node *out) {
  static const char from[] = "\\'\"nrtabfv", plain[] = "\\'\"\n\r\t\a\b\f\v";
  enum pare_status s;
  if (t.len < 2 || (t.bytes[0] != '\'' && t.bytes[0] != '"') || t.bytes[t.len - 1] != t.bytes[0])
    return vm_fail(vm, "a text in quotes expected");
  if (!(*out = vm_node(vm, PICKLE_STR, &s))) return s;
  char *to = vm_take(vm, t.len, &s);
  if (!to) return s;
  size_t n = 0, end = t.len - 1;
  for (size_t i = 1; i < end; i++) {
    char c = t.bytes[i];
    if (c == '\\') {
      const char *known = ++i < end ? strchr(from, t.bytes[i]) : NULL;
      int64_t code = i < end && t.bytes[i] == 'x' ? hex(t.bytes + i + 1, end - i - 1, 2) : -1;
      if (code >= 0) {
        c = (char)code;
        i += 2;
      } else if (known && *known) {
        c = plain[known - from];
      } else {
        return vm_fail(vm, "an escape that Python's repr does not write");
      }
    }
    to[n++] = c;
  }
  (*out)->text = (struct pickle_text){to, n};
  return PARE_OK;
}
