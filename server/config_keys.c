// config_keys.c - the table of keys: parsing, --print-config and the table in docs/serve.md read it.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "config_parts.h"

#define SERVER(field) offsetof(struct serve_config, field)
#define LIMIT(field) offsetof(struct serve_config, limits.field)
#define MODEL(field) offsetof(struct serve_model_config, field)
#define ROLLOUT(field) offsetof(struct rollout_config, field)

enum { DAY_MS = 24 * 60 * 60 * 1000, KIB = 1024, MIB = 1024 * 1024 };

static const struct config_key server_keys[] = {
    {"listen", KEY_LISTEN, 0, .preset = "127.0.0.1:8080",
     .help = "address and port; [::1]:8080 in quotes; a port alone is on 127.0.0.1; port 0 takes any free one"},
    {"threads", KEY_SIZE, SERVER(threads), 0, 1024, 0, .help = "threads that compute; 0: one per core"},
    {"http_threads", KEY_SIZE, SERVER(http_threads), 1, 64, 1, .help = "threads that read requests and write answers"},
    {"isa", KEY_ISA, SERVER(isa), .preset = "the best here", .help = "instruction set, as --isa of every command"},
    {"api_keys", KEY_API_KEYS, 0, .preset = "none", .help = "who may ask; none: everyone who reaches the port"},
    {"api_key_file", KEY_API_KEY_FILE, 0, .preset = "none", .help = "more of them, one per line; # begins a comment"},
    {"use_quantization", KEY_FLAG, SERVER(use_quantization), .initial = 1,
     .help = "the quantized form of a model answers, where it has one"},
    {"models", KEY_MODELS, 0, .preset = "none",
     .help = "what is served: names or paths, or mappings of the keys below"},
    {"batching.max_tokens", KEY_SIZE, SERVER(batch_tokens), 1, 1 << 20, 384, .help = "most tokens in one pass"},
    {"batching.max_wait_us", KEY_U32, SERVER(batch_wait_us), 0, 1000000, 0,
     .help = "how long the first text of a batch waits for others, in microseconds"},
    {"generation.streams", KEY_SIZE, SERVER(streams), 1, 1024, 8, .help = "texts that are generated at once"},
    {"generation.step_tokens", KEY_SIZE, SERVER(step_tokens), 1, 1 << 20, 256,
     .help = "most tokens that one step reads, all texts together"},
    {"generation.prefix_reuse", KEY_FLAG, SERVER(prefix_reuse), .initial = 1,
     .help = "a prompt that begins as an earlier one is read from where they differ"},
    {"generation.max_tokens", KEY_SIZE, LIMIT(max_tokens), 1, 1 << 20, 1024, .help = "most new tokens of one answer"},
    {"cache.mb", KEY_SIZE, SERVER(cache_bytes), 0, 1 << 20, 64, MIB, .help = "answers that are kept, MiB; 0: none"},
    {"limits.body_kb", KEY_SIZE, LIMIT(body_bytes), 1, 1 << 20, 2048, KIB, .help = "largest request body, KiB"},
    {"limits.header_kb", KEY_SIZE, LIMIT(header_bytes), 1, 1024, 16, KIB, .help = "largest request header, KiB"},
    {"limits.connections", KEY_SIZE, LIMIT(connections), 1, 65536, 4096, .help = "connections at once"},
    {"limits.queue", KEY_SIZE, LIMIT(queue), 1, 1 << 20, 512, .help = "requests that wait for a model; beyond it 429"},
    {"limits.queue_tokens", KEY_SIZE, LIMIT(queue_tokens), 1, 1 << 30, 65536, .help = "and their tokens"},
    {"limits.texts", KEY_SIZE, LIMIT(texts), 1, 65536, 128, .help = "texts in one request"},
    {"limits.header_ms", KEY_U32, LIMIT(header_ms), 1, DAY_MS, 10000, .help = "time for a request's header to arrive"},
    {"limits.body_ms", KEY_U32, LIMIT(body_ms), 1, DAY_MS, 30000, .help = "time for its body"},
    {"limits.idle_ms", KEY_U32, LIMIT(idle_ms), 1, DAY_MS, 60000, .help = "between two requests of a connection"},
    {"limits.timeout_ms", KEY_U32, LIMIT(timeout_ms), 1, DAY_MS, 60000,
     .help = "from a request's last byte to its answer's first"},
    {"limits.drain_ms", KEY_U32, LIMIT(drain_ms), 0, DAY_MS, 30000,
     .help = "after SIGTERM, for requests that are under way"},
    {"log.requests", KEY_FLAG, SERVER(log_requests), .initial = 1,
     .help = "a JSON line for each request; events are always logged"},
};

static const struct config_key model_keys[] = {
    {"name", KEY_TEXT, MODEL(name), .preset = "the last folder of path", .help = "what requests call it"},
    {"path", KEY_TEXT, MODEL(path), .preset = "the shipped model of that name",
     .help = "the model's folder or file, from this file's folder"},
    {"quantized", KEY_TEXT, MODEL(quantized), .preset = "PATH/quantized", .help = "the folder of its quantized form"},
    {"scheme", KEY_SCHEME, MODEL(scheme), .preset = "none",
     .help = "makes the quantized form by this scheme when it is missing"},
    {"use_quantization", KEY_FLAG, MODEL(use_quantization), .preset = "the general one",
     .help = "false: the original answers, rollout.mode is original"},
    {"keep_original", KEY_FLAG, MODEL(keep_original), .initial = 0,
     .help = "open the original from the start too: memory for both, and a fallback that waits for nothing"},
};

// At the top they hold for every model; a model's own win, key by key.
static const struct config_key rollout_keys[] = {
    {"rollout.mode", KEY_MODE, ROLLOUT(mode), .initial = ROLLOUT_QUANTIZED, .help = "which form of a model answers"},
    {"rollout.quantized_share", KEY_REAL, ROLLOUT(quantized_share), 0, 1, 0.5,
     .help = "mode ab: share of requests that the quantized form answers"},
    {"rollout.shadow.share", KEY_REAL, ROLLOUT(shadow_share), 0, 1, 0,
     .help = "share of answered requests that the other form computes too"},
    {"rollout.shadow.pending", KEY_SIZE, ROLLOUT(shadow_pending), 1, 65536, 64,
     .help = "most that wait for that; beyond it they are dropped and counted"},
    {"rollout.limits.agreement", KEY_REAL, ROLLOUT(min_agreement), 0, 1, 0,
     .help = "shadow: lowest share of same answers; 0: not looked at"},
    {"rollout.limits.confidence_shift", KEY_REAL, ROLLOUT(max_confidence_shift), 0, 1, 0,
     .help = "shadow: largest mean difference of the score; 0: not looked at"},
    {"rollout.limits.error_rate", KEY_REAL, ROLLOUT(max_error_rate), 0, 1, 0.05,
     .help = "largest share of failed requests; 0: not looked at"},
    {"rollout.limits.p95_ms", KEY_REAL, ROLLOUT(p95_ms), 0, DAY_MS, 0,
     .help = "largest 95th percentile of the latency; 0: not looked at"},
    {"rollout.min_samples", KEY_SIZE, ROLLOUT(min_samples), 1, 1 << 30, 200,
     .help = "requests or shadow pairs before a limit decides"},
    {"rollout.confidence", KEY_REAL, ROLLOUT(confidence), 0.5, 0.9999, 0.95, .help = "of the intervals that decide"},
    {"rollout.automatic", KEY_FLAG, ROLLOUT(automatic), .initial = 1,
     .help = "a limit that is broken switches to the original; false: it is only reported"},
    {"rollout.promote", KEY_FLAG, ROLLOUT(promote), .initial = 0,
     .help = "the original answers until the shadow has shown that every limit is met"},
};
enum { ROLLOUT_COUNT = sizeof rollout_keys / sizeof rollout_keys[0] };

const struct key_scope config_server_keys = {server_keys, sizeof server_keys / sizeof server_keys[0], SERVER(rollout)};
const struct key_scope config_model_keys = {model_keys, sizeof model_keys / sizeof model_keys[0], MODEL(rollout)};
const char *const config_mode_names[] = {
    [ROLLOUT_QUANTIZED] = "quantized", [ROLLOUT_ORIGINAL] = "original", [ROLLOUT_AB] = "ab"};

size_t config_key_count(const struct key_scope *s) {
  return s->own_count + ROLLOUT_COUNT;
}

const struct config_key *config_key_at(const struct key_scope *s, size_t i, size_t *at) {
  bool own = i < s->own_count;
  const struct config_key *k = own ? &s->own[i] : &rollout_keys[i - s->own_count];
  *at = k->offset + (own ? 0 : s->rollout);
  return k;
}

const struct config_key *config_key_find(const struct key_scope *s, const char *path, size_t *at) {
  for (size_t i = 0; i < config_key_count(s); i++) {
    const struct config_key *k = config_key_at(s, i, at);
    if (!strcmp(k->path, path)) return k;
  }
  return NULL;
}

void config_key_expected(const struct config_key *k, char *out, size_t cap) {
  static const char *const words[] = {
      [KEY_FLAG] = "true or false",
      [KEY_MODE] = "quantized, original or ab",
      [KEY_TEXT] = "text",
      [KEY_SCHEME] = "the name of a scheme",
      [KEY_ISA] = "the name of an instruction set",
      [KEY_LISTEN] = "HOST:PORT or PORT",
      [KEY_API_KEYS] = "a list of keys",
      [KEY_API_KEY_FILE] = "the path of a file",
      [KEY_MODELS] = "a list of models",
  };
  if (k->kind == KEY_SIZE || k->kind == KEY_U32) {
    snprintf(out, cap, "a whole number from %.0f to %.0f", k->least, k->most);
  } else if (k->kind == KEY_REAL) {
    snprintf(out, cap, "a number from %.10g to %.10g", k->least, k->most);
  } else {
    snprintf(out, cap, "%s", words[k->kind]);
  }
}

bool config_key_store_number(const struct config_key *k, double number, void *place) {
  if (!(number >= k->least && number <= k->most)) return false;
  if (k->kind == KEY_REAL) {
    *(double *)place = number;
    return true;
  }
  if (number != floor(number)) return false;
  // Exact: every `most` is far below 2^53, and times its unit below 2^64; a 32-bit key's is below 2^32 and has none.
  if (k->kind == KEY_SIZE) *(size_t *)place = (size_t)number * (k->unit ? k->unit : 1);
  if (k->kind == KEY_U32) *(uint32_t *)place = (uint32_t)number;
  return true;
}

bool config_key_store(const struct config_key *k, const json_t *value, void *place) {
  if (k->kind == KEY_FLAG) {
    if (!json_is_boolean(value)) return false;
    *(bool *)place = json_is_true(value);
    return true;
  }
  if (k->kind != KEY_MODE) return json_is_number(value) && config_key_store_number(k, json_number_value(value), place);
  for (size_t i = 0; json_is_string(value) && i < sizeof config_mode_names / sizeof config_mode_names[0]; i++) {
    if (strcmp(config_mode_names[i], json_string_value(value)) != 0) continue;
    *(enum rollout_mode *)place = (enum rollout_mode)i;
    return true;
  }
  return false;
}

void config_key_defaults(const struct key_scope *s, void *values) {
  for (size_t i = 0; i < config_key_count(s); i++) {
    size_t at;
    const struct config_key *k = config_key_at(s, i, &at);
    void *place = (char *)values + at;
    if (k->kind <= KEY_REAL) {
      config_key_store_number(k, k->initial, place);
    } else if (k->kind == KEY_FLAG) {
      *(bool *)place = k->initial != 0;
    } else if (k->kind == KEY_MODE) {
      *(enum rollout_mode *)place = (enum rollout_mode)k->initial;
    }
  }
}
