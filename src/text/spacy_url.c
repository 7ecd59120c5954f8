// spacy_url.c - spaCy's URL pattern (after Diego Perini's), as a question about a string without spaces:
//   [scheme://] [anything@] host [:port] [/?# anything]
// A scheme is two or more word characters, +, - or dots, so it ends at the first "://"; "anything" may hold more @. The
// host therefore starts at 0, after the scheme or after some @, and ends before the first of : / ? # (none of which it
// may hold): each start is looked at once, and a host holds no @, so all of it takes linear time.
#include "text/spacy.h"

static bool is_digit(uint32_t c) {
  return char_is(c, KIND_DIGIT);
}

static bool is_host_char(uint32_t c) {
  return char_is_ascii_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 128) || (c >= 0xA1 && c <= 0xFFFF);
}

// The number of digits of a number in a dotted address that must lie in a range; 0: it does not. The patterns take any
// decimal digit in the places that may hold all ten of them.
enum octet { OCTET_FIRST, OCTET_MIDDLE, OCTET_LAST };

static bool is_octet(const uint32_t *c, size_t n, enum octet place) {
  bool middle = place == OCTET_MIDDLE;
  if (n == 1) return middle ? is_digit(c[0]) : c[0] >= '1' && c[0] <= '9';
  if (n == 2) return (middle ? is_digit(c[0]) : c[0] >= '1' && c[0] <= '9') && is_digit(c[1]);
  if (n != 3) return false;
  if (c[0] == '1') return is_digit(c[1]) && is_digit(c[2]);
  if (c[0] != '2') return false;
  if (place == OCTET_FIRST) { // up to 223
    return c[1] == '0' || c[1] == '1' ? is_digit(c[2]) : c[1] == '2' && c[2] >= '0' && c[2] <= '3';
  }
  if (c[1] >= '0' && c[1] <= '4') return is_digit(c[2]);
  return c[1] == '5' && c[2] >= '0' && c[2] <= (middle ? '5' : '4');
}

static bool is_number(const uint32_t *c, size_t n, const char *text) {
  size_t i = 0;
  for (; text[i]; i++) {
    if (i == n || c[i] != (unsigned char)text[i]) return false;
  }
  return i == n;
}

// 10.*, 127.*, 169.254.*, 192.168.*, 172.16.* to 172.31.*
static bool is_private(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len) {
  if (is_number(a, a_len, "10") || is_number(a, a_len, "127")) return true;
  if (is_number(a, a_len, "169")) return is_number(b, b_len, "254");
  if (is_number(a, a_len, "192")) return is_number(b, b_len, "168");
  if (!is_number(a, a_len, "172") || b_len != 2) return false;
  return (b[0] == '1' && b[1] >= '6' && b[1] <= '9') || (b[0] == '2' && is_digit(b[1])) ||
         (b[0] == '3' && (b[1] == '0' || b[1] == '1'));
}

static bool is_address(const uint32_t *c, size_t n) {
  size_t starts[4] = {0}, lens[4] = {0}, parts = 0;
  for (size_t i = 0; i <= n; i++) {
    if (i < n && c[i] != '.') continue;
    if (parts == 4) return false;
    lens[parts] = i - starts[parts];
    if (++parts < 4) starts[parts] = i + 1;
  }
  if (parts != 4) return false;
  for (size_t i = 0; i < 4; i++) {
    if (!is_octet(c + starts[i], lens[i], i == 0 ? OCTET_FIRST : i == 3 ? OCTET_LAST : OCTET_MIDDLE)) return false;
  }
  return !is_private(c, lens[0], c + starts[1], lens[1]);
}

// 1 to 64 characters, - and _ only inside.
static bool is_label(const uint32_t *c, size_t n) {
  if (n < 1 || n > 64 || !is_host_char(c[0]) || !is_host_char(c[n - 1])) return false;
  for (size_t i = 1; i + 1 < n; i++) {
    if (!is_host_char(c[i]) && c[i] != '-' && c[i] != '_') return false;
  }
  return true;
}

// Labels and a last one of 2 to 63 lower-case letters.
static bool is_domain(const uint32_t *c, size_t n) {
  size_t start = 0;
  for (size_t i = 0; i < n; i++) {
    if (c[i] != '.') continue;
    if (!is_label(c + start, i - start)) return false;
    start = i + 1;
  }
  if (start == 0 || n - start < 2 || n - start > 63) return false;
  for (size_t i = start; i < n; i++) {
    if (!char_is(c[i], KIND_LOWER)) return false;
  }
  return true;
}

// host [:port] [/?# anything] and nothing else
static bool is_host_and_rest(const uint32_t *c, size_t n) {
  size_t host = 0;
  while (host < n && c[host] != ':' && c[host] != '/' && c[host] != '?' && c[host] != '#' && c[host] != '@') host++;
  if (host < n && c[host] == '@') return false;
  size_t at = host;
  if (at < n && c[at] == ':') {
    size_t first = ++at;
    while (at < n && is_digit(c[at])) at++;
    if (at - first < 2 || at - first > 5) return false;
    if (at < n && c[at] != '/' && c[at] != '?' && c[at] != '#') return false;
  }
  return is_address(c, host) || is_domain(c, host);
}

// Where the host starts after "scheme://", 0 when there is no scheme.
static size_t scheme_end(const uint32_t *c, size_t n) {
  size_t i = 0;
  while (i < n && (c[i] == '+' || c[i] == '-' || c[i] == '.' || char_is(c[i], KIND_WORD))) i++;
  return i >= 2 && n - i >= 3 && c[i] == ':' && c[i + 1] == '/' && c[i + 2] == '/' ? i + 3 : 0;
}

bool spacy_is_url(const uint32_t *c, size_t n) {
  bool dot = false;
  for (size_t i = 0; i < n && !dot; i++) dot = c[i] == '.';
  if (!dot) return false;
  if (is_host_and_rest(c, n)) return true;
  size_t scheme = scheme_end(c, n);
  if (scheme && is_host_and_rest(c + scheme, n - scheme)) return true;
  for (size_t i = 1; i < n; i++) {
    if (c[i] == '@' && is_host_and_rest(c + i + 1, n - i - 1)) return true;
  }
  return false;
}
