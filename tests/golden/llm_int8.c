// llm_int8.c - LLM.int8() equals bitsandbytes: weights byte for byte, a layer's output within rounding on texts with
// planted outliers, alone and in one ragged batch; directories that transformers and bitsandbytes saved answer as
// there. Goldens are written by tools/golden_llm_int8.py.
#include "golden.h"

#include "base/file.h"
#include "model/weights.h"
#include "quant/scheme.h"

// On a CPU bitsandbytes 0.50.2 multiplies by 6.200124e-05 for 1 / 127^2 = 6.200012e-05: 1.8e-5 of the integer part, and
// some roundings of f32.
#define BUDGET 2.5e-5f

enum { MAX_TEXTS = 8 };
static struct tensors layers;

static const struct tensor *part(const char *name, const char *suffix) {
  char full[200];
  snprintf(full, sizeof full, "%s.%s", name, suffix);
  return tensors_find(&layers, full);
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

// A layer on every table and both thread counts: all texts in one call, as a session hands them over.
struct layer {
  const char *name;
  struct stored weight;
  float *bias, *x; // x: the texts' rows one after another
  size_t offsets[MAX_TEXTS + 1], texts;
};

static float *run_layer(const struct layer *l, const struct kernels *k, size_t threads, size_t first, size_t texts) {
  struct pool *pool;
  struct pare_error err = {0};
  must(pool_open(threads, &pool, &err), &err);
  size_t N = l->weight.N, K = l->weight.K, offsets[MAX_TEXTS + 1], rows;
  for (size_t i = 0; i <= texts; i++) offsets[i] = l->offsets[first + i] - l->offsets[first];
  rows = offsets[texts];
  struct arena arena, memory;
  must(arena_init(&memory, l->weight.encoding->packed_bytes(k, N, K), &err), &err);
  must(arena_init(&arena, nn_input_scratch_bytes(rows, K) + nn_linear_scratch_bytes(k, threads), &err), &err);
  struct weight w = {.name = l->name, .stored = l->weight, .N = N, .K = K, .present = true},
                bias = {.vector = l->bias, .N = N, .K = 1, .present = true};
  stored_pack(k, &l->weight, &memory, &w.packed);
  struct nn_ctx ctx = {.kernels = k, .pool = pool, .arena = &arena, .offsets = offsets, .B = texts};
  float *y = calloc(rows * N, sizeof *y);
  nn_project(&ctx, &w, &bias, l->x + l->offsets[first] * K, rows, ACT_NONE, y);
  arena_free(&arena);
  arena_free(&memory);
  pool_close(pool);
  return y;
}

static void check_outputs(const struct layer *l) {
  size_t count, N = l->weight.N, rows = l->offsets[l->texts];
  const struct kernels *const *all = kernels_all(&count);
  float *expected = run_layer(l, all[0], 1, 0, l->texts);
  for (size_t b = 0; b < l->texts; b++) {
    char suffix[20];
    snprintf(suffix, sizeof suffix, "y.%zu", b);
    const float *y = (const float *)(const void *)part(l->name, suffix)->data;
    float *alone = run_layer(l, all[0], 1, b, 1), most = 1;
    size_t values = (l->offsets[b + 1] - l->offsets[b]) * N;
    for (size_t i = 0; i < values; i++) most = fmaxf(most, fabsf(y[i]));
    for (size_t i = 0; i < values; i++) {
      if (!(fabsf(alone[i] - y[i]) <= BUDGET * most))
        fail_msg("%s: text %zu, value %zu: expected %.9g, found %.9g", l->name, b, i, (double)y[i], (double)alone[i]);
    }
    if (memcmp(alone, expected + l->offsets[b] * N, values * sizeof *alone) != 0)
      fail_msg("%s: text %zu: other bits alone than in the batch", l->name, b);
    free(alone);
  }
  for (size_t t = 0; t < 2 * count; t++) {
    const struct kernels *k = all[t / 2];
    if (!k->supported()) continue;
    float *y = run_layer(l, k, t % 2 + 1, 0, l->texts);
    if (memcmp(y, expected, rows * N * sizeof *y) != 0) fail_msg("%s: other bits with %s", l->name, k->name);
    free(y);
  }
  free(expected);
}

static void check_layer(const char *name) {
  struct stored source = source_of(part(name, "input"));
  struct layer l = {.name = name};
  const struct kernels *k;
  struct pare_error err = {0};
  must(kernels_select("scalar", &k, &err), &err);
  must(method_rtn.quantize(k, &source, &encoding_llm_int8, name, &l.weight, &err), &err);
  l.weight.threshold = LLM_INT8_THRESHOLD;
  assert_memory_equal(l.weight.parts[0].data, part(name, "CB")->data, source.N * source.K);
  assert_memory_equal(l.weight.parts[1].data, part(name, "SCB")->data, source.N * 4);
  l.bias = calloc(source.N, sizeof *l.bias);
  memcpy(l.bias, part(name, "bias")->data, source.N * sizeof *l.bias);
  for (const struct tensor *x;; l.texts++) {
    char suffix[20];
    snprintf(suffix, sizeof suffix, "x.%zu", l.texts);
    if (!(x = part(name, suffix))) break;
    size_t at = l.offsets[l.texts], rows = x->shape[0];
    l.offsets[l.texts + 1] = at + rows;
    l.x = realloc(l.x, (at + rows) * source.K * sizeof *l.x);
    memcpy(l.x + at * source.K, x->data, x->bytes);
  }
  assert_true(l.texts >= 5);
  check_outputs(&l);
  free(l.x);
  free(l.bias);
  stored_free(&l.weight);
}

static void layers_equal_bitsandbytes(void **state) {
  (void)state;
  struct pare_error err = {0};
  must(tensors_open(TEST_DIR "/golden/data/llm-int8/layers.safetensors", &layers, &err), &err);
  size_t seen = 0;
  for (size_t i = 0; i < layers.count; i++) {
    const char *dot = strstr(layers.list[i].name, ".input");
    if (!dot) continue;
    char name[100];
    snprintf(name, sizeof name, "%.*s", (int)(dot - layers.list[i].name), layers.list[i].name);
    check_layer(name);
    seen++;
  }
  assert_true(seen >= 5);
  tensors_close(&layers);
}

// Largest difference over max(1, largest logit).
static double difference(const json_t *expected, const float *logits, size_t rows, size_t columns) {
  const json_t *list = json_object_get(expected, "logits"), *which = json_object_get(expected, "rows");
  double worst = 0, scale = 1;
  for (size_t r = 0; r < json_array_size(list); r++) {
    size_t row = which ? (size_t)json_integer_value(json_array_get(which, r)) : r;
    assert_true(row < rows && json_array_size(json_array_get(list, r)) == columns);
    for (size_t i = 0; i < columns; i++) {
      double e = json_number_value(json_array_get(json_array_get(list, r), i));
      worst = fmax(worst, fabs(e - (double)logits[row * columns + i]));
      scale = fmax(scale, fabs(e));
    }
  }
  return worst / scale;
}

static size_t texts, exact;

// Layer after layer, bitsandbytes' factor and each side's order of sums move activations by 1e-5 or so. One that lies
// on the edge between two codes then falls either way, by a step of 1/127 of its row: rare, so most texts agree
// closely.
static void check_directory(const char *folder, const json_t *cases) {
  pare_engine engine = {0};
  struct pare_error err = {0};
  must(kernels_select("scalar", &engine.kernels, &err), &err);
  pare_model *m;
  must(model_open(&engine, folder, &m, &err), &err);
  assert_string_equal(m->scheme, "llm-int8");
  for (size_t i = 0; i < json_array_size(cases); i++) {
    struct golden_case c = golden_read(json_array_get(cases, i));
    size_t count, columns = session_columns(m);
    float *logits = golden_run(m, &c, &count);
    double off = difference(json_array_get(cases, i), logits, count / columns, columns);
    if (!(off <= 1e-2)) fail_msg("%s: case %zu: off by %g of the largest logit", folder, i, off);
    texts++;
    exact += off <= 5e-5;
    free(logits);
    golden_free(&c);
  }
  model_close(m);
}

static void directories_of_transformers_open(void **state) {
  (void)state;
  each_golden(TEST_DIR "/golden/data/llm-int8", 4, check_directory);
  printf("%zu of %zu texts within 5e-5\n", exact, texts);
  assert_true(texts >= 16 && 2 * exact >= texts);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(layers_equal_bitsandbytes),
                                     cmocka_unit_test(directories_of_transformers_open)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
