// postprocess.c - every post-processor becomes two templates: what is written around one text, and around two.
#include <string.h>

#include "text/load.h"

bool template_add(struct template *t, struct template_part part) {
  if (t->count == MAX_TEMPLATE) return false;
  t->parts[t->count++] = part;
  t->specials += part.what == PART_SPECIAL;
  return true;
}

// A compact spelling: 'A' and 'B' the texts, 'C' and 'S' the special tokens; types holds one digit each.
static void set(struct template *t, const char *parts, const char *types, uint32_t c, uint32_t s) {
  *t = (struct template){.count = 0};
  for (size_t i = 0; parts[i]; i++) {
    struct template_part part = {.type = (uint8_t)(types[i] - '0')};
    part.what = parts[i] == 'A' ? PART_FIRST : parts[i] == 'B' ? PART_SECOND : PART_SPECIAL;
    part.id = parts[i] == 'C' ? c : s;
    template_add(t, part);
  }
}

void template_plain(struct tokenizer *t) {
  set(&t->single, "A", "0", 0, 0);
  set(&t->pair, "AB", "01", 0, 0);
}

void template_bert(struct tokenizer *t, uint32_t cls, uint32_t sep) {
  set(&t->single, "CAS", "000", cls, sep);
  set(&t->pair, "CASBS", "00011", cls, sep);
}

void template_roberta(struct tokenizer *t, uint32_t cls, uint32_t sep) {
  set(&t->single, "CAS", "000", cls, sep);
  set(&t->pair, "CASSBS", "000000", cls, sep);
}

void template_bos_eos(struct tokenizer *t, int64_t bos, int64_t eos) {
  static const char *const singles[] = {"A", "CA", "AS", "CAS"}, *const pairs[] = {"AB", "CACB", "ASBS", "CASCBS"};
  static const char *const single_types[] = {"0", "00", "00", "000"};
  static const char *const pair_types[] = {"01", "0011", "0011", "000111"};
  size_t i = (bos >= 0) + 2 * (size_t)(eos >= 0);
  set(&t->single, singles[i], single_types[i], (uint32_t)bos, (uint32_t)eos);
  set(&t->pair, pairs[i], pair_types[i], (uint32_t)bos, (uint32_t)eos);
}

static enum pare_status need_token(const struct tokenizer *t, uint32_t id, struct source s) {
  if (tokenizer_piece(t, id)) return PARE_OK;
  return error_set(s.err, PARE_DATA, "%s: post_processor: id %u is not in the vocabulary", s.file, id);
}

// "cls": ["[CLS]", 101].
static enum pare_status token_pair(const struct tokenizer *t, const json_t *v, const char *key, uint32_t *id,
                                   struct source s) {
  json_t *list;
  enum pare_status status = json_need(s, v, key, JSON_ARRAY, &list);
  if (status) return status;
  if (json_array_size(list) != 2 || !json_is_string(json_array_get(list, 0))) {
    return json_wrong_type(s, key, "[token, id]", list);
  }
  status = json_id(s, json_array_get(list, 1), json_string_value(json_array_get(list, 0)), id);
  return status ? status : need_token(t, *id, s);
}

// {"SpecialToken": {"id": "[CLS]", "type_id": 0}}: the ids are in special_tokens.
static enum pare_status add_special(const struct tokenizer *t, struct template *out, const char *name, uint8_t type,
                                    const json_t *special_tokens, struct source s) {
  json_t *token, *ids;
  enum pare_status status = json_need(s, special_tokens, name, JSON_OBJECT, &token);
  if (status == PARE_OK) status = json_need(s, token, "ids", JSON_ARRAY, &ids);
  for (size_t i = 0; status == PARE_OK && i < json_array_size(ids); i++) {
    uint32_t id;
    if ((status = json_id(s, json_array_get(ids, i), name, &id))) return status;
    if ((status = need_token(t, id, s))) return status;
    if (!template_add(out, (struct template_part){PART_SPECIAL, type, id})) {
      return error_set(s.err, PARE_DATA, "%s: post_processor: template is too long", s.file);
    }
  }
  return status;
}

static enum pare_status add_part(const struct tokenizer *t, struct template *out, const json_t *piece, bool pair,
                                 const json_t *special_tokens, struct source s) {
  const json_t *sequence = json_object_get(piece, "Sequence"), *special = json_object_get(piece, "SpecialToken");
  const json_t *body = sequence ? sequence : special;
  const char *id = NULL;
  size_t type = 0;
  enum pare_status status;
  if (!json_is_object(body)) return json_wrong_type(s, "post_processor template", "Sequence or SpecialToken", piece);
  if ((status = json_string_field(s, body, "id", &id))) return status;
  if ((status = json_size_field(s, body, "type_id", &type))) return status;
  if (!id || type > UINT8_MAX)
    return error_set(s.err, PARE_DATA, "%s: post_processor template: bad id or type_id", s.file);
  if (!sequence) return add_special(t, out, id, (uint8_t)type, special_tokens, s);
  bool second = strcmp(id, "B") == 0;
  if ((!second && strcmp(id, "A") != 0) || (second && !pair)) {
    return error_set(s.err, PARE_DATA, "%s: post_processor template: no sequence \"%.80s\" here", s.file, id);
  }
  if (template_add(out, (struct template_part){second ? PART_SECOND : PART_FIRST, (uint8_t)type, 0})) return PARE_OK;
  return error_set(s.err, PARE_DATA, "%s: post_processor: template is too long", s.file);
}

static enum pare_status load_template(struct tokenizer *t, const json_t *v, struct source s) {
  json_t *lists[2], *special_tokens;
  enum pare_status status = json_need(s, v, "single", JSON_ARRAY, &lists[0]);
  if (status == PARE_OK) status = json_need(s, v, "pair", JSON_ARRAY, &lists[1]);
  if (status == PARE_OK) status = json_need(s, v, "special_tokens", JSON_OBJECT, &special_tokens);
  for (size_t k = 0; status == PARE_OK && k < 2; k++) {
    struct template *out = k ? &t->pair : &t->single;
    *out = (struct template){.count = 0};
    for (size_t i = 0; status == PARE_OK && i < json_array_size(lists[k]); i++) {
      status = add_part(t, out, json_array_get(lists[k], i), k == 1, special_tokens, s);
    }
  }
  return status;
}

// *done: a post-processor that writes templates was seen; Hugging Face cannot run a second one either.
static enum pare_status load_one(struct tokenizer *t, const json_t *v, int depth, bool *done, struct source s) {
  const char *type;
  json_t *list;
  enum pare_status status = json_component(s, v, "post_processor", &type);
  if (status) return status;
  if (strcmp(type, "ByteLevel") == 0) return PARE_OK; // it only trims offsets
  if (strcmp(type, "Sequence") == 0) {
    if (depth == 8) return error_set(s.err, PARE_DATA, "%s: post_processor: Sequence nested too deeply", s.file);
    status = json_need(s, v, "processors", JSON_ARRAY, &list);
    for (size_t i = 0; status == PARE_OK && i < json_array_size(list); i++) {
      status = load_one(t, json_array_get(list, i), depth + 1, done, s);
    }
    return status;
  }
  bool bert = strcmp(type, "BertProcessing") == 0, roberta = strcmp(type, "RobertaProcessing") == 0;
  if (!bert && !roberta && strcmp(type, "TemplateProcessing") != 0)
    return json_not_implemented(s, "post_processor", type);
  if (*done) return json_not_implemented(s, "post_processor", "Sequence of two that add tokens");
  *done = true;
  if (!bert && !roberta) return load_template(t, v, s);
  uint32_t cls = 0, sep = 0;
  if ((status = token_pair(t, v, "cls", &cls, s))) return status;
  if ((status = token_pair(t, v, "sep", &sep, s))) return status;
  (bert ? template_bert : template_roberta)(t, cls, sep);
  return PARE_OK;
}

enum pare_status load_postprocessor(struct tokenizer *t, const json_t *value, struct source s) {
  bool done = false;
  template_plain(t);
  if (!value || json_is_null(value)) return PARE_OK;
  return load_one(t, value, 0, &done, s);
}
