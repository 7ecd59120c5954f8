// openai_logprobs.c - the `logprobs` of a completion: each token's text, its log probability, the likeliest others and
// where it begins in the choice's text, counted in characters. A token that is not whole characters is written
// "bytes:\xe2\x80", as OpenAI does.
//
// A byte-level vocabulary spells byte b as the character b where that is printable Latin-1, and the n-th of the others
// as U+0100 + n (GPT-2's encoder.py).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "openai.h"

static bool own_spelling(unsigned b) {
  return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
}

// The byte that a character of a byte-level vocabulary stands for; -1: it is none.
static int spelled_byte(unsigned c) {
  if (c < 256) return own_spelling(c) ? (int)c : -1;
  unsigned n = 0;
  for (unsigned b = 0; b < 256; b++)
    if (!own_spelling(b) && 256 + n++ == c) return (int)b;
  return -1;
}

// The bytes of a piece if it is of a byte-level vocabulary.
static bool byte_level(const char *piece, struct buf *out) {
  const unsigned char *p = (const unsigned char *)piece;
  while (*p) {
    // All characters in question are below U+0800: one byte or two.
    unsigned c = *p < 0x80 ? *p : (*p & 0xE0u) == 0xC0u && p[1] ? (unsigned)(*p & 0x1F) << 6 | (p[1] & 0x3Fu) : 0xFFFF;
    int byte = spelled_byte(c);
    if (byte < 0) return false;
    buf_add(out, &(char){(char)byte}, 1);
    p += c < 0x80 ? 1 : 2;
  }
  return out->len > 0;
}

static bool whole_characters(const struct buf *bytes) {
  return !bytes->len || utf8_first_bad(bytes->data, bytes->len) == bytes->len;
}

// What a token adds to a text, in bytes, whole characters or not.
static void token_bytes(const pare_model *model, uint32_t id, struct buf *out) {
  const char *piece = pare_token_piece(model, id);
  char *text = NULL;
  out->len = 0;
  if (pare_detokenize(model, &id, 1, false, &text, NULL)) {
    free(text);
    return;
  }
  size_t len = strlen(text);
  // Other vocabularies may spell a text by chance as this one would; decoding tells: it agrees, or (a NUL ends it,
  // U+FFFD stands for what is no character) cannot.
  bool bytes = piece && byte_level(piece, out);
  bool whole = bytes && whole_characters(out);
  bool agrees = whole ? len <= out->len && !memcmp(out->data, text, len) && (len == out->len || !out->data[len])
                      : strstr(text, "\xEF\xBF\xBD") != NULL;
  if (!bytes || !agrees) {
    out->len = 0;
    buf_add(out, text, len);
  }
  free(text);
}

static json_t *token_text(const struct buf *bytes) {
  if (!bytes->len) return json_string("");
  if (whole_characters(bytes)) return json_stringn(bytes->data, bytes->len);
  struct buf name = {0};
  buf_puts(&name, "bytes:");
  for (size_t i = 0; i < bytes->len; i++) buf_printf(&name, "\\x%02x", (unsigned char)bytes->data[i]);
  json_t *value = name.failed ? NULL : json_string(name.data);
  buf_free(&name);
  return value;
}

static json_t *number(float x) {
  if (isnan(x)) return json_null();
  return json_real(isfinite(x) ? (double)x : x < 0 ? -9999.0 : 9999.0);
}

// ---- the lists ----------------------------------------------------------------------------------------------------

static bool continues(char c) {
  return ((unsigned char)c & 0xC0) == 0x80;
}

size_t completion_characters(const char *text, size_t from, size_t to) {
  size_t n = 0;
  for (size_t i = from; i < to; i++) n += !continues(text[i]);
  return n;
}

struct lists {
  const struct job *job;
  const pare_model *model;
  json_t *tokens, *values, *tops, *offsets;
  struct buf bytes, other; // a token's, one of the likeliest's
  bool failed;
};

static void add(struct lists *l, json_t *list, json_t *value) {
  if (json_array_append_new(list, value)) l->failed = true;
}

static void put(struct lists *l, json_t *object, json_t *key, float value) {
  const char *name = json_string_value(key);
  size_t len = json_string_length(key);
  // The best comes first; a text that comes again is another spelling of it.
  if (!name) {
    l->failed = true;
  } else if (!json_object_getn(object, name, len)) {
    if (json_object_setn_new(object, name, len, number(value))) l->failed = true;
  }
}

// The token whose bytes are in l->bytes, the i-th of prompt and answer together.
static void add_token(struct lists *l, const struct job_item *item, size_t i, size_t offset) {
  float own = item->logprobs ? item->logprobs[i] : NAN;
  json_t *text = token_text(&l->bytes), *top = isnan(own) ? json_null() : json_object();
  for (size_t k = 0; !isnan(own) && item->tops && k < l->job->top_count; k++) {
    const struct pare_logprob *p = &item->tops[i * l->job->top_count + k];
    token_bytes(l->model, p->id, &l->other);
    json_t *name = token_text(&l->other);
    put(l, top, name, p->logprob);
    json_decref(name);
  }
  if (!isnan(own)) put(l, top, text, own);
  add(l, l->tops, top);
  add(l, l->values, number(own));
  add(l, l->offsets, json_integer((json_int_t)offset));
  add(l, l->tokens, text);
}

// A token that begins within a character begins where that character does.
static size_t begins(const char *text, size_t len, size_t at, size_t offset) {
  return at < len && offset && continues(text[at]) ? offset - 1 : offset;
}

static void add_prompt(struct lists *l, const struct job_item *item, const char *prompt, size_t len) {
  size_t at = 0, offset = 0;
  for (size_t i = 0; i < item->tokens; i++) {
    token_bytes(l->model, item->prompt_ids[i], &l->bytes);
    add_token(l, item, i, begins(prompt, len, at, offset));
    // What is not in the text (a special token the tokenizer added) takes no room in it.
    size_t n = l->bytes.len;
    if (!n || n > len - at || memcmp(prompt + at, l->bytes.data, n)) continue;
    offset += completion_characters(prompt, at, at + n);
    at += n;
  }
}

// Ids of one character share its end, and so its beginning.
static void add_answer(struct lists *l, const struct job_item *item, size_t from, size_t base) {
  const char *text = item->output ? item->output : "";
  size_t len = item->output_len, at = from ? item->ends[from - 1] : 0;
  if (at > len) at = len; // a stop string cut it
  size_t offset = base + completion_characters(text, 0, at), begin = offset;
  for (size_t i = from; i < item->output_count; i++) {
    size_t end = item->ends[i] < len ? item->ends[i] : len;
    token_bytes(l->model, item->output_ids[i], &l->bytes);
    if (end > at || whole_characters(&l->bytes)) begin = offset;
    add_token(l, item, item->tokens + i, begin);
    if (end <= at) continue;
    offset += completion_characters(text, at, end);
    at = end;
  }
}

// Who scores a text asks for one more token and cuts it off: an end of the text must be a token to cut off.
static void add_end(struct lists *l, const struct job_item *item, size_t base) {
  add(l, l->tokens, json_string(""));
  add(l, l->values, json_null());
  add(l, l->tops, json_null());
  size_t n = completion_characters(item->output ? item->output : "", 0, item->output_len);
  add(l, l->offsets, json_integer((json_int_t)(base + n)));
}

json_t *completion_logprobs(const struct job *job, const struct job_item *item, const struct completion_part *part) {
  struct lists l = {.job = job, .model = served_model(job->served), .tokens = json_array(), .values = json_array()};
  l.tops = json_array();
  l.offsets = json_array();
  if (part->prompt) add_prompt(&l, item, part->prompt, part->prompt_len);
  add_answer(&l, item, part->token_from, part->base);
  if (part->last && job->score && item->finish == PARE_FINISH_EOS) add_end(&l, item, part->base);
  if (l.bytes.failed || l.other.failed) l.failed = true;
  buf_free(&l.bytes);
  buf_free(&l.other);
  json_t *out = json_pack("{s:o, s:o, s:o, s:o}", "tokens", l.tokens, "token_logprobs", l.values, "top_logprobs",
                          l.tops, "text_offset", l.offsets);
  if (!l.failed) return out;
  json_decref(out);
  return NULL;
}
