// fastai.c - follows a pickled Learner to what a model needs. Attribute names are fastai's: text/learner.py,
// text/models/core.py (SentenceEncoder, PoolingLinearClassifier), text/models/awdlstm.py, data/core.py, text/core.py,
// text/data.py. A list may be Python's or fastcore's L, which keeps one in `items`.
#include "format/fastai.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"

struct export {
  const struct pickle_value *root;
  const char *file;
  struct pare_error *err;
};

// ---- following the tree ----

static bool text_starts(struct pickle_text t, const char *start) {
  size_t len = strlen(start);
  return t.len >= len && memcmp(t.bytes, start, len) == 0;
}

static const struct pickle_value *type_of(const struct pickle_value *v) {
  return v && v->kind == PICKLE_OBJECT && v->object->type->kind == PICKLE_GLOBAL ? v->object->type : NULL;
}

// The class of v for messages.
static struct pickle_text class_name(const struct pickle_value *v) {
  const struct pickle_value *type = type_of(v);
  return type ? type->global.name : (struct pickle_text){"something else", 14};
}

static bool is_class(const struct pickle_value *v, const char *name) {
  const struct pickle_value *type = type_of(v);
  return type && text_starts(type->global.module, "fastai.") && pickle_text_is(type->global.name, name);
}

static struct pickle_seq list_of(const struct pickle_value *v) {
  for (int i = 0; i < 4 && type_of(v) && pickle_state(v, "items"); i++) v = pickle_state(v, "items");
  return pickle_items(v);
}

static const struct pickle_value *at(struct pickle_seq list, size_t i) {
  return i < list.count ? list.items[i] : NULL;
}

static const struct pickle_value *module(const struct pickle_value *v, const char *name) {
  return pickle_get(pickle_state(v, "_modules"), name);
}

bool fastai_is_export(const struct pickle_value *root) {
  const struct pickle_value *type = type_of(root);
  return type && text_starts(type->global.module, "fastai.") && pickle_state(root, "model") &&
         pickle_state(root, "dls");
}

static enum pare_status other_class(const struct export *e, const char *what, const char *expected,
                                    const struct pickle_value *found) {
  struct pickle_text name = class_name(found);
  return error_set(e->err, PARE_UNAVAILABLE, "%s: %s: %s expected, found %.*s", e->file, what, expected,
                   (int)size_min(name.len, 60), name.bytes);
}

static enum pare_status missing(const struct export *e, const char *what) {
  return error_set(e->err, PARE_DATA, "%s: the export has no %s where fastai keeps it", e->file, what);
}

// The transforms of the i-th part of a sample: 0 the text, 1 its label.
static struct pickle_seq transforms(const struct export *e, size_t i) {
  const struct pickle_value *loader = at(list_of(pickle_state(pickle_state(e->root, "dls"), "loaders")), 0);
  const struct pickle_value *lists = pickle_state(pickle_state(loader, "dataset"), "tls");
  return list_of(pickle_state(pickle_state(at(list_of(lists), i), "tfms"), "fs"));
}

static const struct pickle_value *transform(const struct export *e, size_t part, const char *class) {
  struct pickle_seq all = transforms(e, part);
  for (size_t i = 0; i < all.count; i++)
    if (is_class(all.items[i], class)) return all.items[i];
  return NULL;
}

// ---- the model ----

static enum pare_status set_int(const struct export *e, json_t *config, const char *key, const struct pickle_value *v) {
  int64_t n;
  if (!pickle_int(v, &n)) return missing(e, key);
  json_object_set_new(config, key, json_integer(n));
  return PARE_OK;
}

static enum pare_status check_model(const struct export *e, const struct pickle_value **encoder,
                                    const struct pickle_value **rnn, const struct pickle_value **head) {
  const struct pickle_value *model = pickle_state(e->root, "model");
  *encoder = module(model, "0");
  *head = module(model, "1");
  *rnn = module(*encoder, "module");
  if (!is_class(*encoder, "SentenceEncoder")) return other_class(e, "model[0]", "SentenceEncoder", *encoder);
  if (!is_class(*rnn, "AWD_LSTM")) return other_class(e, "model[0].module", "AWD_LSTM", *rnn);
  if (!is_class(*head, "PoolingLinearClassifier")) return other_class(e, "model[1]", "PoolingLinearClassifier", *head);
  return PARE_OK;
}

// Heads have two or three blocks of three layers; an export's nodes are shared, so longer ones could take for ever.
enum { MAX_PARTS = 64 };

static enum pare_status check_count(const struct export *e, const char *what, size_t count) {
  if (count <= MAX_PARTS) return PARE_OK;
  return error_set(e->err, PARE_DATA, "%s: %zu %s, expected at most %d", e->file, count, what, MAX_PARTS);
}

// Output sizes of the head's linear layers but the last, which is the labels'; *labels is that one.
static enum pare_status read_head(const struct export *e, const struct pickle_value *head, json_t *config,
                                  int64_t *labels) {
  struct pickle_seq blocks = pickle_pairs(pickle_state(module(head, "layers"), "_modules"));
  json_t *sizes = json_array();
  json_object_set_new(config, "head_layers", sizes);
  *labels = -1;
  enum pare_status s = check_count(e, "blocks of its head", blocks.count / 2);
  if (s) return s;
  for (size_t i = 0; i + 1 < blocks.count; i += 2) {
    const struct pickle_value *block = blocks.items[i + 1];
    if (!is_class(block, "LinBnDrop")) return other_class(e, "model[1].layers", "LinBnDrop", block);
    struct pickle_seq parts = pickle_pairs(pickle_state(block, "_modules"));
    const struct pickle_value *linear = NULL;
    s = check_count(e, "layers in a block of its head", parts.count / 2);
    if (s) return s;
    for (size_t k = 0; k + 1 < parts.count; k += 2)
      if (pickle_is_object(parts.items[k + 1], "torch.nn.modules.linear", "Linear")) linear = parts.items[k + 1];
    if (*labels >= 0) json_array_append_new(sizes, json_integer(*labels));
    if (!pickle_int(pickle_state(linear, "out_features"), labels)) return missing(e, "linear layer in its head");
  }
  return *labels >= 0 ? PARE_OK : missing(e, "layers of its head");
}

static enum pare_status read_model(const struct export *e, json_t *config, int64_t *labels) {
  const struct pickle_value *encoder, *rnn, *head;
  enum pare_status s = check_model(e, &encoder, &rnn, &head);
  if (!s) s = set_int(e, config, "vocab_size", pickle_state(module(rnn, "encoder"), "num_embeddings"));
  if (!s) s = set_int(e, config, "emb_size", pickle_state(rnn, "emb_sz"));
  if (!s) s = set_int(e, config, "hidden_size", pickle_state(rnn, "n_hid"));
  if (!s) s = set_int(e, config, "num_layers", pickle_state(rnn, "n_layers"));
  if (!s) s = set_int(e, config, "pad_token_id", pickle_state(encoder, "pad_idx"));
  if (!s) s = set_int(e, config, "bptt", pickle_state(encoder, "bptt"));
  if (!s && pickle_state(encoder, "max_len") && pickle_state(encoder, "max_len")->kind == PICKLE_NONE)
    json_object_set_new(config, "max_length", json_null());
  else if (!s)
    s = set_int(e, config, "max_length", pickle_state(encoder, "max_len"));
  int64_t directions = 1;
  if (pickle_int(pickle_state(rnn, "n_dir"), &directions) && directions != 1)
    json_object_set_new(config, "bidirectional", json_true());
  return s ? s : read_head(e, head, config, labels);
}

// ---- labels ----

// The bytes of v: BYTES, or what protocol 2 writes for them, _codecs.encode(text, "latin1"). The number of bytes, at
// most cap; 0 when v is neither.
static size_t small_bytes(const struct pickle_value *v, uint8_t *out, size_t cap) {
  size_t n = 0;
  if (v && v->kind == PICKLE_BYTES) {
    for (; n < v->text.len && n < cap; n++) out[n] = (uint8_t)v->text.bytes[n];
  } else if (pickle_is_object(v, "_codecs", "encode") && pickle_is_str(pickle_item(v->object->args, 1), "latin1")) {
    const struct pickle_value *text = pickle_item(v->object->args, 0);
    struct pickle_text t = text->kind == PICKLE_STR ? text->text : (struct pickle_text){"", 0};
    for (size_t i = 0; i < t.len && n < cap; i++) { // UTF-8 of U+0000 to U+00FF
      uint8_t c = (uint8_t)t.bytes[i];
      if (c >= 0xC0 && i + 1 < t.len) c = (uint8_t)(c << 6 | ((uint8_t)t.bytes[++i] & 0x3F));
      out[n++] = c;
    }
  }
  return n;
}

// numpy's scalar(dtype("i8"), bytes): labels that were a column of integers or booleans.
static bool numpy_scalar(const struct pickle_value *v, int64_t *out, bool *truth) {
  if (!pickle_is_object(v, "", "scalar")) return false;
  const struct pickle_value *dtype = pickle_item(v->object->args, 0);
  const struct pickle_value *code = dtype && dtype->kind == PICKLE_OBJECT ? pickle_item(dtype->object->args, 0) : NULL;
  uint8_t bytes[8];
  size_t n = small_bytes(pickle_item(v->object->args, 1), bytes, sizeof bytes);
  if (!code || code->kind != PICKLE_STR || code->text.len != 2 || !strchr("iub", code->text.bytes[0]) ||
      (size_t)(code->text.bytes[1] - '0') != n || n == 0)
    return false;
  uint64_t bits = code->text.bytes[0] == 'i' && bytes[n - 1] & 0x80 ? UINT64_MAX : 0;
  for (size_t i = n; i > 0; i--) bits = bits << 8 | bytes[i - 1];
  *out = (int64_t)bits;
  *truth = code->text.bytes[0] == 'b';
  return true;
}

// A label is a text, or what was a number in the data; NULL for anything else.
static json_t *label_text(const struct pickle_value *v) {
  int64_t number = v->kind == PICKLE_BOOL ? v->truth : 0;
  bool truth = v->kind == PICKLE_BOOL;
  char text[32];
  if (v->kind == PICKLE_STR) return json_stringn(v->text.bytes, v->text.len);
  if (!truth && !pickle_int(v, &number) && !numpy_scalar(v, &number, &truth)) return NULL;
  snprintf(text, sizeof text, "%lld", (long long)number);
  return json_string(!truth ? text : number ? "True" : "False"); // as Python prints them
}

static enum pare_status read_labels(const struct export *e, json_t *config, int64_t count) {
  const struct pickle_value *single = transform(e, 1, "Categorize"), *multi = transform(e, 1, "MultiCategorize");
  if (!single && !multi)
    return error_set(e->err, PARE_UNAVAILABLE, "%s: its target is no category: a text classifier's export expected",
                     e->file);
  struct pickle_seq names = list_of(pickle_state(single ? single : multi, "vocab"));
  if (count < 0 || names.count != (size_t)count)
    return error_set(e->err, PARE_DATA, "%s: %zu labels named, the model has %lld", e->file, names.count,
                     (long long)count);
  json_t *labels = json_object(), *ids = json_object();
  json_object_set_new(config, "id2label", labels);
  json_object_set_new(config, "label2id", ids);
  json_object_set_new(config, "problem_type",
                      json_string(single ? "single_label_classification" : "multi_label_classification"));
  for (size_t i = 0; i < names.count; i++) {
    char key[24];
    snprintf(key, sizeof key, "%zu", i);
    json_t *name = label_text(names.items[i]);
    if (!name || json_object_set_new(labels, key, name) != 0)
      return error_set(e->err, PARE_DATA, "%s: label %zu: a text or an integer expected", e->file, i);
    json_object_set_new(ids, json_string_value(name), json_integer((json_int_t)i));
  }
  return PARE_OK;
}

// A Transform made of the function reverse_text: texts read from their end (backwards=True). fasttransform keeps a
// method table as `encodes`, which knows the function; fastcore's, before it, a table of lists: so the name is asked.
static bool is_reverse(const struct pickle_value *v) {
  return pickle_is_str(pickle_state(v, "_name"), "reverse_text") ||
         pickle_is_str(pickle_state(v, "name"), "reverse_text");
}

// What comes before the tokenizer makes a text of a row, and fastai leaves it out for texts; what comes after it
// counts.
static enum pare_status check_transforms(const struct export *e, json_t *config) {
  struct pickle_seq all = transforms(e, 0);
  bool after = false;
  enum pare_status s = check_count(e, "transforms of its texts", all.count);
  if (s) return s;
  for (size_t i = 0; i < all.count; i++) {
    const struct pickle_value *t = all.items[i];
    if (is_class(t, "Tokenizer")) {
      after = true;
    } else if (after && is_reverse(t)) {
      json_object_set_new(config, "backwards", json_true());
    } else if (after && !is_class(t, "Numericalize")) {
      return other_class(e, "a step after its tokenizer", "Numericalize", t);
    }
  }
  return PARE_OK;
}

enum pare_status fastai_config(const struct pickle_value *root, const char *file, json_t **out,
                               struct pare_error *err) {
  struct export e = {root, file, err};
  int64_t labels = 0;
  *out = json_pack("{s:s, s:[s]}", "model_type", "awd_lstm", "architectures", "AWDLSTMForSequenceClassification");
  if (!*out) return error_no_memory(err);
  enum pare_status s = read_model(&e, *out, &labels);
  if (!s) s = read_labels(&e, *out, labels);
  if (!s) s = check_transforms(&e, *out);
  if (s) {
    json_decref(*out);
    *out = NULL;
  }
  return s;
}

// ---- the tokenizer ----

// SpacyTokenizer keeps `pipe`, a method of spaCy's language object: that object's module names the language.
static struct pickle_text language(const struct pickle_value *tok) {
  static const char start[] = "spacy.lang.";
  const struct pickle_value *pipe = pickle_state(tok, "pipe");
  struct pickle_seq args =
      pipe && pipe->kind == PICKLE_OBJECT ? pickle_items(pipe->object->args) : (struct pickle_seq){0};
  for (size_t i = 0; i < args.count; i++) {
    const struct pickle_value *type = type_of(args.items[i]);
    if (!type || !text_starts(type->global.module, start)) continue;
    struct pickle_text name = {type->global.module.bytes + sizeof start - 1,
                               type->global.module.len - sizeof start + 1};
    const char *dot = memchr(name.bytes, '.', name.len);
    if (dot) name.len = (size_t)(dot - name.bytes);
    return name;
  }
  return (struct pickle_text){"", 0};
}

static enum pare_status read_rules(const struct export *e, const struct pickle_value *tokenizer, json_t *out) {
  struct pickle_seq rules = list_of(pickle_state(tokenizer, "rules"));
  json_t *names = json_array();
  json_object_set_new(out, "rules", names);
  for (size_t i = 0; i < rules.count; i++) {
    const struct pickle_value *rule = rules.items[i];
    if (rule->kind != PICKLE_GLOBAL || !pickle_text_is(rule->global.module, "fastai.text.core"))
      return error_set(e->err, PARE_UNAVAILABLE,
                       "%s: tokenizer rule %zu is not one of fastai's own: what it does cannot be known", e->file, i);
    if (json_array_append_new(names, json_stringn(rule->global.name.bytes, rule->global.name.len)) != 0)
      return error_set(e->err, PARE_DATA, "%s: the name of tokenizer rule %zu: UTF-8 text expected", e->file, i);
  }
  // The rules on tokens work on the training texts alone: Tokenizer.encodes, which predictions go through, has none.
  json_object_set_new(out, "post_rules", json_array());
  return PARE_OK;
}

static enum pare_status read_words(const struct export *e, json_t *out) {
  const struct pickle_value *numericalize = transform(e, 0, "Numericalize");
  struct pickle_seq words = list_of(pickle_state(numericalize, "vocab"));
  if (words.count == 0) return missing(e, "vocabulary");
  json_t *list = json_array();
  json_object_set_new(out, "vocab", list);
  for (size_t i = 0; i < words.count; i++) {
    const struct pickle_value *word = words.items[i];
    if (word->kind != PICKLE_STR || json_array_append_new(list, json_stringn(word->text.bytes, word->text.len)) != 0)
      return error_set(e->err, PARE_DATA, "%s: word %zu of the vocabulary: UTF-8 text expected", e->file, i);
  }
  int64_t pad;
  const struct pickle_value *encoder = module(pickle_state(e->root, "model"), "0");
  json_object_set(out, "unk", json_array_get(list, 0)); // what Numericalize's dictionary answers when it does not know
  if (pickle_int(pickle_state(encoder, "pad_idx"), &pad) && pad >= 0 && (size_t)pad < words.count)
    json_object_set(out, "pad", json_array_get(list, (size_t)pad));
  return PARE_OK;
}

enum pare_status fastai_tokenizer(const struct pickle_value *root, const char *file, json_t **out,
                                  struct pare_error *err) {
  struct export e = {root, file, err};
  *out = NULL;
  const struct pickle_value *tokenizer = transform(&e, 0, "Tokenizer"), *tok = pickle_state(tokenizer, "tok");
  if (!tokenizer) return missing(&e, "tokenizer");
  if (!is_class(tok, "SpacyTokenizer")) return other_class(&e, "tokenizer", "SpacyTokenizer (WordTokenizer)", tok);
  struct pickle_text lang = language(tok);
  if (!lang.len || utf8_first_bad(lang.bytes, lang.len) < lang.len) return missing(&e, "language of its tokenizer");
  *out = json_pack("{s:s, s:s%}", "type", "fastai", "lang", lang.bytes, lang.len);
  if (!*out) return error_no_memory(err);
  enum pare_status s = read_rules(&e, tokenizer, *out);
  if (!s) s = read_words(&e, *out);
  if (s) {
    json_decref(*out);
    *out = NULL;
  }
  return s;
}

// ---- a state dict alone ----

static void set_missing(json_t *config, const char *key, json_t *value) {
  const json_t *found = json_object_get(config, key);
  if (found && !json_is_null(found)) {
    json_decref(value);
  } else {
    json_object_set_new(config, key, value);
  }
}

static const struct tensor *find_matrix(const struct tensors *t, const char *format, size_t i) {
  char name[80];
  snprintf(name, sizeof name, format, i);
  const struct tensor *found = tensors_find(t, name);
  return found && found->rank == 2 ? found : NULL;
}

enum pare_status fastai_complete_config(json_t *config, const struct tensors *t, struct pare_error *err) {
  const char *type = json_string_value(json_object_get(config, "model_type"));
  const struct tensor *words = tensors_find(t, "0.module.encoder.weight"), *m;
  if (!type || strcmp(type, "awd_lstm") != 0 || !words || words->rank != 2) return PARE_OK;
  set_missing(config, "vocab_size", json_integer((json_int_t)words->shape[0]));
  set_missing(config, "emb_size", json_integer((json_int_t)words->shape[1]));
  size_t layers = 0;
  while ((m = find_matrix(t, "0.module.rnns.%zu.weight_hh_l0_raw", layers))) {
    if (layers++ == 0) set_missing(config, "hidden_size", json_integer((json_int_t)m->shape[1]));
  }
  if (layers) set_missing(config, "num_layers", json_integer((json_int_t)layers));
  json_t *head = json_array();
  if (!head) return error_no_memory(err);
  size_t labels = 0;
  for (size_t i = 0;
       (m = find_matrix(t, "1.layers.%zu.2.weight", i)) || (m = find_matrix(t, "1.layers.%zu.1.weight", i)); i++) {
    if (i) json_array_append_new(head, json_integer((json_int_t)labels));
    labels = m->shape[0];
  }
  set_missing(config, "head_layers", head);
  if (labels && !json_object_get(config, "id2label"))
    set_missing(config, "num_labels", json_integer((json_int_t)labels));
  return PARE_OK;
}
