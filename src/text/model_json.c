// model_json.c - the model and added_tokens of tokenizer.json.
#include <string.h>

#include "text/load.h"

static enum pare_status load_vocab(struct tokenizer *t, const json_t *model, struct source s) {
  json_t *vocab;
  enum pare_status status = json_need(s, model, "vocab", JSON_OBJECT, &vocab);
  if (status) return status;
  if (json_object_size(vocab) == 0) return error_set(s.err, PARE_DATA, "%s: vocab is empty", s.file);
  const char *piece;
  json_t *value;
  json_object_foreach(vocab, piece, value) {
    uint32_t id;
    if ((status = json_id(s, value, piece, &id))) return status;
    switch (vocab_put(&t->vocab, piece, strlen(piece), id)) {
      case VOCAB_OK: break;
      case VOCAB_NO_MEMORY: return error_no_memory(s.err);
      default: return error_set(s.err, PARE_DATA, "%s: vocab: id %u of \"%.80s\" is given twice", s.file, id, piece);
    }
  }
  return PARE_OK;
}

enum pare_status load_merge(struct tokenizer *t, const char *left, size_t left_len, const char *right, size_t right_len,
                            size_t number, struct source s) {
  char both[1024];
  int64_t a = vocab_find(&t->vocab, left, left_len), b = vocab_find(&t->vocab, right, right_len), merged = -1;
  if (left_len + right_len <= sizeof both) {
    memcpy(both, left, left_len);
    memcpy(both + left_len, right, right_len);
    merged = vocab_find(&t->vocab, both, left_len + right_len);
  }
  if (a < 0 || b < 0 || merged < 0) {
    const char *missing = a < 0 ? "its left half" : b < 0 ? "its right half" : "their union";
    return error_set(s.err, PARE_DATA, "%s: merge %zu, \"%.*s %.*s\": %s is not in the vocabulary", s.file, number,
                     (int)(left_len > 80 ? 80 : left_len), left, (int)(right_len > 80 ? 80 : right_len), right,
                     missing);
  }
  return bpe_add_merge(&t->bpe, (uint32_t)a, (uint32_t)b, (uint32_t)merged) ? PARE_OK : error_no_memory(s.err);
}

// "a b", or ["a", "b"].
static enum pare_status load_merge_value(struct tokenizer *t, const json_t *v, size_t number, struct source s) {
  if (json_is_array(v)) {
    const json_t *a = json_array_get(v, 0), *b = json_array_get(v, 1);
    if (json_array_size(v) == 2 && json_is_string(a) && json_is_string(b)) {
      return load_merge(t, json_string_value(a), json_string_length(a), json_string_value(b), json_string_length(b),
                        number, s);
    }
  } else if (json_is_string(v)) {
    const char *text = json_string_value(v), *space = strchr(text, ' ');
    if (strncmp(text, "#version", 8) == 0) return PARE_OK;
    if (space && !strchr(space + 1, ' ')) {
      return load_merge(t, text, (size_t)(space - text), space + 1, strlen(space + 1), number, s);
    }
  }
  return error_set(s.err, PARE_DATA, "%s: merge %zu is not a pair of pieces", s.file, number);
}

static enum pare_status refuse_unless(struct source s, const json_t *model, const char *key, bool accepted) {
  if (accepted) return PARE_OK;
  char *value = json_dumps(json_object_get(model, key), JSON_ENCODE_ANY | JSON_COMPACT);
  enum pare_status status =
      error_set(s.err, PARE_DATA, "%s: model BPE with %s = %.80s is not implemented", s.file, key, value ? value : "?");
  free(value);
  return status;
}

static bool empty_or_absent(const json_t *model, const char *key) {
  const json_t *v = json_object_get(model, key);
  return !v || json_is_null(v) || (json_is_string(v) && json_string_length(v) == 0);
}

static enum pare_status load_bpe(struct tokenizer *t, const json_t *model, struct source s) {
  enum pare_status status;
  const char *unk = NULL;
  bool byte_fallback = false;
  json_t *merges;
  t->model = MODEL_BPE;
  if ((status = load_vocab(t, model, s))) return status;
  const json_t *dropout = json_object_get(model, "dropout");
  bool no_dropout = !dropout || json_is_null(dropout) || (json_is_number(dropout) && json_number_value(dropout) == 0);
  if ((status = json_bool_field(s, model, "byte_fallback", &byte_fallback))) return status;
  if ((status = refuse_unless(s, model, "byte_fallback", !byte_fallback))) return status;
  if ((status = refuse_unless(s, model, "dropout", no_dropout))) return status;
  static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  for (size_t i = 0; i < 2; i++) {
    if ((status = refuse_unless(s, model, affixes[i], empty_or_absent(model, affixes[i])))) return status;
  }
  if ((status = json_bool_field(s, model, "fuse_unk", &t->bpe.fuse_unk))) return status;
  if ((status = json_bool_field(s, model, "ignore_merges", &t->bpe.ignore_merges))) return status;
  if ((status = json_string_field(s, model, "unk_token", &unk))) return status;
  t->bpe.has_unk = unk != NULL;
  int64_t unk_id = unk ? vocab_find(&t->vocab, unk, strlen(unk)) : -1;
  t->bpe.unk_id = unk_id < 0 ? BPE_NO_ID : (uint32_t)unk_id;
  if ((status = json_need(s, model, "merges", JSON_ARRAY, &merges))) return status;
  for (size_t i = 0; i < json_array_size(merges); i++) {
    if ((status = load_merge_value(t, json_array_get(merges, i), i + 1, s))) return status;
  }
  bpe_find_bytes(&t->bpe, &t->vocab);
  return PARE_OK;
}

static enum pare_status load_wordpiece(struct tokenizer *t, const json_t *model, struct source s) {
  enum pare_status status;
  const char *unk = "[UNK]", *prefix = "##";
  size_t max_chars = 100;
  if ((status = load_vocab(t, model, s))) return status;
  if ((status = json_string_field(s, model, "unk_token", &unk))) return status;
  if ((status = json_string_field(s, model, "continuing_subword_prefix", &prefix))) return status;
  if ((status = json_size_field(s, model, "max_input_chars_per_word", &max_chars))) return status;
  return load_wordpiece_rules(t, unk, prefix, max_chars, s);
}

enum pare_status load_wordpiece_rules(struct tokenizer *t, const char *unk, const char *prefix, size_t max_chars,
                                      struct source s) {
  struct wordpiece *w = &t->wordpiece;
  int64_t unk_id = vocab_find(&t->vocab, unk, strlen(unk));
  t->model = MODEL_WORDPIECE;
  w->unk_id = unk_id < 0 ? WORDPIECE_NO_ID : (uint32_t)unk_id;
  w->max_chars = max_chars;
  w->prefix = strdup(prefix);
  if (!w->prefix) return error_no_memory(s.err);
  w->prefix_len = strlen(prefix);
  w->prefix_hash = vocab_hash_start();
  for (size_t i = 0; i < w->prefix_len; i++) w->prefix_hash = vocab_hash_add(w->prefix_hash, (unsigned char)prefix[i]);
  return PARE_OK;
}

enum pare_status load_model(struct tokenizer *t, const json_t *value, struct source s) {
  const char *type = NULL;
  if (!json_is_object(value)) return json_wrong_type(s, "model", "an object", value);
  enum pare_status status = json_string_field(s, value, "type", &type);
  if (status) return status;
  if (!type) type = json_object_get(value, "merges") ? "BPE" : "WordPiece"; // files older than the key
  if (strcmp(type, "BPE") == 0) return load_bpe(t, value, s);
  if (strcmp(type, "WordPiece") == 0) return load_wordpiece(t, value, s);
  return json_not_implemented(s, "model", type);
}

enum pare_status load_token_value(struct source s, const char *key, const json_t *value, struct added_token *out) {
  *out = (struct added_token){.special = false};
  if (json_is_string(value)) {
    out->special = true;
    out->content = (char *)json_string_value(value);
    out->len = json_string_length(value);
    return PARE_OK;
  }
  const char *content = NULL;
  enum pare_status status;
  if (!json_is_object(value)) return json_wrong_type(s, key, "a string or an object with \"content\"", value);
  if ((status = json_string_field(s, value, "content", &content))) return status;
  if (!content) return error_set(s.err, PARE_DATA, "%s: %s has no \"content\"", s.file, key);
  if ((status = json_bool_field(s, value, "special", &out->special))) return status;
  out->normalized = !out->special;
  if ((status = json_bool_field(s, value, "single_word", &out->single_word))) return status;
  if ((status = json_bool_field(s, value, "lstrip", &out->lstrip))) return status;
  if ((status = json_bool_field(s, value, "rstrip", &out->rstrip))) return status;
  if ((status = json_bool_field(s, value, "normalized", &out->normalized))) return status;
  out->content = (char *)content; // read only until added_put copies it
  out->len = strlen(content);
  return PARE_OK;
}

enum pare_status load_added(struct tokenizer *t, const struct added_token *token, int64_t *id, struct source s) {
  struct pare_error why;
  enum pare_status status = added_put(&t->added, &t->vocab, token, id, &why);
  return status ? error_set(s.err, status, "%s: %s", s.file, why.text) : PARE_OK;
}

enum pare_status load_token_with_id(struct tokenizer *t, const json_t *value, uint32_t id, struct source s) {
  struct added_token token;
  int64_t given;
  enum pare_status status = load_token_value(s, "added token", value, &token);
  if (status == PARE_OK) status = load_added(t, &token, &given, s);
  if (status || given < 0 || given == id) return status;
  return error_set(s.err, PARE_DATA, "%s: added token \"%.80s\" has id %u where %lld follows from the vocabulary",
                   s.file, token.content, id, (long long)given);
}

enum pare_status load_added_tokens(struct tokenizer *t, const json_t *value, struct source s) {
  if (!value || json_is_null(value)) return PARE_OK;
  if (!json_is_array(value)) return json_wrong_type(s, "added_tokens", "an array", value);
  for (size_t i = 0; i < json_array_size(value); i++) {
    json_t *v = json_array_get(value, i);
    uint32_t id;
    enum pare_status status;
    if (!json_is_object(v)) return json_wrong_type(s, "added_tokens", "objects", v);
    if ((status = json_id(s, json_object_get(v, "id"), "an added token", &id))) return status;
    if ((status = load_token_with_id(t, v, id, s))) return status;
  }
  return PARE_OK;
}
