// load.h - the steps of tokenizer_open. Private to text/.
#ifndef PARE_TEXT_LOAD_H
#define PARE_TEXT_LOAD_H

#include <jansson.h>

#include "text/impl.h"

// Where a value comes from, for messages.
struct source {
  const char *file; // as the user wrote it, with the directory
  struct pare_error *err;
};

// ---- json.c: typed access. Each *_field leaves *out alone and succeeds when the key is absent or null. ----

// Parses an object from a file or from memory. Errors name the file and line.
enum pare_status json_open(const char *path, json_t **out, struct pare_error *err);
enum pare_status json_parse(const void *bytes, size_t len, const char *file, json_t **out, struct pare_error *err);
enum pare_status json_wrong_type(struct source s, const char *key, const char *expected, const json_t *found);
enum pare_status json_bool_field(struct source s, const json_t *object, const char *key, bool *out);
enum pare_status json_string_field(struct source s, const json_t *object, const char *key, const char **out);
enum pare_status json_size_field(struct source s, const json_t *object, const char *key, size_t *out);
// As above, but the key must be there and hold an object or array of that type.
enum pare_status json_need(struct source s, const json_t *object, const char *key, json_type type, json_t **out);
// A token id: an integer in [0, VOCAB_MAX_ID).
enum pare_status json_id(struct source s, const json_t *value, const char *what, uint32_t *out);
// The "type" of a component: present and a string.
enum pare_status json_component(struct source s, const json_t *component, const char *role, const char **type);
enum pare_status json_not_implemented(struct source s, const char *role, const char *what);

// ---- parts of tokenizer.json; each takes the whole value of its key, which may be NULL or null ----

enum pare_status load_normalizer(struct tokenizer *t, const json_t *value, struct source s);
enum pare_status load_pretokenizer(struct tokenizer *t, const json_t *value, struct source s);
enum pare_status load_decoder(struct tokenizer *t, const json_t *value, struct source s);
enum pare_status load_model(struct tokenizer *t, const json_t *value, struct source s);
enum pare_status load_added_tokens(struct tokenizer *t, const json_t *value, struct source s);
enum pare_status load_postprocessor(struct tokenizer *t, const json_t *value, struct source s);

// What WordPiece needs besides the vocabulary, which is loaded.
enum pare_status load_wordpiece_rules(struct tokenizer *t, const char *unk, const char *prefix, size_t max_chars,
                                      struct source s);
// One merge; number: its place or line, from 1.
enum pare_status load_merge(struct tokenizer *t, const char *left, size_t left_len, const char *right, size_t right_len,
                            size_t number, struct source s);
// added_put, its error with the file's name.
enum pare_status load_added(struct tokenizer *t, const struct added_token *token, int64_t *id, struct source s);
// An added token with the id it says it has. PARE_DATA when the vocabulary gives it another.
enum pare_status load_token_with_id(struct tokenizer *t, const json_t *value, uint32_t id, struct source s);

// ---- postprocess.c: templates made of parts ----
void template_plain(struct tokenizer *t);                               // A; A B
void template_bert(struct tokenizer *t, uint32_t cls, uint32_t sep);    // C A S; C A S B S
void template_roberta(struct tokenizer *t, uint32_t cls, uint32_t sep); // C A S; C A S S B S, all of type 0
void template_bos_eos(struct tokenizer *t, int64_t bos, int64_t eos);   // around each text; -1: without

// ---- files beside tokenizer.json ----

// tokenizer_config.json and special_tokens_map.json, joined as transformers does.
struct text_config {
  json_t *config; // an object, maybe empty
  enum { CLASS_NONE, CLASS_GPT2, CLASS_ROBERTA, CLASS_BERT, CLASS_OTHER } class;
  char *file; // path of tokenizer_config.json, for messages
};
enum pare_status config_open(const char *dir, struct text_config *c, struct pare_error *err);
void config_close(struct text_config *c);
// Special tokens by role (the class's defaults where the files are silent), added to the vocabulary where missing;
// lengths, truncation side, clean-up. The model and added tokens are loaded.
enum pare_status config_apply(struct tokenizer *t, const struct text_config *c, struct pare_error *err);
// The template that add_bos_token and add_eos_token ask for; they count only where there is no tokenizer.json.
enum pare_status config_bos_eos(struct tokenizer *t, const struct text_config *c, struct pare_error *err);
// The token of a role, or NULL: the configuration's, else the class's default.
const char *config_role(const struct text_config *c, enum special_role role);
// added_tokens_decoder of the configuration, or added_tokens.json: for directories without tokenizer.json.
enum pare_status config_added_tokens(struct tokenizer *t, const char *dir, const struct text_config *c,
                                     struct pare_error *err);

// An added token given as a string (then it is special) or an object {"content": ...}.
enum pare_status load_token_value(struct source s, const char *key, const json_t *value, struct added_token *out);

// tokenizer.json in memory, without the files beside it; tokenizer_finish is still to be called. t: zeroed.
enum pare_status load_tokenizer_json(struct tokenizer *t, const void *bytes, size_t len, const char *file,
                                     struct pare_error *err);
// vocab.json + merges.txt (bpe) or vocab.txt, with its configuration applied. PARE_NOFILE: none of these.
enum pare_status load_legacy(struct tokenizer *t, const char *dir, struct text_config *c, struct pare_error *err);
enum pare_status tokenizer_finish(struct tokenizer *t, const char *file, struct pare_error *err);
// Releases what t holds (t itself stays); also of a half-loaded one.
void tokenizer_clear(struct tokenizer *t);

#endif
