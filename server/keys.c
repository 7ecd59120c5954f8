// keys.c - see keys.h.
#include "keys.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

static bool is_key(const struct serve_config *c, const char *given) {
  bool found = false;
  size_t len = strlen(given);
  for (size_t i = 0; i < c->api_key_count; i++) {
    const char *key = c->api_keys[i];
    if (strlen(key) == len && !CRYPTO_memcmp(key, given, len)) found = true;
  }
  return found;
}

static bool is_basic(const struct serve_config *c, const char *encoded) {
  enum { LONGEST = 1024 };
  unsigned char plain[LONGEST + 1];
  size_t len = strlen(encoded);
  if (len > LONGEST) return false;
  int n = EVP_DecodeBlock(plain, (const unsigned char *)encoded, (int)len);
  if (n < 0) return false;
  plain[n] = 0;
  const char *colon = strchr((const char *)plain, ':');
  return colon && is_key(c, colon + 1);
}

bool keys_allow(const struct serve_config *c, const char *authorization, const char *x_api_key) {
  if (!c->api_key_count) return true;
  if (x_api_key) return is_key(c, x_api_key);
  if (!authorization) return false;
  if (!strncasecmp(authorization, "Bearer ", 7)) return is_key(c, authorization + 7);
  return !strncasecmp(authorization, "Basic ", 6) && is_basic(c, authorization + 6);
}
