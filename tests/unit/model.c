// model.c - damaged, hostile and mismatched model directories are refused with a message that names file and tensor or
// key. (Files that are no safetensors at all are in safetensors.c; every variant of a config that is not implemented in
// golden/models.c.)
#include "model_files.h"

static const char *const golden_models[] = {"models/gpt2-cls", "models/gpt2-lm-untied", "models/bert",
                                            "models/distilbert"};
enum { GOLDEN_MODELS = sizeof golden_models / sizeof golden_models[0] };

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

// ---- tensors ----

struct names {
  char *list[FILES_MAX_TENSORS];
  size_t count;
};

static void add_name(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  struct names *n = context;
  n->list[n->count++] = strdup(w->name);
}

// Every weight of the table, by the name the file has for it.
static struct names names_of(const char *golden) {
  struct names n = {.count = 0};
  struct model_files *f = files_open(golden);
  pare_model *m = files_model(f, &engine);
  model_each_weight(m, add_name, &n);
  model_close(m);
  files_close(f);
  return n;
}

static void each_tensor(void (*damage)(struct model_files *f, const char *name)) {
  for (size_t i = 0; i < GOLDEN_MODELS; i++) {
    struct names n = names_of(golden_models[i]);
    assert_true(n.count > 20);
    for (size_t t = 0; t < n.count; t++) {
      struct model_files *f = files_open(golden_models[i]);
      damage(f, n.list[t]);
      files_close(f);
      free(n.list[t]);
    }
  }
}

static void remove_one(struct model_files *f, const char *name) {
  files_remove(f, name);
  files_refuse(f, PARE_DATA, NEEDLES(f->dir.temp, "missing tensor", strrchr(name, '.')));
}

static void a_missing_tensor_is_named(void **state) {
  (void)state;
  each_tensor(remove_one);
}

// One row more than the table says; a vector one value more.
static void grow_one(struct model_files *f, const char *name) {
  const struct tensor *t = files_find(f, name);
  size_t shape[2] = {t->shape[0] + 1, t->shape[1]}, rank = t->rank;
  char found[64], expected[64];
  snprintf(found, sizeof found, rank == 1 ? "found [%zu]" : "found [%zu, %zu]", shape[0], shape[1]);
  snprintf(expected, sizeof expected, rank == 1 ? "expected shape [%zu]" : "expected shape [%zu, %zu]", t->shape[0],
           t->shape[1]);
  files_put(f, name, DTYPE_F32, rank, shape, NULL);
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", name, expected, found));
}

static void a_misshapen_tensor_is_named(void **state) {
  (void)state;
  each_tensor(grow_one);
}

static void retype_one(struct model_files *f, const char *name) {
  const struct tensor *t = files_find(f, name);
  files_put(f, name, DTYPE_I32, t->rank, t->shape, NULL);
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", name, "expected", "found I32"));
}

static void a_tensor_of_another_type_is_named(void **state) {
  (void)state;
  each_tensor(retype_one);
}

static void a_transposed_conv1d_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-cls");
  const char *name = "transformer.h.1.attn.c_attn.weight";
  files_put(f, name, DTYPE_F32, 2, (size_t[]){108, 36}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES(name, "expected shape [36, 108]", "found [108, 36]"));
  files_close(f);
}

static void extra_tensors_are_ignored(void **state) {
  (void)state;
  for (size_t i = 0; i < GOLDEN_MODELS; i++) {
    struct model_files *f = files_open(golden_models[i]);
    files_put(f, "h.0.attn.masked_bias", DTYPE_F32, 0, NULL, NULL);
    files_put(f, "something.else", DTYPE_I64, 3, (size_t[]){2, 1, 3}, NULL);
    model_close(files_model(f, &engine));
    files_close(f);
  }
}

static void a_truncated_file_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_write(f);
  char *path = path_join(f->dir.temp, "model.safetensors");
  struct mapping map;
  must(file_map(path, &map, NULL), NULL);
  static const double parts[] = {0, 0.00002, 0.01, 0.5, 0.99999};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    size_t len = (size_t)(parts[i] * (double)map.len);
    must(file_write_all(path, map.data, len, NULL), NULL);
    refuses(f->dir.temp, PARE_DATA, NEEDLES("model.safetensors"));
  }
  file_unmap(&map);
  free(path);
  files_close(f);
}

// ---- config.json ----

static void config_text_is_refused(const char *text, const char *const *needles) {
  struct model_files *f = files_open("models/gpt2-cls");
  files_write(f);
  files_text(f, "config.json", text);
  refuses(f->dir.temp, PARE_DATA, needles);
  files_close(f);
}

static void a_config_that_is_no_object_is_refused(void **state) {
  (void)state;
  config_text_is_refused("", NEEDLES("config.json"));
  config_text_is_refused("{\"model_type\": \"gpt2\"", NEEDLES("config.json", "line 1"));
  config_text_is_refused("{\n\"model_type\": \"gpt2\",\n}", NEEDLES("config.json", "line 3"));
  config_text_is_refused("[1, 2]", NEEDLES("config.json", "expected a JSON object"));
  config_text_is_refused("{}", NEEDLES("config.json", "missing key model_type"));
  config_text_is_refused("{\"model_type\": 7}", NEEDLES("config.json", "model_type"));
  config_text_is_refused("{\"model_type\": \"gpt2\", \"model_type\": \"bert\"}",
                         NEEDLES("config.json", "model_type", "duplicate"));
  config_text_is_refused("{\"model_type\": \"gpt2\", \"n_embd\": 1e999}", NEEDLES("config.json", "line 1"));
  config_text_is_refused("{\"model_type\": \"gpt2\", \"n_embd\": 99999999999999999999}",
                         NEEDLES("config.json", "line 1"));
}

static void a_directory_without_a_config_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-cls");
  files_write(f);
  char *path = path_join(f->dir.temp, "config.json");
  assert_int_equal(remove(path), 0);
  refuses(f->dir.temp, PARE_NOFILE, NEEDLES("config.json"));
  free(path);
  files_close(f);
}

static void an_unknown_model_type_is_unavailable(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-cls");
  files_set(f, "model_type", json_string("mamba"));
  files_refuse(f, PARE_UNAVAILABLE, NEEDLES("config.json", "mamba"));
  files_close(f);
}

// Every size of every architecture: zero, negative, huge, a text, a real number, a list.
static void sizes_out_of_range_are_named(void **state) {
  (void)state;
  static const struct {
    const char *golden, *keys[8];
  } sizes[] = {
      {"models/gpt2-cls", {"vocab_size", "n_embd", "n_layer", "n_head", "n_positions", "n_inner", "num_labels"}},
      {"models/bert",
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings",
        "intermediate_size", "type_vocab_size", "num_labels"}},
      {"models/distilbert",
       {"vocab_size", "dim", "n_layers", "n_heads", "max_position_embeddings", "hidden_dim", "num_labels"}}};
  static const char *const values[] = {"0",    "-1",  "9223372036854775807", "-9223372036854775808", "\"12\"", "36.0",
                                       "[36]", "true"};
  for (size_t i = 0; i < 3; i++) {
    for (size_t k = 0; k < 8 && sizes[i].keys[k]; k++) {
      struct model_files *f = files_open(sizes[i].golden);
      for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
        files_set(f, sizes[i].keys[k], json_loads(values[v], JSON_DECODE_ANY, NULL));
        files_refuse(f, PARE_DATA, NEEDLES("config.json", sizes[i].keys[k], "expected", "found"));
      }
      files_close(f);
    }
  }
}

// GPT-2's inner width defaults to four times the width: beyond 65536 an int8 product could leave 32 bits.
static void a_computed_default_is_held_to_its_range(void **state) {
  (void)state;
  struct model_files *f = files_open("models/gpt2-cls");
  files_set(f, "n_embd", json_integer(21840));
  files_set(f, "n_head", json_integer(12));
  files_refuse(f, PARE_DATA, NEEDLES("config.json", "n_inner", "expected 1 to 65536", "found 87360"));
  files_close(f);
}

static void sizes_that_disagree_with_tensors_are_named(void **state) {
  (void)state;
  static const struct {
    const char *golden, *key;
    int value;
    const char *needle;
  } cases[] = {{"models/gpt2-cls", "vocab_size", 44, "wte.weight"},
               {"models/gpt2-cls", "n_positions", 1024, "wpe.weight"},
               {"models/gpt2-cls", "n_layer", 3, "h.2.ln_1.weight"},
               {"models/gpt2-cls", "n_inner", 100, "c_fc.weight"},
               {"models/gpt2-cls", "n_embd", 39, "wte.weight"},
               {"models/bert", "type_vocab_size", 3, "token_type"},
               {"models/bert", "num_hidden_layers", 1024, "layer.2"},
               {"models/bert", "intermediate_size", 36, "intermediate"},
               {"models/distilbert", "dim", 33, "word_embeddings"},
               {"models/distilbert", "hidden_dim", 53, "ffn.lin1"},
               {"models/distilbert", "vocab_size", 1 << 24, "word_embeddings"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open(cases[i].golden);
    files_set(f, cases[i].key, json_integer(cases[i].value));
    files_refuse(f, PARE_DATA, NEEDLES(f->dir.temp, cases[i].needle));
    files_close(f);
  }
  struct model_files *f = files_open("models/bert");
  files_set(f, "num_attention_heads", json_integer(5));
  files_refuse(f, PARE_DATA, NEEDLES("config.json", "hidden_size", "36", "num_attention_heads", "5"));
  files_close(f);
}

static void labels_must_be_complete(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_set(f, "id2label", json_pack("{s:s, s:s, s:s}", "0", "a", "1", "b", "3", "d"));
  files_refuse(f, PARE_DATA, NEEDLES(f->dir.temp, "id2label", "no name for label 2"));
  files_set(f, "id2label", json_pack("{s:s, s:i, s:s}", "0", "a", "1", 7, "2", "c"));
  files_refuse(f, PARE_DATA, NEEDLES("id2label", "label 1"));
  files_set(f, "id2label", json_pack("[s, s, s]", "a", "b", "c"));
  files_refuse(f, PARE_DATA, NEEDLES("config.json", "id2label", "expected an object", "found an array"));
  files_set(f, "id2label", json_pack("{s:s, s:s, s:s, s:s}", "0", "a", "1", "b", "2", "c", "3", "d"));
  files_refuse(f, PARE_DATA,
               NEEDLES("model.safetensors", "classifier.weight", "expected shape [4, 36]", "found [3, 36]"));
  files_set(f, "num_labels", json_integer(3));
  files_refuse(f, PARE_DATA, NEEDLES("config.json", "id2label names 4 labels", "num_labels says 3"));
  files_set(f, "id2label", json_object());
  pare_model *m = files_model(f, &engine);
  assert_string_equal(m->labels[2], "LABEL_2");
  model_close(m);
  files_close(f);
}

// ---- the directory ----

static void a_tokenizer_beyond_the_vocabulary_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_tokenizer(f);
  pare_model *m = files_model(f, &engine);
  assert_non_null(m->tokenizer);
  model_close(m);
  files_text(
      f, "vocab.txt",
      "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\nu\nv\nw\nx"
      "\ny\nz\naa\nbb\ncc\ndd\nee\nff\ngg\nhh\nii\njj\nkk\nll\nmm\n");
  refuses(f->dir.temp, PARE_DATA, NEEDLES(f->dir.temp, "ids up to 43", "vocab_size is 43"));
  files_close(f);
}

static void paths_that_are_no_model_are_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  char *path = path_join(f->dir.temp, "absent");
  refuses(path, PARE_NOFILE, NEEDLES(path));
  refuses("", PARE_NOFILE, NEEDLES("no such file"));
  refuses(f->dir.temp, PARE_NOFILE, NEEDLES(f->dir.temp)); // empty
  free(path);
  files_write(f);
  path = path_join(f->dir.temp, "config.json"); // a file of the model, but not its weights
  refuses(path, PARE_DATA, NEEDLES(path));
  free(path);
  path = path_join(f->dir.temp, "model.safetensors"); // its weights stand for the directory
  pare_model *m;
  must(model_open(&engine, path, &m, NULL), NULL);
  model_close(m);
  free(path);
  path = path_join(f->dir.temp, "config.json/below");
  refuses(path, PARE_NOFILE, NEEDLES(path));
  free(path);
  files_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_missing_tensor_is_named),
      cmocka_unit_test(a_misshapen_tensor_is_named),
      cmocka_unit_test(a_tensor_of_another_type_is_named),
      cmocka_unit_test(a_transposed_conv1d_is_refused),
      cmocka_unit_test(extra_tensors_are_ignored),
      cmocka_unit_test(a_truncated_file_is_refused),
      cmocka_unit_test(a_config_that_is_no_object_is_refused),
      cmocka_unit_test(a_directory_without_a_config_is_refused),
      cmocka_unit_test(an_unknown_model_type_is_unavailable),
      cmocka_unit_test(sizes_out_of_range_are_named),
      cmocka_unit_test(a_computed_default_is_held_to_its_range),
      cmocka_unit_test(sizes_that_disagree_with_tensors_are_named),
      cmocka_unit_test(labels_must_be_complete),
      cmocka_unit_test(a_tokenizer_beyond_the_vocabulary_is_refused),
      cmocka_unit_test(paths_that_are_no_model_are_refused),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
