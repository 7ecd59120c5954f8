// utf8.c - RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF.
#include "base/utf8.h"

static bool tail(unsigned char c) {
  return (c & 0xC0) == 0x80;
}

size_t utf8_sequence_len(const unsigned char *p, size_t len) {
  if (len == 0) return 0;
  if (p[0] < 0x80) return 1;
  if (p[0] < 0xC2) return 0;
  if (p[0] < 0xE0) return len >= 2 && tail(p[1]) ? 2 : 0;
  if (p[0] < 0xF0) {
    if (len < 3 || !tail(p[1]) || !tail(p[2])) return 0;
    bool overlong = p[0] == 0xE0 && p[1] < 0xA0;
    bool surrogate = p[0] == 0xED && p[1] > 0x9F;
    return overlong || surrogate ? 0 : 3;
  }
  if (p[0] > 0xF4 || len < 4 || !tail(p[1]) || !tail(p[2]) || !tail(p[3])) return 0;
  bool overlong = p[0] == 0xF0 && p[1] < 0x90;
  bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
  return overlong || beyond ? 0 : 4;
}

size_t utf8_first_bad(const char *s, size_t len) {
  size_t i = 0;
  while (i < len) {
    size_t n = utf8_sequence_len((const unsigned char *)s + i, len - i);
    if (n == 0) return i;
    i += n;
  }
  return len;
}
