// config.c - the files beside the vocabulary. transformers' rules: special_tokens_map.json overrides
// tokenizer_config.json unless the latter lists added_tokens_decoder; a tokenizer class has default special tokens;
// special tokens that the vocabulary lacks are added to it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/load.h"

static const char *const role_names[ROLE_COUNT] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                   "pad_token", "cls_token", "mask_token"};

int64_t tokenizer_special_id(const struct tokenizer *t, const char *role) {
  for (size_t i = 0; i < ROLE_COUNT; i++) {
    if (strcmp(role_names[i], role) == 0) return t->roles[i];
  }
  return -1;
}

static const struct {
  const char *name, *model_type; // tokenizer_class without "Fast"; config.json's model_type
  int class;
} classes[] = {
    {"GPT2Tokenizer", "gpt2", CLASS_GPT2},
    {"RobertaTokenizer", "roberta", CLASS_ROBERTA},
    {"BartTokenizer", "bart", CLASS_ROBERTA},
    {"BertTokenizer", "bert", CLASS_BERT},
    {"DistilBertTokenizer", "distilbert", CLASS_BERT},
    {"ElectraTokenizer", "electra", CLASS_BERT},
    {"PreTrainedTokenizer", "", CLASS_NONE},
    {"TokenizersBackend", "", CLASS_NONE},
};

static const char *default_role(int class, enum special_role role) {
  static const char *const gpt2[ROLE_COUNT] = {"<|endoftext|>", "<|endoftext|>", "<|endoftext|>"};
  static const char *const roberta[ROLE_COUNT] = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"};
  static const char *const bert[ROLE_COUNT] = {NULL, NULL, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
  if (class == CLASS_GPT2) return gpt2[role];
  if (class == CLASS_ROBERTA) return roberta[role];
  return class == CLASS_BERT ? bert[role] : NULL;
}

// Opens dir/name if it exists; *out is NULL if not. *path, if wanted, is the caller's to free.
static enum pare_status open_optional(const char *dir, const char *name, json_t **out, char **path,
                                      struct pare_error *err) {
  char *p = path_join(dir, name);
  if (!p) return error_no_memory(err);
  enum pare_status status = PARE_OK;
  *out = NULL;
  if (file_exists(p)) status = json_open(p, out, err);
  if (path) {
    *path = p;
  } else {
    free(p);
  }
  return status;
}

static enum pare_status find_class(const char *dir, struct text_config *c, struct pare_error *err) {
  struct source s = {c->file, err};
  const char *name = NULL, *type = NULL;
  json_t *model = NULL;
  enum pare_status status = json_string_field(s, c->config, "tokenizer_class", &name);
  if (status == PARE_OK && !name) status = open_optional(dir, "config.json", &model, NULL, err);
  s.file = "config.json";
  if (status == PARE_OK && model) status = json_string_field(s, model, "tokenizer_class", &name);
  if (status == PARE_OK && model && !name) status = json_string_field(s, model, "model_type", &type);
  c->class = name ? CLASS_OTHER : CLASS_NONE;
  size_t len = name ? strlen(name) : 0;
  if (len > 4 && strcmp(name + len - 4, "Fast") == 0) len -= 4;
  for (size_t i = 0; status == PARE_OK && i < sizeof classes / sizeof classes[0]; i++) {
    bool by_name = name && strlen(classes[i].name) == len && strncmp(classes[i].name, name, len) == 0;
    bool by_type = type && strcmp(classes[i].model_type, type) == 0;
    if (by_name || by_type) c->class = classes[i].class;
  }
  json_decref(model);
  return status;
}

static enum pare_status merge_map(struct text_config *c, json_t *map, struct pare_error *err) {
  const char *key;
  json_t *value;
  json_object_foreach(map, key, value) {
    if (json_is_object(value) && strcmp(key, "extra_special_tokens") != 0 &&
        json_object_set_new(value, "special", json_true())) {
      return error_no_memory(err);
    }
    if (json_object_set(c->config, key, value)) return error_no_memory(err);
  }
  return PARE_OK;
}

enum pare_status config_open(const char *dir, struct text_config *c, struct pare_error *err) {
  json_t *map = NULL;
  *c = (struct text_config){.config = NULL};
  enum pare_status status = open_optional(dir, "tokenizer_config.json", &c->config, &c->file, err);
  if (status == PARE_OK && !c->config && !(c->config = json_object())) status = error_no_memory(err);
  if (status == PARE_OK && !json_object_get(c->config, "added_tokens_decoder")) {
    status = open_optional(dir, "special_tokens_map.json", &map, NULL, err);
    if (status == PARE_OK && map) status = merge_map(c, map, err);
    json_decref(map);
  }
  if (status == PARE_OK) status = find_class(dir, c, err);
  if (status) config_close(c);
  return status;
}

void config_close(struct text_config *c) {
  json_decref(c->config);
  free(c->file);
  *c = (struct text_config){.config = NULL};
}

// Adds a special token unless it is known; *id: where it is.
static enum pare_status add_special(struct tokenizer *t, const char *key, const json_t *value, int64_t *id,
                                    struct source s) {
  struct added_token token;
  int64_t ignored;
  enum pare_status status = load_token_value(s, key, value, &token);
  if (status) return status;
  token.special = true;
  bool known = added_by_content(&t->added, token.content, token.len) != NULL;
  if (!known && (status = load_added(t, &token, &ignored, s))) return status;
  if (id) *id = tokenizer_id(t, token.content);
  return PARE_OK;
}

const char *config_role(const struct text_config *c, enum special_role role) {
  const json_t *v = json_object_get(c->config, role_names[role]);
  if (!v) return default_role(c->class, role);
  return json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
}

static enum pare_status apply_roles(struct tokenizer *t, const struct text_config *c, struct source s) {
  for (size_t i = 0; i < ROLE_COUNT; i++) {
    json_t *v = json_object_get(c->config, role_names[i]);
    const char *fallback = v ? NULL : default_role(c->class, (enum special_role)i);
    t->roles[i] = -1;
    json_t *made = fallback ? json_string(fallback) : json_incref(v);
    if (fallback && !made) return error_no_memory(s.err);
    enum pare_status status = PARE_OK;
    if (made && !json_is_null(made)) status = add_special(t, role_names[i], made, &t->roles[i], s);
    json_decref(made);
    if (status) return status;
  }
  return PARE_OK;
}

static bool is_role(const char *key) {
  for (size_t i = 0; i < ROLE_COUNT; i++) {
    if (strcmp(role_names[i], key) == 0) return true;
  }
  return false;
}

static bool is_empty(const json_t *v) {
  return (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
}

// Model-specific special tokens ("image_token": "<image>"), then the unnamed ones.
static enum pare_status apply_extra(struct tokenizer *t, const struct text_config *c, struct source s) {
  const char *key;
  json_t *v;
  enum pare_status status = PARE_OK;
  json_object_foreach(c->config, key, v) {
    size_t len = strlen(key);
    bool named = len > 6 && strcmp(key + len - 6, "_token") == 0 && !is_role(key) && json_is_string(v);
    if (named && (status = add_special(t, key, v, NULL, s))) return status;
  }
  const char *which = "extra_special_tokens";
  json_t *extra = json_object_get(c->config, which);
  if (!extra || json_is_null(extra) || is_empty(extra)) {
    which = "additional_special_tokens"; // its older name
    extra = json_object_get(c->config, which);
  }
  if (extra && !json_is_null(extra) && !json_is_array(extra) && !json_is_object(extra)) {
    return json_wrong_type(s, which, "an array", extra);
  }
  size_t i;
  json_array_foreach(extra, i, v) {
    if ((status = add_special(t, which, v, NULL, s))) return status;
  }
  json_object_foreach(extra, key, v) {
    if ((status = add_special(t, key, v, NULL, s))) return status;
  }
  return PARE_OK;
}

static enum pare_status apply_lengths(struct tokenizer *t, const struct text_config *c, struct source s) {
  enum { REAL_LIMIT = 1 << 30 }; // transformers writes 1e30 for "no limit"
  const char *side = NULL;
  const json_t *length = json_object_get(c->config, "model_max_length");
  t->max_length = SIZE_MAX;
  if (length && !json_is_null(length)) {
    if (!json_is_number(length)) return json_wrong_type(s, "model_max_length", "a number", length);
    double d = json_number_value(length);
    if (d < 1) return error_set(s.err, PARE_DATA, "%s: model_max_length: %g is not positive", s.file, d);
    if (d < REAL_LIMIT) t->max_length = (size_t)d;
  }
  enum pare_status status = json_string_field(s, c->config, "truncation_side", &side);
  if (status || !side) return status;
  t->truncate_left = strcmp(side, "left") == 0;
  if (t->truncate_left || strcmp(side, "right") == 0) return PARE_OK;
  return error_set(s.err, PARE_DATA, "%s: truncation_side: expected left or right, found \"%.80s\"", s.file, side);
}

enum pare_status config_bos_eos(struct tokenizer *t, const struct text_config *c, struct pare_error *err) {
  struct source s = {c->file, err};
  bool bos = false, eos = false;
  enum pare_status status = json_bool_field(s, c->config, "add_bos_token", &bos);
  if (status == PARE_OK) status = json_bool_field(s, c->config, "add_eos_token", &eos);
  if (status == PARE_OK) template_bos_eos(t, bos ? t->roles[ROLE_BOS] : -1, eos ? t->roles[ROLE_EOS] : -1);
  return status;
}

enum pare_status config_apply(struct tokenizer *t, const struct text_config *c, struct pare_error *err) {
  struct source s = {c->file, err};
  bool cleanup = false;
  enum pare_status status = apply_roles(t, c, s);
  if (status == PARE_OK) status = apply_extra(t, c, s);
  if (status == PARE_OK) status = apply_lengths(t, c, s);
  if (status == PARE_OK) status = json_bool_field(s, c->config, "clean_up_tokenization_spaces", &cleanup);
  t->text_cleanup = cleanup && t->model != MODEL_BPE;
  return status;
}

struct listed_token {
  uint32_t id;
  const json_t *value;
};

static int compare_ids(const void *a, const void *b) {
  uint32_t x = ((const struct listed_token *)a)->id, y = ((const struct listed_token *)b)->id;
  return (x > y) - (x < y);
}

// added_tokens.json says only content and id; tokens that have a role are special.
static enum pare_status expand_old_list(const struct text_config *c, json_t *old, json_t **out, struct source s) {
  const char *content;
  json_t *id;
  *out = json_object();
  if (!*out) return error_no_memory(s.err);
  json_object_foreach(old, content, id) {
    uint32_t number;
    char key[16];
    enum pare_status status = json_id(s, id, content, &number);
    if (status) return status;
    bool special = false;
    for (size_t i = 0; i < ROLE_COUNT; i++) {
      const char *role = config_role(c, (enum special_role)i);
      special |= role && strcmp(role, content) == 0;
    }
    snprintf(key, sizeof key, "%u", number);
    json_t *token = json_pack("{s:s, s:b, s:b}", "content", content, "special", special, "normalized", !special);
    if (!token || json_object_set_new(*out, key, token)) return error_no_memory(s.err);
  }
  return PARE_OK;
}

static enum pare_status add_listed(struct tokenizer *t, const json_t *listed, struct source s) {
  size_t count = 0;
  const char *key;
  json_t *v;
  enum pare_status status = PARE_OK;
  struct listed_token *list = calloc(json_object_size(listed) + 1, sizeof *list);
  if (!list) return error_no_memory(s.err);
  json_object_foreach((json_t *)listed, key, v) {
    char *end;
    unsigned long id = strtoul(key, &end, 10);
    if (end == key || *end || id >= VOCAB_MAX_ID) {
      status = error_set(s.err, PARE_DATA, "%s: added_tokens_decoder: \"%.80s\" is not an id", s.file, key);
      break;
    }
    list[count++] = (struct listed_token){(uint32_t)id, v};
  }
  qsort(list, count, sizeof *list, compare_ids);
  for (size_t i = 0; status == PARE_OK && i < count; i++) status = load_token_with_id(t, list[i].value, list[i].id, s);
  free(list);
  return status;
}

enum pare_status config_added_tokens(struct tokenizer *t, const char *dir, const struct text_config *c,
                                     struct pare_error *err) {
  struct source s = {c->file, err};
  json_t *listed = json_object_get(c->config, "added_tokens_decoder");
  if (listed)
    return json_is_object(listed) ? add_listed(t, listed, s)
                                  : json_wrong_type(s, "added_tokens_decoder", "an object", listed);
  json_t *old = NULL;
  char *path = NULL;
  enum pare_status status = open_optional(dir, "added_tokens.json", &old, &path, err);
  s.file = path;
  if (status == PARE_OK && old) status = expand_old_list(c, old, &listed, s);
  if (status == PARE_OK && listed) status = add_listed(t, listed, s);
  json_decref(old);
  json_decref(listed);
  free(path);
  return status;
}
