// load_answer.c - tokens in an answer: events of a stream ("data: {...}" lines, as OpenAI's completions, Open Inference
// Protocol's generate_stream and text-generation-inference send them), or the usage in a whole body.
#include "load_answer.h"

#include <jansson.h>
#include <string.h>

// An answer longer than this is no answer of a language model; it is not kept.
enum { KEPT_BYTES = 4 << 20 };

void load_answer_reset(struct load_answer *a) {
  a->text.len = 0;
  a->chunks = a->usage = 0;
  a->first_ns = a->last_ns = 0;
  a->failed = false;
}

static bool has_text(const json_t *value) {
  return json_string_length(value) > 0;
}

// Text in the first choice (completions, chat), or under the names of the two other protocols.
static bool brings_text(const json_t *event) {
  const json_t *choice = json_array_get(json_object_get(event, "choices"), 0);
  return has_text(json_object_get(choice, "text")) ||
         has_text(json_object_get(json_object_get(choice, "delta"), "content")) ||
         has_text(json_object_get(event, "text_output")) ||
         has_text(json_object_get(json_object_get(event, "token"), "text"));
}

// OpenAI's usage; details of the two others. A stream has them in its last event.
static void read_usage(struct load_answer *a, const json_t *object) {
  json_int_t said = json_integer_value(json_object_get(json_object_get(object, "usage"), "completion_tokens"));
  json_int_t details = json_integer_value(json_object_get(json_object_get(object, "details"), "generated_tokens"));
  if (said > 0 || details > 0) a->usage = (size_t)(said > 0 ? said : details);
}

static void read_event(struct load_answer *a, const char *line, size_t len, uint64_t now_ns) {
  static const char field[] = "data:";
  size_t skip = strlen(field);
  if (len < skip || memcmp(line, field, skip) != 0) return; // comments, other fields, the empty line between events
  while (skip < len && line[skip] == ' ') skip++;
  if (len - skip >= 6 && memcmp(line + skip, "[DONE]", 6) == 0) return;
  json_t *event = json_loadb(line + skip, len - skip, 0, NULL);
  if (!json_is_object(event) || json_object_get(event, "error")) a->failed = true;
  if (brings_text(event)) {
    if (a->chunks++ == 0) a->first_ns = now_ns;
    a->last_ns = now_ns;
  }
  read_usage(a, event);
  json_decref(event);
}

void load_answer_event_bytes(struct load_answer *a, const char *bytes, size_t len, uint64_t now_ns) {
  while (len) {
    const char *end = memchr(bytes, '\n', len);
    size_t part = end ? (size_t)(end - bytes) : len;
    if (a->text.len + part > KEPT_BYTES) {
      a->failed = true;
      return;
    }
    if (!end || a->text.len) buf_add(&a->text, bytes, part);
    if (!end) return;
    if (a->text.len) {
      read_event(a, a->text.data, a->text.len, now_ns);
      a->text.len = 0;
    } else {
      read_event(a, bytes, part, now_ns);
    }
    bytes += part + 1;
    len -= part + 1;
  }
}

void load_answer_body_bytes(struct load_answer *a, const char *bytes, size_t len) {
  if (a->text.len + len <= KEPT_BYTES) buf_add(&a->text, bytes, len);
}

void load_answer_body_end(struct load_answer *a) {
  json_t *body = a->text.len ? json_loadb(a->text.data, a->text.len, 0, NULL) : NULL;
  read_usage(a, body);
  json_decref(body);
}
