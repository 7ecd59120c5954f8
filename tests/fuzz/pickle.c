// pickle.c - libFuzzer on the pickle machine: it refuses with a message, or every value lies inside the input; whatever
// comes out, the reader of fastai exports takes it or refuses it.
#include "promises.h"

#include <jansson.h>

#include "format/fastai.h"
#include "format/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

// Reads what can be reached within a bounded number of steps: values share nodes and form cycles.
static void look(const struct pickle_value *v, int depth, size_t *steps) {
  if (depth == 0 || *steps == 0) return;
  --*steps;
  volatile char sink = 0;
  if (v->kind == PICKLE_STR && v->text.len) sink ^= v->text.bytes[v->text.len - 1];
  (void)sink;
  if (v->kind == PICKLE_GLOBAL) require(pickle_global_allowed(v->global.module, v->global.name), "only allowed names");
  struct pickle_seq items = pickle_items(v), pairs = pickle_pairs(v);
  for (size_t i = 0; i < items.count; i++) look(items.items[i], depth - 1, steps);
  require(pairs.count % 2 == 0, "every key has a value");
  for (size_t i = 0; i < pairs.count; i++) look(pairs.items[i], depth - 1, steps);
  if (v->kind != PICKLE_OBJECT) return;
  look(v->object->type, depth - 1, steps);
  look(v->object->args, depth - 1, steps);
  if (v->object->state) look(v->object->state, depth - 1, steps);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  struct pickle p;
  struct pare_error err = {0};
  enum pare_status s = pickle_parse(bytes, len, "fuzz", &p, &err);
  if (s) {
    require(s == PARE_DATA && err.code == s && strncmp(err.text, "fuzz: byte ", 11) == 0, "a refusal with its place");
    require(!p.blocks, "nothing left behind");
    return 0;
  }
  require(p.used <= len && p.root, "a root");
  size_t steps = 10000;
  look(p.root, 40, &steps);
  json_t *config, *tokenizer;
  fastai_is_export(p.root);
  s = fastai_config(p.root, "fuzz", &config, &err);
  require((s == PARE_OK) == (config != NULL), "a config or a reason");
  json_decref(config);
  s = fastai_tokenizer(p.root, "fuzz", &tokenizer, &err);
  require((s == PARE_OK) == (tokenizer != NULL), "a tokenizer or a reason");
  json_decref(tokenizer);
  pickle_free(&p);
  return 0;
}
