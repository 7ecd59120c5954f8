// unicode.c - utf8proc's tables, corrected to what Hugging Face's libraries answer (unicode_tables.h says where).
#include "text/unicode.h"

#include <utf8proc.h>

#include "text/unicode_tables.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

uint32_t unicode_read(const char *p, size_t *bytes) {
  const unsigned char *u = (const unsigned char *)p;
  if (u[0] < 0x80) {
    *bytes = 1;
    return u[0];
  }
  if (u[0] < 0xE0) {
    *bytes = 2;
    return (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu);
  }
  if (u[0] < 0xF0) {
    *bytes = 3;
    return (u[0] & 0x0Fu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu);
  }
  *bytes = 4;
  return (u[0] & 0x07u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
}

size_t unicode_write(uint32_t c, char out[4]) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  if (c < 0x800) {
    out[0] = (char)(0xC0 | c >> 6);
    out[1] = (char)(0x80 | (c & 0x3F));
    return 2;
  }
  if (c < 0x10000) {
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
  }
  out[0] = (char)(0xF0 | c >> 18);
  out[1] = (char)(0x80 | (c >> 12 & 0x3F));
  out[2] = (char)(0x80 | (c >> 6 & 0x3F));
  out[3] = (char)(0x80 | (c & 0x3F));
  return 4;
}

static bool in_ranges(const struct code_range *ranges, size_t count, uint32_t c) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (c > ranges[middle].last) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && c >= ranges[low].first;
}

static utf8proc_category_t category(uint32_t c) {
  return utf8proc_category((utf8proc_int32_t)c);
}

static bool is_letter_category(utf8proc_category_t k) {
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool unicode_is_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  if (c < 0x1680) return c == 0x85 || c == 0xA0;
  return c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

enum char_class unicode_class(uint32_t c) {
  if (c < 0x80) {
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') return CHAR_LETTER;
    if (c >= '0' && c <= '9') return CHAR_NUMBER;
    return unicode_is_space(c) ? CHAR_SPACE : CHAR_OTHER;
  }
  if (unicode_is_space(c)) return CHAR_SPACE;
  utf8proc_category_t k = category(c);
  if (is_letter_category(k)) return CHAR_LETTER;
  if (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) return CHAR_NUMBER;
  if (k != UTF8PROC_CATEGORY_CN) return CHAR_OTHER;
  if (in_ranges(later_letter, COUNT(later_letter), c)) return CHAR_LETTER;
  return in_ranges(later_number, COUNT(later_number), c) ? CHAR_NUMBER : CHAR_OTHER;
}

bool unicode_is_word(uint32_t c) {
  if (c < 0x80) return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    case UTF8PROC_CATEGORY_CN: return in_ranges(later_word, COUNT(later_word), c);
    default: break;
  }
  // Join controls, and the letters in circles and squares that are alphabetic symbols (Other_Alphabetic).
  return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
}

bool unicode_is_punct(uint32_t c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  if (c == 0x166D || c == 0x111C9) return true; // reclassified since: So, Mn
  utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO &&
         !in_ranges(unknown_category, COUNT(unknown_category), c);
}

bool unicode_is_control(uint32_t c) {
  if (c < 0x80) return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
  utf8proc_category_t k = category(c);
  return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO) &&
         !in_ranges(unknown_category, COUNT(unknown_category), c);
}

bool unicode_is_cjk(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

bool unicode_is_nonspacing(uint32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1734) return true; // Mc since
  return category(c) == UTF8PROC_CATEGORY_MN && c != 0x111C9 &&
         !in_ranges(unknown_category, COUNT(unknown_category), c);
}

bool unicode_is_mark(uint32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1CF2 || c == 0x1CF3) return true; // letters since
  utf8proc_category_t k = category(c);
  return k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME && !in_ranges(unknown_mark, COUNT(unknown_mark), c);
}

uint8_t unicode_combining_class(uint32_t c) {
  if (c < 0x300) return 0;
  uint8_t ccc = (uint8_t)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
  return ccc && in_ranges(unknown_mark, COUNT(unknown_mark), c) ? 0 : ccc;
}

size_t unicode_lower(uint32_t c, uint32_t out[2]) {
  if (c < 0x80) {
    out[0] = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    return 1;
  }
  if (c == 0x130) { // the only character whose lower case is longer: i and a dot above
    out[0] = 'i';
    out[1] = 0x307;
    return 2;
  }
  out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
  for (size_t i = 0; out[0] == c && i < COUNT(later_lower); i++) {
    if (c >= later_lower[i].first && c <= later_lower[i].last)
      out[0] = (uint32_t)((int32_t)c + later_lower[i].distance);
  }
  return 1;
}

size_t unicode_decompose(uint32_t c, bool compat, uint32_t out[UNICODE_MAX_DECOMPOSED]) {
  out[0] = c;
  if (c < 0xA0 || c == 0x11938) return 1; // U+11938 is newer than HF's tables
  int options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (compat && !in_ranges(unknown_compat, COUNT(unknown_compat), c)) options |= UTF8PROC_COMPAT;
  int boundary = 0;
  utf8proc_int32_t parts[UNICODE_MAX_DECOMPOSED];
  utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, UNICODE_MAX_DECOMPOSED,
                                               (utf8proc_option_t)options, &boundary);
  if (n < 1 || n > UNICODE_MAX_DECOMPOSED) return 1;
  for (utf8proc_ssize_t i = 0; i < n; i++) out[i] = (uint32_t)parts[i];
  return (size_t)n;
}

uint32_t unicode_compose(uint32_t a, uint32_t b) {
  if (b < 0x300) return 0; // nothing below U+0300 is the second half of a composite
  utf8proc_int32_t pair[3] = {(utf8proc_int32_t)a, (utf8proc_int32_t)b, 0};
  utf8proc_ssize_t n = utf8proc_normalize_utf32(pair, 2, (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  return n == 1 && pair[0] != 0x11938 ? (uint32_t)pair[0] : 0;
}
