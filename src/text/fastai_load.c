// fastai_load.c - the JSON description of a fastai tokenizer, as it is read from a fastai export.
#include <stdlib.h>
#include <string.h>

#include "text/fastai.h"
#include "text/load.h"

static enum pare_status load_names(struct source s, const json_t *root, const char *key, json_t **list) {
  size_t i;
  json_t *v;
  enum pare_status status = json_need(s, root, key, JSON_ARRAY, list);
  if (status) return status;
  json_array_foreach(*list, i, v) {
    if (!json_is_string(v)) return json_wrong_type(s, key, "an array of strings", v);
  }
  if (json_array_size(*list) <= FASTAI_MAX_RULES) return PARE_OK;
  return error_set(s.err, PARE_DATA, "%s: %s: %zu rules, expected at most %d", s.file, key, json_array_size(*list),
                   FASTAI_MAX_RULES);
}

static enum pare_status load_rules(struct fastai *f, const json_t *root, struct source s) {
  size_t i;
  json_t *list, *v;
  enum pare_status status = load_names(s, root, "rules", &list);
  if (status) return status;
  json_array_foreach(list, i, v) {
    f->rules[i] = fastai_rule_find(json_string_value(v));
    if (!f->rules[i]) return json_not_implemented(s, "fastai rule", json_string_value(v));
  }
  f->rule_count = json_array_size(list);
  if ((status = load_names(s, root, "post_rules", &list))) return status;
  json_array_foreach(list, i, v) {
    f->post_rules[i] = fastai_post_rule_find(json_string_value(v));
    if (!f->post_rules[i]) return json_not_implemented(s, "fastai post_rule", json_string_value(v));
  }
  f->post_rule_count = json_array_size(list);
  return PARE_OK;
}

static enum pare_status load_word(struct tokenizer *t, const json_t *value, uint32_t id, struct source s) {
  if (!json_is_string(value)) return json_wrong_type(s, "vocab", "an array of strings", value);
  const char *word = json_string_value(value);
  size_t len = json_string_length(value);
  enum vocab_result r = vocab_put(&t->vocab, word, len, id);
  if (r == VOCAB_SAME_TEXT && strcmp(word, FASTAI_FAKE) == 0) r = vocab_put_again(&t->vocab, word, len, id);
  if (r == VOCAB_OK) return PARE_OK;
  if (r == VOCAB_NO_MEMORY) return error_no_memory(s.err);
  if (r == VOCAB_FULL) return error_set(s.err, PARE_DATA, "%s: vocab: more than 4 GiB of words", s.file);
  return error_set(s.err, PARE_DATA, "%s: vocab: word %u, \"%.80s\", is also word %lld", s.file, id, word,
                   (long long)vocab_find(&t->vocab, word, len));
}

static enum pare_status load_words(struct tokenizer *t, const json_t *root, struct source s) {
  size_t i;
  json_t *list, *v;
  enum pare_status status = json_need(s, root, "vocab", JSON_ARRAY, &list);
  if (status) return status;
  if (json_array_size(list) > VOCAB_MAX_ID) {
    return error_set(s.err, PARE_DATA, "%s: vocab: %zu words, expected at most %d", s.file, json_array_size(list),
                     VOCAB_MAX_ID);
  }
  json_array_foreach(list, i, v) {
    if ((status = load_word(t, v, (uint32_t)i, s))) return status;
  }
  t->fastai->fake = vocab_find(&t->vocab, FASTAI_FAKE, strlen(FASTAI_FAKE));
  return PARE_OK;
}

// The tokens that have a role. fastai drops xxbos and xxpad when it shows a text, so these are special here.
static enum pare_status load_roles(struct tokenizer *t, const json_t *root, struct source s) {
  static const struct {
    const char *key, *usual;
    enum special_role role;
    bool hidden;
  } roles[] = {{"unk", "xxunk", ROLE_UNK, false},
               {"pad", "xxpad", ROLE_PAD, true},
               {"bos", "xxbos", ROLE_BOS, true},
               {"eos", NULL, ROLE_EOS, true}};
  for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
    const char *word = roles[i].usual;
    enum pare_status status = json_string_field(s, root, roles[i].key, &word);
    if (status) return status;
    int64_t id = word ? vocab_find(&t->vocab, word, strlen(word)) : -1, same;
    t->roles[roles[i].role] = id;
    if (id < 0 && json_object_get(root, roles[i].key) && word) {
      return error_set(s.err, PARE_DATA, "%s: %s: \"%.80s\" is not in vocab", s.file, roles[i].key, word);
    }
    struct added_token token = {.content = (char *)word, .special = true};
    if (id < 0 || !roles[i].hidden) continue;
    token.len = strlen(word);
    if ((status = load_added(t, &token, &same, s))) return status;
  }
  if (t->roles[ROLE_UNK] == 0) return PARE_OK;
  // fastai's dictionary answers 0 for words that it does not have, whatever is there.
  return error_set(s.err, PARE_DATA, "%s: vocab: expected the word for unknown words (xxunk) at 0, found it %s", s.file,
                   t->roles[ROLE_UNK] < 0 ? "nowhere" : "elsewhere");
}

// "xxbos", which the rule lowercase writes before the text, is the template's: what the rule would write is a token of
// its own as long as no rule comes after it.
static enum pare_status load_first(struct tokenizer *t, struct source s) {
  const struct fastai *f = t->fastai;
  const struct fastai_rule *lower = fastai_rule_find("lowercase");
  bool has = false;
  for (size_t i = 0; i < f->rule_count; i++) {
    if (f->rules[i] != lower) continue;
    if (i + 1 < f->rule_count)
      return error_set(s.err, PARE_DATA, "%s: rules: lowercase is not the last, which is not implemented", s.file);
    has = true;
  }
  int64_t bos = vocab_find(&t->vocab, FASTAI_BOS, strlen(FASTAI_BOS));
  template_bos_eos(t, !has ? -1 : bos < 0 ? f->unk : bos, -1);
  t->pair = t->single;
  return PARE_OK;
}

static enum pare_status load_marks(struct fastai *f, const json_t *root, struct source s) {
  const json_t *v = json_object_get(root, "mark_fields");
  f->mark_two = true; // fastai marks when there are several
  if (!v || json_is_null(v)) return PARE_OK;
  if (!json_is_boolean(v)) return json_wrong_type(s, "mark_fields", "true or false", v);
  f->mark_one = f->mark_two = json_is_true(v);
  return PARE_OK;
}

static enum pare_status load_parts(struct tokenizer *t, const json_t *root, struct source s) {
  const char *type = NULL, *lang = "en";
  enum pare_status status = json_string_field(s, root, "type", &type);
  if (status) return status;
  if (!type || strcmp(type, "fastai") != 0) {
    return error_set(s.err, PARE_DATA, "%s: type: expected \"fastai\", found \"%.80s\"", s.file, type ? type : "");
  }
  if ((status = json_string_field(s, root, "lang", &lang))) return status;
  if (strcmp(lang, "en") != 0) return json_not_implemented(s, "lang", lang);
  if ((status = load_rules(t->fastai, root, s))) return status;
  if ((status = load_words(t, root, s))) return status;
  if ((status = load_roles(t, root, s))) return status;
  if ((status = load_first(t, s))) return status;
  if ((status = load_marks(t->fastai, root, s))) return status;
  return tokenizer_finish(t, s.file, s.err);
}

enum pare_status tokenizer_from_fastai(const json_t *description, const char *file, struct tokenizer **out,
                                       struct pare_error *err) {
  *out = NULL;
  if (!json_is_object(description)) return error_set(err, PARE_DATA, "%s: expected a JSON object", file);
  struct tokenizer *t = calloc(1, sizeof *t);
  if (!t) return error_no_memory(err);
  t->model = MODEL_FASTAI;
  t->max_length = SIZE_MAX;
  for (size_t i = 0; i < ROLE_COUNT; i++) t->roles[i] = -1;
  t->fastai = calloc(1, sizeof *t->fastai);
  enum pare_status status = PARE_OK;
  if (!t->fastai || !spacy_open(&t->fastai->spacy)) status = error_no_memory(err);
  if (status == PARE_OK) status = load_parts(t, description, (struct source){file, err});
  if (status) {
    tokenizer_close(t);
  } else {
    *out = t;
  }
  return status;
}
