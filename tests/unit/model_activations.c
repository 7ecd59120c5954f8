// model_activations.c - directories that say how activations are quantized (LLM.int8() by bitsandbytes, static ranges
// by compressed-tensors): parts that do not hold are refused by name, thresholds are read, what is no number shows.
#include "model_files.h"

static pare_engine engine;
#define MODULE "bert.encoder.layer.1.output.dense"

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

static void refused_with(const char *source, const char *name, enum dtype dtype, size_t rank, const size_t *shape,
                         const void *data, const char *needle) {
  struct model_files *f = files_open(source);
  files_put(f, name, dtype, rank, shape, data);
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", name, needle));
  files_close(f);
}

static void broken_llm_int8_parts_are_refused(void **state) {
  (void)state;
  static const char source[] = "llm-int8/bert", scb[] = MODULE ".SCB", format[] = MODULE ".weight_format";
  struct model_files *f = files_open(source);
  model_close(files_model(f, &engine));
  files_remove(f, scb);
  files_refuse(f, PARE_DATA, NEEDLES(MODULE ".weight", "with their scales", "I8 alone"));
  files_close(f);
  refused_with(source, scb, DTYPE_F32, 1, (size_t[]){35}, NULL, "expected shape [36], found [35]");
  refused_with(source, scb, DTYPE_F32, 1, (size_t[]){0}, NULL, "found [0]");
  refused_with(source, format, DTYPE_U8, 1, (size_t[]){2}, NULL, "expected shape [], found [2]");
  refused_with(source, format, DTYPE_U8, 1, (size_t[]){0}, NULL, "expected shape [], found [0]");
  refused_with(source, format, DTYPE_U8, 0, NULL, &(uint8_t){3}, "expected 0 (row after row), found 3");
}

static void broken_static_parts_are_refused(void **state) {
  (void)state;
  static const char source[] = "int8/bert-int8-static", scale[] = MODULE ".input_scale";
  static const float values[] = {0, -1, NAN, INFINITY, 1e-39f};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    refused_with(source, scale, DTYPE_F32, 1, (size_t[]){1}, &values[i], "expected a scale above 0");
  refused_with(source, scale, DTYPE_F32, 1, (size_t[]){2}, NULL, "expected shape [1], found [2]");
  refused_with(source, MODULE ".input_zero_point", DTYPE_I8, 1, (size_t[]){36}, NULL, "expected shape [1]");
  // Ranges that are not understood must not be passed over as if there were none.
  struct model_files *f = files_open(source);
  files_remove(f, MODULE ".input_zero_point");
  files_refuse(f, PARE_DATA, NEEDLES(scale, "I8 input_zero_point"));
  files_close(f);
}

static float *logits_of(struct model_files *f, size_t *count) {
  pare_model *m = files_model(f, &engine);
  static uint32_t ids[] = {5, 9, 3, 17, 30, 8, 2};
  struct golden_case c = {.ids = ids, .types = (uint8_t[7]){0}, .len = 7};
  float *logits = golden_run(m, &c, count);
  model_close(m);
  return logits;
}

static json_t *config_with(const json_t *old, json_t *threshold) {
  json_t *q = json_deep_copy(json_object_get(old, "quantization_config"));
  json_object_set_new(q, "llm_int8_threshold", threshold);
  return q;
}

// 6 is what is taken when the file does not say; every other number computes something else, and none fails.
static void the_threshold_is_the_files(void **state) {
  (void)state;
  struct model_files *f = files_open("llm-int8/bert");
  size_t count;
  float *six = logits_of(f, &count);
  json_t *said[] = {json_real(6), json_string("six"), json_null(),      json_real(0),    json_real(-1),
                    json_real(4), json_real(1e30),    json_real(1e-30), json_real(65504)};
  float *none = NULL;
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    files_set(f, "quantization_config", config_with(f->config, said[i]));
    float *found = logits_of(f, &count);
    bool same = memcmp(found, six, count * sizeof *six) == 0;
    for (size_t k = 0; k < count; k++) assert_true(isfinite(found[k]));
    assert_int_equal(same, i < 3);
    if (i == 3) none = found; // without outliers: 0, below 0, and higher than any activation
    if (i == 4 || i == 6 || i == 8) assert_memory_equal(found, none, count * sizeof *six);
    if (i == 7) assert_memory_not_equal(found, none, count * sizeof *six);
    if (i != 3) free(found);
  }
  free(none);
  free(six);
  files_close(f);
}

static void what_is_no_number_shows(void **state) {
  (void)state;
  static const char *const sources[] = {"llm-int8/bert", "int8/bert-int8-static"};
  static const uint16_t no_numbers[] = {0x7e00, 0x7c00};
  for (size_t i = 0; i < 4; i++) {
    struct model_files *f = files_open(sources[i / 2]);
    uint16_t *gain = files_bytes(f, "bert.embeddings.LayerNorm.weight");
    gain[5] = no_numbers[i % 2];
    size_t count;
    float *logits = logits_of(f, &count);
    for (size_t k = 0; k < count; k++) assert_false(isfinite(logits[k]));
    free(logits);
    files_close(f);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(broken_llm_int8_parts_are_refused), cmocka_unit_test(broken_static_parts_are_refused),
      cmocka_unit_test(the_threshold_is_the_files), cmocka_unit_test(what_is_no_number_shows)};
  return cmocka_run_group_tests(tests, setup, NULL);
}
