// model_files.h - what the tests of damaged models share: a golden directory is read, its config.json and tensors are
// edited in memory, and the result is written into a temporary directory.
#ifndef PARE_TESTS_MODEL_FILES_H
#define PARE_TESTS_MODEL_FILES_H

#include "golden/golden.h"

#include "base/file.h"
#include "model/model.h"

enum { FILES_MAX_TENSORS = 400, FILES_MAX_OWNED = 200 };

struct model_files {
  struct outdir dir; // dir.temp: where write_files puts it
  struct tensors source;
  struct tensor list[FILES_MAX_TENSORS];
  size_t count;
  json_t *config;
  void *owned[FILES_MAX_OWNED];
  size_t owned_count;
};

static inline char *golden_path(const char *name) {
  return path_join(TEST_DIR "/golden/data", name);
}

// name: a folder below tests/golden/data ("models/bert"). Nothing is written yet.
static inline struct model_files *files_open(const char *name) {
  struct model_files *f = calloc(1, sizeof *f);
  struct pare_error err = {0};
  char *folder = golden_path(name), *config = path_join(folder, "config.json");
  must(dir_create_temp(&f->dir, &err), &err);
  must(tensors_open(folder, &f->source, &err), &err);
  must(json_file_load(config, &f->config, &err), &err);
  f->count = f->source.count;
  assert_true(f->count < FILES_MAX_TENSORS);
  memcpy(f->list, f->source.list, f->count * sizeof f->list[0]);
  free(folder);
  free(config);
  return f;
}

static inline void files_close(struct model_files *f) {
  for (size_t i = 0; i < f->owned_count; i++) free(f->owned[i]);
  tensors_close(&f->source);
  json_decref(f->config);
  dir_discard(&f->dir);
  free(f);
}

static inline struct tensor *files_find(struct model_files *f, const char *name) {
  for (size_t i = 0; i < f->count; i++)
    if (!strcmp(f->list[i].name, name)) return &f->list[i];
  fail_msg("no tensor %s in the golden directory", name);
  return NULL;
}

static inline void files_remove(struct model_files *f, const char *name) {
  struct tensor *t = files_find(f, name);
  *t = f->list[--f->count];
}

static inline void *files_own(struct model_files *f, void *p) {
  assert_true(f->owned_count < FILES_MAX_OWNED);
  f->owned[f->owned_count++] = p;
  return p;
}

// A writable copy of a tensor's bytes, which the tensor then holds.
static inline void *files_bytes(struct model_files *f, const char *name) {
  struct tensor *t = files_find(f, name);
  void *copy = files_own(f, malloc(t->bytes));
  memcpy(copy, t->data, t->bytes);
  t->data = copy;
  return copy;
}

// Adds a tensor, or gives the one of that name other contents. data is copied; NULL: zeros.
static inline void files_put(struct model_files *f, const char *name, enum dtype dtype, size_t rank,
                             const size_t *shape, const void *data) {
  size_t i = 0, bytes = dtype_bytes(dtype);
  while (i < f->count && strcmp(f->list[i].name, name) != 0) i++;
  if (i == f->count) f->count++;
  struct tensor t = {
      .name = files_own(f, strdup(name)), .dtype = dtype, .rank = rank}; // name and shape may be the old one's
  for (size_t d = 0; d < rank; d++) bytes *= t.shape[d] = shape[d];
  uint8_t *copy = files_own(f, calloc(1, bytes + 1));
  if (data) memcpy(copy, data, bytes);
  t.data = copy;
  t.bytes = bytes;
  f->list[i] = t;
}

static inline void files_text(struct model_files *f, const char *name, const char *text) {
  struct pare_error err = {0};
  char *path = path_join(f->dir.temp, name);
  must(file_write_all(path, text, strlen(text), &err), &err);
  free(path);
}

static inline void files_set(struct model_files *f, const char *key, json_t *value) {
  json_object_set_new(f->config, key, value);
}

static inline void files_write(struct model_files *f) {
  struct pare_error err = {0};
  char *path = path_join(f->dir.temp, "model.safetensors"), *text = json_dumps(f->config, 0);
  must(safetensors_write(path, f->list, f->count, NULL, 0, &err), &err);
  files_text(f, "config.json", text);
  free(path);
  free(text);
}

// A WordPiece vocabulary of 43 entries, the size the golden models have: ids 0 to 4 are special, then words and
// letters.
static inline void files_tokenizer(struct model_files *f) {
  char text[400] =
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthis\nexample\nis\n.\nabout\nnews\nsport\nred\ngreen\nblue\nthe\n!\n";
  for (char c = 'a'; c <= 'z'; c++) {
    size_t len = strlen(text);
    snprintf(text + len, sizeof text - len, "%c\n", c);
  }
  files_text(f, "vocab.txt", text);
  files_text(f, "tokenizer_config.json", "{\"do_lower_case\": true, \"model_max_length\": 70}");
}

// Opening fails with the status, and the message holds every one of the NULL-terminated needles.
static inline void refuses(const char *path, enum pare_status expected, const char *const *needles) {
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select(NULL, &engine.kernels, &err), &err);
  pare_model *m = NULL;
  enum pare_status s = model_open(&engine, path, &m, &err);
  model_close(m);
  if (s != expected)
    fail_msg("expected status %d (%s), found %d: %s", expected, needles[0] ? needles[0] : "", s, err.text);
  for (size_t i = 0; needles[i]; i++)
    if (!strstr(err.text, needles[i])) fail_msg("the message does not hold \"%s\": %s", needles[i], err.text);
}

#define NEEDLES(...) ((const char *const[]){__VA_ARGS__, NULL})

static inline void files_refuse(struct model_files *f, enum pare_status expected, const char *const *needles) {
  files_write(f);
  refuses(f->dir.temp, expected, needles);
}

static inline pare_model *files_model(struct model_files *f, pare_engine *engine) {
  struct pare_error err = {0};
  pare_model *m;
  files_write(f);
  must(model_open(engine, f->dir.temp, &m, &err), &err);
  return m;
}

#endif
