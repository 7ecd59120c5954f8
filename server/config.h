// config.h - what `pare serve` is told: a YAML file, command-line options over it, defaults below both.
#ifndef PARE_SERVER_CONFIG_H
#define PARE_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "pare.h"

enum rollout_mode { ROLLOUT_QUANTIZED, ROLLOUT_ORIGINAL, ROLLOUT_AB };

// Which of a model's two forms answers, and what makes the server go back to the original. 0 of a limit: not looked at.
struct rollout_config {
  enum rollout_mode mode;
  double quantized_share;      // AB: of the requests, the part that the quantized model answers
  double shadow_share;         // of the requests that one form answered, the part that the other computes too
  size_t shadow_pending;       // most that wait for that; beyond it they are dropped and counted
  double min_agreement;        // shadow: lowest share of same answers
  double max_confidence_shift; // shadow: highest mean |difference of the score|
  double max_error_rate;       // of the quantized model's requests
  double p95_ms;               // of the quantized model's requests
  size_t min_samples;          // of shadow pairs or requests before a limit decides
  double confidence;           // of the intervals
  bool automatic;              // false: limits are only reported
  bool promote;                // the original answers (mode original, shadow on) until the limits are met for sure
};

enum { SERVE_NAME_CAP = 65 }; // of a model, with the NUL
struct serve_model_config {
  char *name, *path; // path: as pare_model_open takes it
  char *quantized;   // where the quantized form is; NULL: PATH/quantized
  char *scheme;      // made there by this scheme when it is missing; NULL: nothing is made
  bool use_quantization;
  bool keep_original; // open from the start, so that a fallback waits for nothing
  struct rollout_config rollout;
};

struct serve_limits {
  size_t body_bytes, header_bytes, connections;
  size_t queue;                // requests waiting for a model; beyond it 429
  size_t queue_tokens;         // and their tokens
  size_t texts;                // in one request
  size_t max_tokens;           // new tokens of one answer
  uint32_t header_ms, body_ms; // from the first byte we could have had; not prolonged by a byte now and then
  uint32_t idle_ms;            // between two requests of a connection
  uint32_t timeout_ms;         // of a request, from its last byte to its answer's first
  uint32_t drain_ms;           // after SIGTERM
};

struct serve_config {
  char *host;    // numeric address or name
  uint16_t port; // 0: any free one
  size_t threads, http_threads;
  char *isa;
  char **api_keys; // none: open to all who reach the port
  size_t api_key_count;
  bool use_quantization; // models that do not say
  struct serve_model_config *models;
  size_t model_count;
  struct serve_limits limits;
  size_t batch_tokens;         // most in one pass
  uint32_t batch_wait_us;      // how long the first text of a batch waits for others
  size_t streams, step_tokens; // generation
  bool prefix_reuse;
  size_t cache_bytes;            // 0: no response cache
  bool log_requests;             // a JSON line for each; events are always logged
  struct rollout_config rollout; // models that do not say
};

// Values given on the command line; what is NULL, 0 or false was not given. models: NAME or NAME=PATH or PATH.
struct serve_flags {
  const char *listen; // HOST:PORT, [IPV6]:PORT or PORT
  size_t threads;
  const char *isa;
  const char *const *models;
  size_t model_count;
  const char *const *api_keys;
  size_t api_key_count;
  bool original, no_cache, quiet;
};
// How a name that is no path there is (from the file's folder, or on the command line from the current one) becomes the
// path of a shipped model, to be freed with free(). Without it the name is taken for a path.
struct serve_paths {
  enum pare_status (*find)(void *context, const char *name, char **path, struct pare_error *err);
  void *context;
};

// path NULL: flags and defaults alone. Models of the flags are served and no others; the file's settings hold for those
// it has by the same name. Afterwards there is a model at least, paths are absolute and their links followed, and a
// model that uses no quantization has mode ROLLOUT_ORIGINAL. A mistake is PARE_DATA (PARE_USAGE for a flag) and names
// file, line and key, what was expected and what was found; an unknown key names the nearest. A file whose
// `api_key_file` is given reads keys from it, one per line.
enum pare_status serve_config_load(const char *path, const struct serve_flags *flags, const struct serve_paths *paths,
                                   struct serve_config *out, struct pare_error *err);
void serve_config_free(struct serve_config *c); // accepts a zeroed struct
// "127.0.0.1:8080", "[::1]:8080": its host with that port, for people and URLs.
enum { SERVE_ADDRESS_CAP = 300 };
void serve_config_address(const struct serve_config *c, uint16_t port, char out[SERVE_ADDRESS_CAP]);
// The whole configuration as YAML that loads to the same; keys are shown as "***".
void serve_config_print(const struct serve_config *c, struct buf *out);

#endif
