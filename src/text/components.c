// components.c - normalizer, pre_tokenizer and decoder of tokenizer.json. A Sequence is flattened: its members run one
// after the other either way.
#include <string.h>

#include "text/load.h"
#include "text/unicode.h"

enum { MAX_NESTING = 8 };

typedef enum pare_status (*load_one)(struct tokenizer *t, const json_t *value, const char *type, struct source s);

// Calls one for value, or for each member of a Sequence, whose members are under list_key.
static enum pare_status flatten(struct tokenizer *t, const json_t *value, const char *role, const char *list_key,
                                int depth, load_one one, struct source s) {
  const char *type;
  enum pare_status status = json_component(s, value, role, &type);
  if (status) return status;
  if (strcmp(type, "Sequence") != 0) return one(t, value, type, s);
  if (depth == MAX_NESTING) return error_set(s.err, PARE_DATA, "%s: %s: Sequence nested too deeply", s.file, role);
  json_t *list;
  status = json_need(s, value, list_key, JSON_ARRAY, &list);
  for (size_t i = 0; status == PARE_OK && i < json_array_size(list); i++) {
    status = flatten(t, json_array_get(list, i), role, list_key, depth + 1, one, s);
  }
  return status;
}

static enum pare_status bert_fields(struct normalizer *n, const json_t *v, struct source s) {
  enum pare_status status;
  n->clean_text = n->cjk = n->lowercase = true;
  if ((status = json_bool_field(s, v, "clean_text", &n->clean_text))) return status;
  if ((status = json_bool_field(s, v, "handle_chinese_chars", &n->cjk))) return status;
  if ((status = json_bool_field(s, v, "lowercase", &n->lowercase))) return status;
  n->strip_accents = n->lowercase; // null: as lower-casing
  return json_bool_field(s, v, "strip_accents", &n->strip_accents);
}

static bool to_codes(const char *text, struct codes *out) {
  size_t len = strlen(text);
  if (!codes_reserve(out, len)) return false;
  for (size_t i = 0, n; i < len; i += n) out->data[out->len++] = unicode_read(text + i, &n);
  return true;
}

static enum pare_status replace_fields(struct normalizer *n, const json_t *v, struct source s) {
  const char *pattern = NULL, *content = NULL;
  json_t *holder;
  enum pare_status status = json_need(s, v, "pattern", JSON_OBJECT, &holder);
  if (status) return status;
  if (json_object_get(holder, "Regex")) return json_not_implemented(s, "normalizer", "Replace with a Regex pattern");
  if ((status = json_string_field(s, holder, "String", &pattern))) return status;
  if ((status = json_string_field(s, v, "content", &content))) return status;
  if (!pattern || !*pattern || !content) {
    return error_set(s.err, PARE_DATA, "%s: normalizer Replace needs a pattern and content", s.file);
  }
  return to_codes(pattern, &n->pattern) && to_codes(content, &n->content) ? PARE_OK : error_no_memory(s.err);
}

static enum pare_status one_normalizer(struct tokenizer *t, const json_t *v, const char *type, struct source s) {
  static const struct {
    const char *type;
    enum normalizer_kind kind;
  } kinds[] = {
      {"BertNormalizer", NORMALIZE_BERT},
      {"NFC", NORMALIZE_NFC},
      {"NFD", NORMALIZE_NFD},
      {"NFKC", NORMALIZE_NFKC},
      {"NFKD", NORMALIZE_NFKD},
      {"Lowercase", NORMALIZE_LOWERCASE},
      {"Strip", NORMALIZE_STRIP},
      {"StripAccents", NORMALIZE_STRIP_ACCENTS},
      {"Replace", NORMALIZE_REPLACE},
  };
  size_t i = 0, count = sizeof kinds / sizeof kinds[0];
  while (i < count && strcmp(kinds[i].type, type) != 0) i++;
  if (i == count) return json_not_implemented(s, "normalizer", type);
  if (t->normalizer_count == MAX_NORMALIZERS) return error_set(s.err, PARE_DATA, "%s: too many normalizers", s.file);
  struct normalizer *n = &t->normalizers[t->normalizer_count++];
  n->kind = kinds[i].kind;
  if (n->kind == NORMALIZE_BERT) return bert_fields(n, v, s);
  if (n->kind == NORMALIZE_REPLACE) return replace_fields(n, v, s);
  if (n->kind != NORMALIZE_STRIP) return PARE_OK;
  n->left = n->right = true;
  enum pare_status status = json_bool_field(s, v, "strip_left", &n->left);
  return status ? status : json_bool_field(s, v, "strip_right", &n->right);
}

enum pare_status load_normalizer(struct tokenizer *t, const json_t *value, struct source s) {
  if (!value || json_is_null(value)) return PARE_OK;
  return flatten(t, value, "normalizer", "normalizers", 0, one_normalizer, s);
}

static enum pare_status one_pretokenizer(struct tokenizer *t, const json_t *v, const char *type, struct source s) {
  static const struct {
    const char *type;
    enum pretokenizer_kind kind;
  } kinds[] = {
      {"BertPreTokenizer", PRETOKENIZE_BERT},
      {"Whitespace", PRETOKENIZE_WHITESPACE},
      {"WhitespaceSplit", PRETOKENIZE_WHITESPACE_SPLIT},
      {"ByteLevel", PRETOKENIZE_BYTE_LEVEL},
  };
  size_t i = 0, count = sizeof kinds / sizeof kinds[0];
  while (i < count && strcmp(kinds[i].type, type) != 0) i++;
  if (i == count) return json_not_implemented(s, "pre_tokenizer", type);
  if (t->pretokenizer_count == MAX_PRETOKENIZERS) {
    return error_set(s.err, PARE_DATA, "%s: too many pre-tokenizers", s.file);
  }
  if (tokenizer_is_byte_level(t)) {
    return json_not_implemented(s, "pre_tokenizer", "Sequence with anything after ByteLevel");
  }
  struct pretokenizer *p = &t->pretokenizers[t->pretokenizer_count++];
  p->kind = kinds[i].kind;
  if (p->kind != PRETOKENIZE_BYTE_LEVEL) return PARE_OK;
  p->add_prefix_space = p->use_regex = true;
  enum pare_status status = json_bool_field(s, v, "add_prefix_space", &p->add_prefix_space);
  return status ? status : json_bool_field(s, v, "use_regex", &p->use_regex);
}

enum pare_status load_pretokenizer(struct tokenizer *t, const json_t *value, struct source s) {
  if (!value || json_is_null(value)) return PARE_OK;
  return flatten(t, value, "pre_tokenizer", "pretokenizers", 0, one_pretokenizer, s);
}

enum pare_status load_decoder(struct tokenizer *t, const json_t *value, struct source s) {
  const char *type, *prefix = "##";
  if (!value || json_is_null(value)) return PARE_OK;
  enum pare_status status = json_component(s, value, "decoder", &type);
  if (status) return status;
  if (strcmp(type, "ByteLevel") == 0) {
    t->decoder = DECODE_BYTE_LEVEL;
    return PARE_OK;
  }
  if (strcmp(type, "WordPiece") != 0) return json_not_implemented(s, "decoder", type);
  t->decoder = DECODE_WORDPIECE;
  t->decoder_cleanup = true;
  if ((status = json_string_field(s, value, "prefix", &prefix))) return status;
  if ((status = json_bool_field(s, value, "cleanup", &t->decoder_cleanup))) return status;
  t->decoder_prefix = strdup(prefix);
  return t->decoder_prefix ? PARE_OK : error_no_memory(s.err);
}
