// html.c - a reference is & and # and decimal digits, or & and #x and hexadecimal digits, or & and up to 32 other
// characters, each with a semicolon or without. Of a name that is not in the table its longest start is taken.
#include "text/html.h"

#include <stdbool.h>
#include <string.h>

enum { MAX_NAME = 32, MAX_CHAR = 0x10FFFF, REPLACEMENT = 0xFFFD };

static int digit_value(uint32_t c, unsigned base) {
  if (c >= '0' && c <= '9') return (int)(c - '0');
  uint32_t lower = c | 0x20;
  return base == 16 && lower >= 'a' && lower <= 'f' ? (int)(lower - 'a' + 10) : -1;
}

// Writes what the number means to out and returns how many characters that is, 0 or 1.
static size_t number_meaning(uint32_t number, uint32_t *out) {
  for (size_t i = 0; i < html_number_count; i++) {
    if (html_numbers[i].number != number) continue;
    *out = html_numbers[i].meant;
    return 1;
  }
  for (size_t i = 0; i < html_nothing_count; i++) {
    if (number >= html_nothing[i].first && number <= html_nothing[i].last) return 0;
  }
  *out = number > MAX_CHAR || (number >= 0xD800 && number < 0xE000) ? REPLACEMENT : number;
  return 1;
}

// c: what follows "&#". Returns the characters read, 0: no reference.
static size_t read_number(const uint32_t *c, size_t n, uint32_t *out, size_t *out_len) {
  size_t at = 0;
  unsigned base = n && (c[0] | 0x20) == 'x' ? 16 : 10;
  if (base == 16) at = 1;
  size_t first = at;
  uint32_t number = 0;
  for (; at < n && digit_value(c[at], base) >= 0; at++) {
    number = number * base + (uint32_t)digit_value(c[at], base);
    if (number > MAX_CHAR) number = MAX_CHAR + 1; // times 16 it still fits 32 bits
  }
  if (at == first) return 0;
  if (at < n && c[at] == ';') at++;
  *out_len = number_meaning(number, out);
  return at;
}

// The order of a name against n characters, as memcmp has it.
static int compare(const char *name, const uint32_t *c, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t a = (unsigned char)name[i];
    if (a != c[i]) return a < c[i] ? -1 : 1; // the NUL at the name's end is less than any character but itself
    if (a == 0) return -1;
  }
  return name[n] ? 1 : 0;
}

static const struct html_entity *find(const uint32_t *c, size_t n) {
  size_t low = 0, high = html_entity_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare(html_entities[middle].name, c, n);
    if (order == 0) return &html_entities[middle];
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

static bool ends_name(uint32_t c) {
  return c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' || c == '&' || c == '#' || c == ';';
}

// c: what follows "&". Returns the characters that the reference takes, 0: none.
static size_t read_name(const uint32_t *c, size_t n, uint32_t *out, size_t *out_len) {
  size_t len = 0;
  while (len < n && len < MAX_NAME && !ends_name(c[len])) len++;
  if (len == 0) return 0;
  if (len < n && c[len] == ';') len++;
  for (size_t take = len; take >= 2 || take == len; take--) {
    const struct html_entity *e = find(c, take);
    if (e) {
      *out_len = e->chars[1] ? 2 : 1;
      memcpy(out, e->chars, sizeof e->chars);
      return take;
    }
  }
  return 0;
}

void html_unescape(struct codes *text) {
  const uint32_t *c = text->data;
  size_t n = text->len, kept = 0;
  for (size_t i = 0; i < n;) {
    uint32_t meant[2];
    size_t taken = 0, len = 0;
    if (c[i] == '&' && i + 1 < n) {
      taken = c[i + 1] == '#' ? read_number(c + i + 2, n - i - 2, meant, &len)
                              : read_name(c + i + 1, n - i - 1, meant, &len);
      if (taken) taken += c[i + 1] == '#' ? 2 : 1;
    }
    if (!taken) {
      text->data[kept++] = c[i++];
      continue;
    }
    for (size_t k = 0; k < len; k++) text->data[kept++] = meant[k];
    i += taken;
  }
  text->len = kept;
}
