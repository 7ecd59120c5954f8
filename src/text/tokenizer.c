// tokenizer.c - opens a tokenizer and answers questions about its vocabulary.
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "text/load.h"

void tokenizer_clear(struct tokenizer *t) {
  vocab_free(&t->vocab);
  bpe_free(&t->bpe);
  free(t->wordpiece.prefix);
  fastai_free(t->fastai);
  for (size_t i = 0; i < t->normalizer_count; i++) {
    codes_free(&t->normalizers[i].pattern);
    codes_free(&t->normalizers[i].content);
  }
  added_free(&t->added);
  free(t->decoder_prefix);
  ngrams_free(&t->ngrams);
  *t = (struct tokenizer){.model = MODEL_BPE};
}

static enum pare_status load_parts(struct tokenizer *t, const json_t *root, struct source s) {
  const char *version = "1.0", *direction = NULL;
  enum pare_status status = json_string_field(s, root, "version", &version);
  if (status) return status;
  if (strcmp(version, "1.0") != 0) return json_not_implemented(s, "version", version);
  if ((status = load_normalizer(t, json_object_get(root, "normalizer"), s))) return status;
  if ((status = load_pretokenizer(t, json_object_get(root, "pre_tokenizer"), s))) return status;
  if ((status = load_model(t, json_object_get(root, "model"), s))) return status;
  if ((status = load_decoder(t, json_object_get(root, "decoder"), s))) return status;
  if ((status = load_added_tokens(t, json_object_get(root, "added_tokens"), s))) return status;
  if ((status = load_postprocessor(t, json_object_get(root, "post_processor"), s))) return status;
  // Of the stored truncation only its side counts, where tokenizer_config.json does not say.
  const json_t *truncation = json_object_get(root, "truncation");
  if (json_is_object(truncation) && (status = json_string_field(s, truncation, "direction", &direction))) return status;
  t->truncate_left = direction && strcmp(direction, "Left") == 0;
  return PARE_OK;
}

enum pare_status load_tokenizer_json(struct tokenizer *t, const void *bytes, size_t len, const char *file,
                                     struct pare_error *err) {
  json_t *root;
  for (size_t i = 0; i < ROLE_COUNT; i++) t->roles[i] = -1;
  t->max_length = SIZE_MAX;
  enum pare_status status = json_parse(bytes, len, file, &root, err);
  if (status) return status;
  status = load_parts(t, root, (struct source){file, err});
  json_decref(root);
  return status;
}

enum pare_status tokenizer_finish(struct tokenizer *t, const char *file, struct pare_error *err) {
  struct pare_error why;
  enum pare_status status = added_finish(&t->added, t->normalizers, t->normalizer_count, &why);
  return status ? error_set(err, status, "%s: %s", file, why.text) : PARE_OK;
}

static enum pare_status load(struct tokenizer *t, const char *dir, struct text_config *c, const char *path,
                             struct pare_error *err) {
  enum pare_status status;
  if (file_exists(path)) {
    struct mapping m;
    if ((status = file_map(path, &m, err))) return status;
    status = load_tokenizer_json(t, m.data, m.len, path, err);
    file_unmap(&m);
    if (status == PARE_OK) status = config_apply(t, c, err);
  } else {
    status = load_legacy(t, dir, c, err);
  }
  return status ? status : tokenizer_finish(t, path, err);
}

static enum pare_status open_fastai(const char *path, struct tokenizer **out, struct pare_error *err) {
  json_t *root;
  enum pare_status status = json_open(path, &root, err);
  if (status) return status;
  status = tokenizer_from_fastai(root, path, out, err);
  json_decref(root);
  return status;
}

static enum pare_status open_hugging_face(const char *dir, struct tokenizer **out, struct pare_error *err) {
  struct text_config c = {.config = NULL};
  char *path = path_join(dir, "tokenizer.json");
  struct tokenizer *t = calloc(1, sizeof *t);
  enum pare_status status = t && path ? config_open(dir, &c, err) : error_no_memory(err);
  if (status == PARE_OK) status = load(t, dir, &c, path, err);
  config_close(&c);
  free(path);
  if (status) {
    tokenizer_close(t);
    return status;
  }
  *out = t;
  return PARE_OK;
}

enum pare_status tokenizer_open(const char *dir, struct tokenizer **out, struct pare_error *err) {
  *out = NULL;
  char *path = path_join(dir, "fastai_tokenizer.json");
  if (!path) return error_no_memory(err);
  enum pare_status status = file_exists(path) ? open_fastai(path, out, err) : open_hugging_face(dir, out, err);
  free(path);
  return status;
}

enum pare_status tokenizer_of_ngrams(struct ngrams *ngrams, struct tokenizer **out, struct pare_error *err) {
  struct tokenizer *t = *out = calloc(1, sizeof *t);
  if (!t) {
    ngrams_free(ngrams);
    return error_no_memory(err);
  }
  t->model = MODEL_NGRAMS;
  t->ngrams = *ngrams;
  t->max_length = SIZE_MAX;
  for (size_t i = 0; i < ROLE_COUNT; i++) t->roles[i] = -1;
  return PARE_OK;
}

const struct ngrams *tokenizer_ngrams(const struct tokenizer *t) {
  return t->model == MODEL_NGRAMS ? &t->ngrams : NULL;
}

void tokenizer_close(struct tokenizer *t) {
  if (!t) return;
  tokenizer_clear(t);
  free(t);
}

size_t tokenizer_vocab_size(const struct tokenizer *t) {
  if (t->model == MODEL_NGRAMS) return t->ngrams.rows;
  return size_max(t->vocab.size, t->added.by_content.size);
}

const char *tokenizer_piece(const struct tokenizer *t, uint32_t id) {
  const struct added_token *token = added_by_id(&t->added, id);
  return token ? token->content : vocab_piece(&t->vocab, id, NULL);
}

int64_t tokenizer_id(const struct tokenizer *t, const char *piece) {
  int64_t id = vocab_find(&t->added.by_content, piece, strlen(piece));
  return id >= 0 ? id : vocab_find(&t->vocab, piece, strlen(piece));
}

size_t tokenizer_model_max_length(const struct tokenizer *t) {
  return t->max_length;
}

size_t tokenizer_special_count(const struct tokenizer *t, bool pair) {
  return pair ? t->pair.specials : t->single.specials;
}
