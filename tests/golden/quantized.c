// quantized.c - NF4 bytes, magnitudes and values equal bitsandbytes', int4's equal compressed-tensors'; directories
// saved by transformers + bitsandbytes and by compressed-tensors open here and answer as there. Goldens are written by
// tools/golden_nf4.py, tools/golden_int8.py and tools/golden_int4.py.
#include "golden.h"

#include "base/file.h"
#include "model/weights.h"
#include "quant/scheme.h"

static struct tensors blocks;
static const struct kernels *kernels;

static const struct tensor *part(const char *name, const char *suffix) {
  char full[200];
  snprintf(full, sizeof full, "%s.%s", name, suffix);
  const struct tensor *t = tensors_find(&blocks, full);
  if (!t) fail_msg("golden has no %s", full);
  return t;
}

static struct stored source_of(const struct tensor *t) {
  bool known;
  enum part_type type = part_type_of(t->dtype, &known);
  const struct encoding *const floats[] = {&encoding_f32, &encoding_f16, &encoding_bf16};
  struct stored s = {.encoding = floats[type], .N = t->shape[0], .K = t->shape[1], .part_count = 1};
  s.parts[0] =
      (struct part){.suffix = "", .type = type, .rank = 2, .shape = {s.N, s.K}, .data = t->data, .bytes = t->bytes};
  return s;
}

static void same_bytes(const char *name, const char *what, const void *found, const struct tensor *expected) {
  if (!memcmp(found, expected->data, expected->bytes)) return;
  size_t i = 0;
  while (((const uint8_t *)found)[i] == expected->data[i]) i++;
  fail_msg("%s: %s differs from the reference at byte %zu: expected %02x, found %02x", name, what, i, expected->data[i],
           ((const uint8_t *)found)[i]);
}

static void check_values(const char *name, const struct stored *s, const struct tensor *expected) {
  float *row = malloc(s->K * sizeof *row);
  for (size_t n = 0; n < s->N; n++) {
    stored_row(kernels, s, n, row);
    struct tensor line = *expected;
    line.data += n * s->K * 4;
    line.bytes = s->K * 4;
    same_bytes(name, "a dequantized row", row, &line);
  }
  free(row);
}

// Panels hold the same values as rows do, whatever the width.
static void check_packed(const char *name, const struct stored *s) {
  size_t count;
  const struct kernels *const *all = kernels_all(&count);
  float *row = malloc(s->K * sizeof *row), *packed_row = malloc(s->K * sizeof *row);
  for (size_t i = 0; i < count; i++) {
    const struct kernels *k = all[i];
    if (!k->supported()) continue;
    struct arena a;
    struct packed p;
    must(arena_init(&a, s->encoding->packed_bytes(k, s->N, s->K), NULL), NULL);
    stored_pack(k, s, &a, &p);
    for (size_t n = 0; n < s->N; n++) {
      stored_row(k, s, n, row);
      s->encoding->packed_row(k, &p, n, packed_row);
      if (memcmp(row, packed_row, s->K * sizeof *row) != 0)
        fail_msg("%s: %s: packed row %zu differs", name, k->name, n);
    }
    arena_free(&a);
  }
  free(row);
  free(packed_row);
}

static void check_weight(const char *name) {
  struct stored source = source_of(part(name, "input")), s;
  struct pare_error err = {0};
  must(method_rtn.quantize(kernels, &source, &encoding_nf4, name, &s, &err), &err);
  same_bytes(name, "packed codes", s.parts[0].data, part(name, "packed"));
  same_bytes(name, "absmax", s.parts[1].data, part(name, "absmax"));
  check_values(name, &s, part(name, "dequant"));
  check_packed(name, &s);
  stored_free(&s);
  must(method_rtn.quantize(kernels, &source, &encoding_nf4_dq, name, &s, &err), &err);
  same_bytes(name, "packed codes", s.parts[0].data, part(name, "packed"));
  same_bytes(name, "double-quantized offset", &s.nested_offset, part(name, "dq_offset"));
  same_bytes(name, "double-quantized absmax", s.parts[1].data, part(name, "dq_absmax"));
  same_bytes(name, "nested absmax", s.parts[3].data, part(name, "dq_nested_absmax"));
  same_bytes(name, "dynamic map", s.parts[4].data, tensors_find(&blocks, "dynamic_map"));
  check_values(name, &s, part(name, "dq_dequant"));
  check_packed(name, &s);
  stored_free(&s);
}

static void nf4_equals_bitsandbytes(void **state) {
  (void)state;
  struct pare_error err = {0};
  must(kernels_select(NULL, &kernels, &err), &err);
  must(tensors_open(TEST_DIR "/golden/data/nf4/blocks.safetensors", &blocks, &err), &err);
  size_t seen = 0;
  for (size_t i = 0; i < blocks.count; i++) {
    const char *name = blocks.list[i].name, *dot = strstr(name, ".input");
    if (!dot) continue;
    char base[100];
    snprintf(base, sizeof base, "%.*s", (int)(dot - name), name);
    check_weight(base);
    seen++;
  }
  assert_true(seen >= 12);
  tensors_close(&blocks);
}

static void int4_equals_compressed_tensors(void **state) {
  (void)state;
  struct pare_error err = {0};
  must(kernels_select(NULL, &kernels, &err), &err);
  must(tensors_open(TEST_DIR "/golden/data/int4/groups.safetensors", &blocks, &err), &err);
  size_t seen = 0;
  for (size_t i = 0; i < blocks.count; i++) {
    const char *dot = strstr(blocks.list[i].name, ".input");
    if (!dot) continue;
    char name[100];
    snprintf(name, sizeof name, "%.*s", (int)(dot - blocks.list[i].name), blocks.list[i].name);
    struct stored source = source_of(part(name, "input")), s;
    must(method_rtn.quantize(kernels, &source, &encoding_int4, name, &s, &err), &err);
    same_bytes(name, "packed codes", s.parts[0].data, part(name, "packed"));
    same_bytes(name, "scale", s.parts[1].data, part(name, "scale"));
    check_values(name, &s, part(name, "values"));
    check_packed(name, &s);
    stored_free(&s);
    seen++;
  }
  assert_int_equal(seen, 7);
  tensors_close(&blocks);
}

static double budget;

static void check_directory(const char *folder, const json_t *cases) {
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select("scalar", &engine.kernels, &err), &err); // exact on bf16 files too
  pare_model *m;
  must(model_open(&engine, folder, &m, &err), &err);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    struct golden_case c = golden_read(json_array_get(cases, i));
    size_t count;
    float *logits = golden_run(m, &c, &count);
    golden_compare(path_base(folder), json_array_get(cases, i), logits, count, session_columns(m), budget);
    free(logits);
    golden_free(&c);
  }
  model_close(m);
}

static void bitsandbytes_directories_open(void **state) {
  (void)state;
  budget = 2e-4; // the same weights in f32 on both sides
  each_golden(TEST_DIR "/golden/data/nf4", 4, check_directory);
}

static void compressed_tensors_directories_open(void **state) {
  (void)state;
  budget =
      3e-3; // the same rounding of weights and activations; a value on the edge between two steps may fall either way
  each_golden(TEST_DIR "/golden/data/int8", 3, check_directory);
  each_golden(TEST_DIR "/golden/data/int4", 2, check_directory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nf4_equals_bitsandbytes), cmocka_unit_test(int4_equals_compressed_tensors),
      cmocka_unit_test(bitsandbytes_directories_open), cmocka_unit_test(compressed_tensors_directories_open)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
