// config_parse.c - addresses, names and keys, wherever they are given.
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config_parts.h"

enum {
  API_KEY_MAX = 256,
  API_KEYS_MAX = 10000,
  NAME_MAX_LEN = SERVE_NAME_CAP - 1,
  HOST_MAX = 253,
  KEY_FILE_MAX = 1 << 22
};

// ---- addresses ----

static bool read_port(const char *text, uint16_t *port) {
  size_t len = strlen(text);
  if (len < 1 || len > 5 || text[strspn(text, "0123456789")]) return false;
  unsigned long value = strtoul(text, NULL, 10);
  if (value > UINT16_MAX) return false;
  *port = (uint16_t)value;
  return true;
}

// A host name, or a numeric address, whose bytes are a name's.
static bool is_host(const char *text, size_t len) {
  if (len < 1 || len > HOST_MAX || text[0] == '-' || text[0] == '.') return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i])) return false;
  return true;
}

// "::1" or "fe80::1%eth0"
static bool is_ipv6(const char *text, size_t len) {
  char address[INET6_ADDRSTRLEN];
  const char *zone = memchr(text, '%', len);
  size_t n = zone ? (size_t)(zone - text) : len;
  if (n >= sizeof address || (zone && !is_host(zone + 1, len - n - 1))) return false;
  memcpy(address, text, n);
  address[n] = 0;
  struct in6_addr parsed;
  return inet_pton(AF_INET6, address, &parsed) == 1;
}

enum pare_status config_listen(const char *text, char **host, uint16_t *port) {
  const char *start = "127.0.0.1", *number = text;
  size_t len = strlen(start);
  const char *colon = strrchr(text, ':');
  if (colon) {
    bool bracket = text[0] == '[';
    start = text + bracket;
    len = (size_t)(colon - start);
    number = colon + 1;
    if (bracket && (len < 1 || start[--len] != ']' || !is_ipv6(start, len))) return PARE_DATA;
    if (!bracket && !is_host(start, len)) return PARE_DATA;
  }
  if (!read_port(number, port)) return PARE_DATA;
  char *copy = strndup(start, len);
  if (!copy) return PARE_BUG;
  free(*host);
  *host = copy;
  return PARE_OK;
}

void serve_config_address(const struct serve_config *c, uint16_t port, char out[SERVE_ADDRESS_CAP]) {
  bool bracket = strchr(c->host, ':') != NULL;
  snprintf(out, SERVE_ADDRESS_CAP, "%s%s%s:%u", bracket ? "[" : "", c->host, bracket ? "]" : "", (unsigned)port);
}

// ---- names ----

const char config_name_expected[] = "a name of up to 64 letters, digits and . _ - /";

// A name stands in paths and logs: no folder of it is empty or begins with a dot.
bool config_name_valid(const char *name) {
  size_t len = strlen(name);
  if (len < 1 || len > NAME_MAX_LEN || name[len - 1] == '/' || strstr(name, "..")) return false;
  for (size_t i = 0; i < len; i++) {
    bool first = i == 0 || name[i - 1] == '/';
    if (!isalnum((unsigned char)name[i]) && !strchr(first ? "_-" : "._-/", name[i])) return false;
  }
  return true;
}

char *config_model_name(const char *path) {
  char *at = strdup(path);
  if (!at) return NULL;
  for (size_t n = strlen(at); n > 1 && at[n - 1] == '/'; n--) at[n - 1] = 0;
  const char *base = path_base(at);
  if (!strcmp(base, ".") || !strcmp(base, "..")) { // only the file system knows what that folder is called
    char *real = realpath(at, NULL);
    if (real) {
      free(at);
      at = real;
    }
  } else if (file_exists(at) && base > at + 1) { // a weight file is called as the folder it lies in
    at[base - at - 1] = 0;
  }
  char *name = strdup(path_base(at));
  free(at);
  return name;
}

enum pare_status config_isa(const char *name, struct pare_error *err) {
  pare_engine *engine;
  struct pare_engine_options options = {.isa = name, .threads = 1}; // starts no thread
  enum pare_status status = pare_engine_open(&options, &engine, err);
  pare_engine_close(engine);
  return status;
}

// ---- keys ----

bool config_api_key_valid(const char *key, size_t len) {
  if (len < 1 || len > API_KEY_MAX || (len == 3 && !memcmp(key, "***", 3))) return false;
  for (size_t i = 0; i < len; i++)
    if (key[i] <= ' ' || key[i] > '~') return false;
  return true;
}

bool config_add_api_key(struct serve_config *c, const char *key, size_t len) {
  char **keys = c->api_key_count < API_KEYS_MAX ? realloc(c->api_keys, (c->api_key_count + 1) * sizeof *keys) : NULL;
  if (!keys) return false;
  c->api_keys = keys;
  keys[c->api_key_count] = strndup(key, len);
  if (!keys[c->api_key_count]) return false;
  c->api_key_count++;
  return true;
}

static enum pare_status read_key_lines(const char *path, const struct mapping *file, struct serve_config *c,
                                       struct pare_error *err) {
  const char *p = (const char *)file->data, *end = p + file->len;
  for (size_t line = 1; p < end; line++) {
    const char *stop = memchr(p, '\n', (size_t)(end - p));
    if (!stop) stop = end;
    const char *from = p, *to = stop;
    while (from < to && isspace((unsigned char)*from)) from++;
    while (from < to && isspace((unsigned char)to[-1])) to--;
    if (from < to && *from != '#') {
      if (!config_api_key_valid(from, (size_t)(to - from)))
        return error_set(err, PARE_DATA, "%s:%zu: expected a key of 1 to 256 printable characters without spaces", path,
                         line);
      if (!config_add_api_key(c, from, (size_t)(to - from)))
        return error_set(err, PARE_DATA, "%s:%zu: expected at most %d keys", path, line, API_KEYS_MAX);
    }
    p = stop < end ? stop + 1 : end;
  }
  return PARE_OK;
}

enum pare_status config_api_key_file(const char *path, struct serve_config *c, struct pare_error *err) {
  struct mapping file;
  enum pare_status status = file_map(path, &file, err);
  if (status) return status;
  size_t before = c->api_key_count;
  if (file.len > KEY_FILE_MAX) {
    status = error_set(err, PARE_DATA, "%s: expected at most %d bytes, found %zu", path, KEY_FILE_MAX, file.len);
  } else if (file.len) {
    status = read_key_lines(path, &file, c, err);
  }
  // Who names a file of keys does not mean to be open to all.
  if (!status && c->api_key_count == before) status = error_set(err, PARE_DATA, "%s: expected a key, found none", path);
  file_unmap(&file);
  return status;
}
