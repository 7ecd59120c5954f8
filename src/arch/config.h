// config.h - typed reads from config.json. A key that is present with the wrong type or range is refused by name; one
// that is absent takes its documented default.
#ifndef PARE_ARCH_CONFIG_H
#define PARE_ARCH_CONFIG_H

#include "arch/arch.h"

struct config_reader {
  const struct json_t *json;
  const char *file;
  struct pare_error *err;
};

enum { CONFIG_REQUIRED = 0 }; // as fallback of config_size: the key must be there

// First of key and alias (may be NULL) that is present; an integer in [1, max]. fallback is used when absent or null.
enum pare_status config_size(const struct config_reader *r, const char *key, const char *alias, size_t fallback,
                             size_t max, size_t *out);
// A list of at most `most` integers in [1, max]; absent: none.
enum pare_status config_sizes(const struct config_reader *r, const char *key, size_t most, size_t max, size_t *out,
                              size_t *count);
bool config_absent(const struct config_reader *r, const char *key); // not there, or null
enum pare_status config_eps(const struct config_reader *r, const char *key, float fallback, float *out);
// An id below V; fallback when absent.
enum pare_status config_id(const struct config_reader *r, const char *key, size_t V, uint32_t fallback, uint32_t *out);
enum pare_status config_bool(const struct config_reader *r, const char *key, bool fallback, bool *out);
enum pare_status config_act(const struct config_reader *r, const char *key, const char *fallback, enum act *out);
// The key, if present and not null, must be this boolean (or string): other values are variants not implemented.
enum pare_status config_must_be(const struct config_reader *r, const char *key, bool value);
enum pare_status config_must_be_text(const struct config_reader *r, const char *key, const char *value);

// Task, labels (N), problem_type, pad token, tied head: the keys every architecture shares. names: this architecture's
// class names per task, NULL where it has none.
struct config_classes {
  const char *classify, *language_model, *encode, *seq2seq;
};
enum pare_status config_common(const struct config_reader *r, const struct config_classes *names, struct config *out);
// C divisible by H; the keys name both in the message.
enum pare_status config_check(const struct config_reader *r, const struct config *c, const char *width_key,
                              const char *heads_key);

#endif
