// quantize_plan.c - which tensor gets which encoding: --keep, --portable per architecture, and what config.json then
// says.
#include "quantize_files.h"

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

// An expectation: weights whose name holds `part` are stored as `encoding`; the first that matches decides, "" is the
// rest.
struct expect {
  const char *part, *encoding;
};

struct checker {
  const struct expect *rules;
  size_t seen[8];
};

static void check_encoding(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  struct checker *c = context;
  size_t i = 0;
  while (!strstr(w->name, c->rules[i].part)) i++;
  c->seen[i]++;
  if (strcmp(w->stored.encoding->name, c->rules[i].encoding) != 0)
    fail_msg("%s: expected %s, found %s", w->name, c->rules[i].encoding, w->stored.encoding->name);
}

// Quantizes, opens (the self-test runs), checks every weight; every rule is used. Returns the written config.json.
static json_t *written(const char *golden, const struct pare_quantize_options *options, const struct expect *rules) {
  struct model_files *f = files_open(golden);
  json_decref(quantize_into(&engine, f, options));
  char *out = path_join(f->dir.temp, "out");
  pare_model *m;
  struct pare_error err = {0};
  must(model_open(&engine, out, &m, &err), &err);
  assert_string_equal(m->scheme, options->scheme);
  struct checker c = {.rules = rules};
  model_each_weight(m, check_encoding, &c);
  for (size_t i = 0; i < 8 && rules[i].part; i++)
    if (!c.seen[i]) fail_msg("%s as %s: no tensor for the rule %s", golden, options->scheme, rules[i].part);
  json_t *config = json_deep_copy(m->config_json);
  model_close(m);
  free(out);
  files_close(f);
  return config;
}

#define EXPECT(...) ((const struct expect[8]){__VA_ARGS__})

// Consumes config.
static void config_says(json_t *config, const char *dtype, const char *quantization) {
  assert_string_equal(json_string_value(json_object_get(config, "dtype")), dtype);
  json_t *expected = quantization ? json_loads(quantization, 0, NULL) : NULL,
         *found = json_object_get(config, "quantization_config");
  if (quantization && !expected) fail_msg("the test's own JSON is wrong: %s", quantization);
  if (expected ? !json_equal(expected, found) : found != NULL) {
    char *text = found ? json_dumps(found, JSON_SORT_KEYS) : NULL;
    fail_msg("quantization_config: expected %s, found %s", quantization ? quantization : "none", text ? text : "none");
  }
  json_decref(expected);
  json_decref(config);
}

// ---- without --portable ----

static void every_matrix_gets_the_scheme(void **state) {
  (void)state;
  static const char *const goldens[] = {"models/gpt2-cls", "models/gpt2-lm", "models/bert", "models/distilbert"};
  for (size_t i = 0; i < 4; i++) {
    const struct expect *rules = i < 2 ? EXPECT({"bias", "f32"}, {"ln_", "f32"}, {"", "nf4"})
                                       : EXPECT({"bias", "f32"}, {"orm.", "f32"}, {"", "nf4"});
    config_says(written(goldens[i], &(struct pare_quantize_options){.scheme = "nf4", .even_if_larger = true}, rules),
                "float32", "{\"quant_method\": \"pare\", \"scheme\": \"nf4\", \"version\": \"" PARE_VERSION "\"}");
  }
}

static void a_cast_is_a_plain_model(void **state) {
  (void)state;
  struct pare_quantize_options options = {.scheme = "f16"};
  config_says(written("models/bert", &options, EXPECT({"", "f16"})), "float16", NULL);
  options.portable = true;
  config_says(written("models/bert", &options, EXPECT({"", "f16"})), "float16", NULL);
  options.scheme = "bf16";
  config_says(written("models/bert", &options, EXPECT({"", "bf16"})), "bfloat16", NULL);
}

static void the_first_keep_rule_that_matches_wins(void **state) {
  (void)state;
  const char *keep[] = {"word_emb.*=f16", "embeddings=int16", "layer\\.1\\..*lin1\\.weight$=nf4", "^classifier=f32"};
  struct pare_quantize_options options = {.scheme = "int8", .keep = keep, .keep_count = 4, .even_if_larger = true};
  // the first part found in a name decides: "classifier" comes after "pre_classifier", which it is part of
  struct expect order[8] = {{"bias", "f32"},
                            {"orm.", "f32"},
                            {"word_embeddings", "f16"},
                            {"position_embeddings", "int16"},
                            {"layer.1.ffn.lin1", "nf4"},
                            {"pre_classifier", "int8"},
                            {"lin", "int8"},
                            {"classifier", "f32"}};
  json_decref(written("models/distilbert", &options, order));
  keep[0] = "embeddings=int16"; // the same two rules the other way round
  keep[1] = "word_emb.*=f16";
  order[2].encoding = "int16";
  json_decref(written("models/distilbert", &options, order));
}

static void broken_keep_rules_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *rule, *needle;
    enum pare_status status;
  } cases[] = {
      {"embeddings", "REGEX=SCHEME", PARE_USAGE},
      {"=f16", "REGEX=SCHEME", PARE_USAGE},
      {"x=", "REGEX=SCHEME", PARE_USAGE},
      {"", "REGEX=SCHEME", PARE_USAGE},
      {"(unclosed=f16", "parenthesis", PARE_USAGE},
      {"[z-a]=f16", "at ", PARE_USAGE},
      {"x=f17", "f17", PARE_USAGE},
      {"x=q4_k", "q4_k is not built yet", PARE_UNAVAILABLE},
      {"x=int8+prune=", "between 0 and 1", PARE_USAGE},
      {"+prune=0.3", "REGEX=SCHEME", PARE_USAGE},
      {"x=int8+prune=1", "between 0 and 1", PARE_USAGE},
      {".*=int8-static", "needs texts to calibrate on", PARE_USAGE},
      {"(*LIMIT_MATCH=5)(.+)+\\d\\d=f16", "cannot be matched", PARE_USAGE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open("models/distilbert");
    struct pare_quantize_options options = {.scheme = "int8", .keep = &cases[i].rule, .keep_count = 1};
    quantize_refused(&engine, f, &options, cases[i].status, NEEDLES(cases[i].needle));
    files_close(f);
  }
}

// ---- --portable ----

#define COMPRESSED(strategy, ignore)                                                                            \
  "{\"quant_method\": \"compressed-tensors\", \"format\": \"int-quantized\", \"quantization_status\": "         \
  "\"compressed\", "                                                                                            \
  "\"ignore\": " ignore                                                                                         \
  ", \"config_groups\": {\"group_0\": {\"targets\": [\"Linear\"], \"format\": \"int-quantized\", "              \
  "\"weights\": {\"num_bits\": 8, \"type\": \"int\", \"symmetric\": true, \"strategy\": \"" strategy            \
  "\", \"dynamic\": false}, "                                                                                   \
  "\"input_activations\": {\"num_bits\": 8, \"type\": \"int\", \"symmetric\": false, \"strategy\": \"token\", " \
  "\"dynamic\": true}}}}"

#define BITSANDBYTES(nested, skip)                                                                                     \
  "{\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true, \"load_in_8bit\": false, \"bnb_4bit_compute_dtype\": " \
  "\"float32\", "                                                                                                      \
  "\"bnb_4bit_quant_storage\": \"uint8\", \"bnb_4bit_quant_type\": \"nf4\", \"bnb_4bit_use_double_quant\": " nested    \
  ", \"llm_int8_threshold\": 6.0, \"llm_int8_enable_fp32_cpu_offload\": false, \"llm_int8_has_fp16_weight\": false, "  \
  "\"llm_int8_skip_modules\": " skip "}"

static void portable_int8(void **state) {
  (void)state;
  struct pare_quantize_options options = {.scheme = "int8", .portable = true};
  const struct expect *encoder = EXPECT({"bias", "f16"}, {"orm.", "f16"}, {"embeddings", "f16"}, {"", "int8"});
  config_says(written("models/distilbert", &options, encoder), "float16", COMPRESSED("channel", "[]"));
  config_says(written("models/bert", &options, encoder), "float16", COMPRESSED("channel", "[]"));
  // Conv1D is no Linear to compressed-tensors
  config_says(written("models/gpt2-cls", &options, EXPECT({"score", "int8"}, {"", "f16"})), "float16",
              COMPRESSED("channel", "[]"));
  config_says(written("models/gpt2-lm-untied", &options, EXPECT({"lm_head", "int8"}, {"", "f16"})), "float16",
              COMPRESSED("channel", "[]"));
  config_says(written("models/gpt2-lm", &options, EXPECT({"", "f16"})), "float16", NULL);
  options.scheme = "int8-tensor";
  config_says(written("models/bert", &options,
                      EXPECT({"bias", "f16"}, {"orm.", "f16"}, {"embeddings", "f16"}, {"", "int8-tensor"})),
              "float16", COMPRESSED("tensor", "[]"));
}

// Rows of 36 and 52 hold no whole group of 128, and Conv1D is no Linear.
static void portable_int4_holds_whole_groups(void **state) {
  (void)state;
  struct pare_quantize_options options = {.scheme = "int4", .portable = true};
  config_says(written("models/distilbert", &options, EXPECT({"", "f16"})), "float16", NULL);
  config_says(written("models/gpt2-cls", &options, EXPECT({"", "f16"})), "float16", NULL);
}

static void portable_nf4(void **state) {
  (void)state;
  struct pare_quantize_options options = {.scheme = "nf4", .portable = true};
  config_says(
      written("models/distilbert", &options,
              EXPECT({"bias", "f16"}, {"orm.", "f16"}, {"embeddings", "f16"}, {"classifier", "f16"}, {"", "nf4"})),
      "float16", BITSANDBYTES("false", "[\"^pre_classifier$\", \"^classifier$\"]"));
  config_says(written("models/bert", &options,
                      EXPECT({"bias", "f16"}, {"orm.", "f16"}, {"embeddings", "f16"}, {"classifier", "f16"},
                             {"pooler", "nf4"}, {"", "nf4"})),
              "float16", BITSANDBYTES("false", "[\"^classifier$\"]"));
  options.scheme = "nf4-dq";
  config_says(written("models/gpt2-cls", &options,
                      EXPECT({"bias", "f16"}, {"ln_", "f16"}, {"wte", "f16"}, {"wpe", "f16"}, {"score", "f16"},
                             {"", "nf4-dq"})),
              "float16", BITSANDBYTES("true", "[\"^score$\"]"));
  config_says(written("models/gpt2-lm", &options,
                      EXPECT({"bias", "f16"}, {"ln_", "f16"}, {"wte", "f16"}, {"wpe", "f16"}, {"", "nf4-dq"})),
              "float16", BITSANDBYTES("true", "[\"lm_head\"]"));
}

static void portable_keeps_f16_only(void **state) {
  (void)state;
  const char *keep[] = {"pre_classifier=f16", "embeddings=int8"};
  struct pare_quantize_options options = {.scheme = "int8", .portable = true, .keep = keep, .keep_count = 2};
  // the scheme itself, where the other tool cannot hold it, is f16 all the same
  config_says(
      written("models/distilbert", &options,
              EXPECT({"bias", "f16"}, {"orm.", "f16"}, {"embeddings", "f16"}, {"pre_classifier", "f16"}, {"", "int8"})),
      "float16", COMPRESSED("channel", "[\"pre_classifier\"]"));
  static const struct {
    const char *scheme, *rule;
  } cases[] = {
      {"int8", "lin=nf4"}, {"int8", "lin=f32"}, {"int8", "lin=int8-tensor"}, {"nf4", "lin=int8"}, {"f16", "lin=int8"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open("models/distilbert");
    options = (struct pare_quantize_options){
        .scheme = cases[i].scheme, .portable = true, .keep = &cases[i].rule, .keep_count = 1};
    quantize_refused(&engine, f, &options, PARE_USAGE, NEEDLES("--keep", cases[i].rule, "portable", cases[i].scheme));
    files_close(f);
  }
}

static void int16_has_no_portable_form(void **state) {
  (void)state;
  struct model_files *f = files_open("models/distilbert");
  quantize_refused(&engine, f, &(struct pare_quantize_options){.scheme = "int16", .portable = true}, PARE_USAGE,
                   NEEDLES("int16", "portable"));
  files_close(f);
}

// ---- names ----

static void schemes_are_checked(void **state) {
  (void)state;
  static const struct {
    const char *scheme, *needle;
    enum pare_status status;
  } cases[] = {{NULL, "no scheme", PARE_USAGE},
               {"int7", "int8-tensor, int8-static, llm-int8, nf4, nf4-dq, int4", PARE_USAGE},
               {"int4:gptq", "int4:gptq is not built yet", PARE_UNAVAILABLE},
               {"int8-static", "needs texts to calibrate on", PARE_USAGE},
               {"int8+prune=1.5", "between 0 and 1", PARE_USAGE},
               {"int8+prune=1e-1", "between 0 and 1", PARE_USAGE},
               {"int8+prunes=0.1", "+prune=SHARE", PARE_USAGE},
               {"q4_k+prune=0.5", "q4_k is not built yet", PARE_UNAVAILABLE}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open("models/distilbert");
    struct pare_quantize_options options = {.scheme = cases[i].scheme};
    quantize_refused(&engine, f, &options, cases[i].status, NEEDLES(cases[i].needle));
    files_close(f);
  }
}

// By the public calls, which choose the writer.
static void formats_are_checked(void **state) {
  (void)state;
  static const struct {
    const char *format, *needle;
    enum pare_status status;
  } cases[] = {{"gguf", "gguf is not built yet", PARE_UNAVAILABLE},
               {"zip", "zip is not known", PARE_USAGE},
               {"", "is not known", PARE_USAGE}};
  struct model_files *f = files_open("models/distilbert");
  files_write(f);
  char *out = path_join(f->dir.temp, "out");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct pare_error err = {0};
    pare_record *record;
    struct pare_quantize_options quantize = {.scheme = "int8", .format = cases[i].format};
    struct pare_convert_options convert = {.format = cases[i].format};
    assert_int_equal(pare_quantize(&engine, f->dir.temp, out, &quantize, &record, &err), cases[i].status);
    assert_non_null(strstr(err.text, cases[i].needle));
    assert_null(record);
    assert_int_equal(pare_convert(&engine, f->dir.temp, out, &convert, &record, &err), cases[i].status);
    assert_null(record);
    assert_false(file_is_dir(out));
  }
  free(out);
  files_close(f);
}

// A source that says how it is quantized but holds plain tensors: the output does not repeat it.
static void a_stale_quantization_config_is_dropped(void **state) {
  (void)state;
  struct model_files *f = files_open("models/distilbert");
  files_set(f, "quantization_config", json_pack("{s:s}", "quant_method", "bitsandbytes"));
  json_decref(quantize_into(&engine, f, &(struct pare_quantize_options){.scheme = "f16"}));
  char *path = path_join(f->dir.temp, "out/config.json");
  json_t *config;
  must(json_file_load(path, &config, NULL), NULL);
  config_says(config, "float16", NULL);
  free(path);
  files_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_matrix_gets_the_scheme),
      cmocka_unit_test(a_cast_is_a_plain_model),
      cmocka_unit_test(the_first_keep_rule_that_matches_wins),
      cmocka_unit_test(broken_keep_rules_are_refused),
      cmocka_unit_test(portable_int8),
      cmocka_unit_test(portable_int4_holds_whole_groups),
      cmocka_unit_test(portable_nf4),
      cmocka_unit_test(portable_keeps_f16_only),
      cmocka_unit_test(int16_has_no_portable_form),
      cmocka_unit_test(schemes_are_checked),
      cmocka_unit_test(formats_are_checked),
      cmocka_unit_test(a_stale_quantization_config_is_dropped),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
