// legacy.c - directories older than tokenizer.json: vocab.json + merges.txt (GPT-2, RoBERTa, BART) and vocab.txt
// (BERT).
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/load.h"
#include "text/unicode.h"

// The next line, without its end (\n or \r\n); false when there is none.
static bool next_line(const struct mapping *m, size_t *pos, struct text_span *line) {
  if (*pos >= m->len) return false;
  const char *start = (const char *)m->data + *pos;
  const char *end = memchr(start, '\n', m->len - *pos);
  size_t len = end ? (size_t)(end - start) : m->len - *pos;
  *pos += len + (end != NULL);
  if (end && len && start[len - 1] == '\r') len--;
  *line = (struct text_span){start, len};
  return true;
}

static enum pare_status open_lines(const char *path, struct mapping *m, struct pare_error *err) {
  enum pare_status status = file_map(path, m, err);
  if (status) return status;
  size_t bad = utf8_first_bad((const char *)m->data, m->len);
  if (bad == m->len) return PARE_OK;
  file_unmap(m);
  return error_set(err, PARE_DATA, "%s: not valid UTF-8 at byte %zu", path, bad);
}

static enum pare_status load_merges(struct tokenizer *t, const char *path, struct pare_error *err) {
  struct source s = {path, err};
  struct mapping m;
  enum pare_status status = open_lines(path, &m, err);
  if (status) return status;
  struct text_span line;
  size_t number = 0;
  for (size_t pos = 0; status == PARE_OK && next_line(&m, &pos, &line);) {
    number++;
    if (line.len >= 8 && memcmp(line.data, "#version", 8) == 0) continue;
    const char *end = line.data + line.len, *space = memchr(line.data, ' ', line.len);
    if (!space || memchr(space + 1, ' ', (size_t)(end - space - 1))) {
      status = error_set(err, PARE_DATA, "%s: line %zu is not two pieces and a space between", path, number);
    } else {
      status = load_merge(t, line.data, (size_t)(space - line.data), space + 1, (size_t)(end - space - 1), number, s);
    }
  }
  file_unmap(&m);
  return status;
}

static enum pare_status load_vocab_json(struct tokenizer *t, const char *path, struct pare_error *err) {
  struct source s = {path, err};
  json_t *root;
  enum pare_status status = json_open(path, &root, err);
  if (status) return status;
  const char *piece;
  json_t *value;
  json_object_foreach(root, piece, value) {
    uint32_t id;
    if ((status = json_id(s, value, piece, &id))) break;
    enum vocab_result r = vocab_put(&t->vocab, piece, strlen(piece), id);
    if (r == VOCAB_NO_MEMORY)
      status = error_no_memory(err);
    else if (r != VOCAB_OK)
      status = error_set(err, PARE_DATA, "%s: id %u of \"%.80s\" is given twice", path, id, piece);
    if (status) break;
  }
  json_decref(root);
  if (status == PARE_OK && t->vocab.count == 0) status = error_set(err, PARE_DATA, "%s: the vocabulary is empty", path);
  return status;
}

static size_t trimmed_len(struct text_span line) {
  size_t len = line.len;
  while (len) {
    size_t start = len - 1, n;
    while (start && ((unsigned char)line.data[start] & 0xC0) == 0x80) start--;
    if (!unicode_is_space(unicode_read(line.data + start, &n))) break;
    len = start;
  }
  return len;
}

// The id of a piece is its line, from 0; of equal lines the last counts.
static enum pare_status load_vocab_txt(struct tokenizer *t, const char *path, struct pare_error *err) {
  struct mapping m;
  enum pare_status status = open_lines(path, &m, err);
  if (status) return status;
  struct text_span line;
  uint32_t id = 0;
  for (size_t pos = 0; status == PARE_OK && next_line(&m, &pos, &line); id++) {
    if (id == VOCAB_MAX_ID) {
      status = error_set(err, PARE_DATA, "%s: more than %d lines", path, VOCAB_MAX_ID);
      break;
    }
    size_t len = trimmed_len(line);
    enum vocab_result r = vocab_put(&t->vocab, line.data, len, id);
    if (r == VOCAB_SAME_TEXT) r = vocab_move(&t->vocab, line.data, len, id);
    if (r != VOCAB_OK) status = error_no_memory(err);
  }
  file_unmap(&m);
  if (status == PARE_OK && t->vocab.count == 0) status = error_set(err, PARE_DATA, "%s: the vocabulary is empty", path);
  return status;
}

static enum pare_status need_class(const struct text_config *c, const char *file, int one, int other,
                                   struct pare_error *err) {
  if ((int)c->class == one || (int)c->class == other) return PARE_OK;
  const char *name = json_string_value(json_object_get(c->config, "tokenizer_class"));
  return error_set(err, PARE_DATA, "%s: tokenizer_class \"%.80s\" with %s and no tokenizer.json is not implemented",
                   c->file, name ? name : "(by model_type)", file);
}

static enum pare_status load_byte_level(struct tokenizer *t, const char *vocab, const char *merges, const char *dir,
                                        const struct text_config *c, struct pare_error *err) {
  struct pretokenizer *p = &t->pretokenizers[t->pretokenizer_count++];
  *p = (struct pretokenizer){.kind = PRETOKENIZE_BYTE_LEVEL, .use_regex = true};
  t->model = MODEL_BPE;
  t->decoder = DECODE_BYTE_LEVEL;
  t->bpe.unk_id = BPE_NO_ID;
  enum pare_status status = need_class(c, "vocab.json", CLASS_GPT2, CLASS_ROBERTA, err);
  if (status == PARE_OK)
    status = json_bool_field((struct source){c->file, err}, c->config, "add_prefix_space", &p->add_prefix_space);
  if (status == PARE_OK) status = load_vocab_json(t, vocab, err);
  if (status == PARE_OK) status = load_merges(t, merges, err);
  if (status == PARE_OK) status = config_added_tokens(t, dir, c, err);
  if (status) return status;
  bpe_find_bytes(&t->bpe, &t->vocab);
  if ((status = config_apply(t, c, err))) return status;
  if (c->class == CLASS_GPT2) return config_bos_eos(t, c, err);
  if (t->roles[ROLE_CLS] < 0 || t->roles[ROLE_SEP] < 0) {
    return error_set(err, PARE_DATA, "%s: cls_token and sep_token are needed", c->file);
  }
  template_roberta(t, (uint32_t)t->roles[ROLE_CLS], (uint32_t)t->roles[ROLE_SEP]);
  return PARE_OK;
}

static enum pare_status load_bert(struct tokenizer *t, const char *vocab, const char *dir, const struct text_config *c,
                                  struct pare_error *err) {
  struct source s = {c->file, err};
  struct normalizer *n = &t->normalizers[t->normalizer_count++];
  *n = (struct normalizer){.kind = NORMALIZE_BERT, .clean_text = true, .cjk = true, .lowercase = true};
  t->pretokenizers[t->pretokenizer_count++].kind = PRETOKENIZE_BERT;
  t->decoder = DECODE_WORDPIECE;
  t->decoder_cleanup = true;
  if (!(t->decoder_prefix = strdup("##"))) return error_no_memory(err);
  enum pare_status status = need_class(c, "vocab.txt", CLASS_BERT, CLASS_BERT, err);
  if (status == PARE_OK) status = json_bool_field(s, c->config, "do_lower_case", &n->lowercase);
  n->strip_accents = n->lowercase;
  if (status == PARE_OK) status = json_bool_field(s, c->config, "strip_accents", &n->strip_accents);
  if (status == PARE_OK) status = json_bool_field(s, c->config, "tokenize_chinese_chars", &n->cjk);
  if (status == PARE_OK) status = load_vocab_txt(t, vocab, err);
  const char *unk = config_role(c, ROLE_UNK);
  if (status == PARE_OK) status = load_wordpiece_rules(t, unk ? unk : "[UNK]", "##", 100, s);
  if (status == PARE_OK) status = config_added_tokens(t, dir, c, err);
  if (status == PARE_OK) status = config_apply(t, c, err);
  if (status) return status;
  if (t->roles[ROLE_CLS] < 0 || t->roles[ROLE_SEP] < 0) {
    return error_set(err, PARE_DATA, "%s: cls_token and sep_token are needed", c->file);
  }
  template_bert(t, (uint32_t)t->roles[ROLE_CLS], (uint32_t)t->roles[ROLE_SEP]);
  return PARE_OK;
}

enum pare_status load_legacy(struct tokenizer *t, const char *dir, struct text_config *c, struct pare_error *err) {
  char *vocab = path_join(dir, "vocab.json"), *merges = path_join(dir, "merges.txt"),
       *lines = path_join(dir, "vocab.txt");
  enum pare_status status;
  if (!vocab || !merges || !lines) {
    status = error_no_memory(err);
  } else if (file_exists(vocab) && file_exists(merges)) {
    if (c->class == CLASS_NONE) c->class = CLASS_GPT2;
    status = load_byte_level(t, vocab, merges, dir, c, err);
  } else if (file_exists(lines)) {
    if (c->class == CLASS_NONE) c->class = CLASS_BERT;
    status = load_bert(t, lines, dir, c, err);
  } else {
    status = error_set(err, PARE_NOFILE, "%s: no tokenizer.json, no vocab.json with merges.txt, and no vocab.txt", dir);
  }
  free(vocab);
  free(merges);
  free(lines);
  return status;
}
