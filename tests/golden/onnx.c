// onnx.c - what an exported graph computes: transformers' logits for the goldens (written by tools/golden_models.py),
// pare's own for every form, and in a padded batch what each text gets alone. Computed by onnx_eval.h in double;
// onnxruntime itself is asked by `./check --interop`.
#include "onnx_eval.h"

#include "export/onnx.h"

static const double BUDGET = 2e-4; // x max(1, max |logit|), as golden/models.c

enum { CASES_MAX = 4, PADDING = 3, JUNK_ID = 7 };

struct exported {
  struct outdir dir;
  struct mapping map;
  Onnx__ModelProto *model;
};

static char *written(const struct exported *x) {
  char *path = path_join(x->dir.temp, "onnx/model.onnx");
  if (file_exists(path)) return path;
  free(path);
  return path_join(x->dir.temp, "onnx/model_quantized.onnx");
}

static struct exported export_folder(pare_engine *engine, const char *folder, struct pare_quantize_options options) {
  struct exported x;
  struct pare_error err = {0};
  must(dir_create_temp(&x.dir, &err), &err);
  char *out = path_join(x.dir.temp, "onnx"), *own = path_join(x.dir.temp, "own");
  json_t *record;
  options.even_if_larger = true;
  must(quantize_write(&(struct quantize_job){engine, folder, out, &options, &writer_onnx, NULL}, &record, &err), &err);
  json_decref(record);
  must(quantize_model(engine, folder, own, &options, &record, &err), &err);
  json_decref(record);
  char *file = written(&x);
  must(file_map(file, &x.map, &err), &err);
  x.model = onnx__model_proto__unpack(NULL, x.map.len, x.map.data);
  assert_non_null(x.model);
  free(file);
  free(own);
  free(out);
  return x;
}

static pare_model *own_model(pare_engine *engine, const struct exported *x) {
  struct pare_error err = {0};
  char *own = path_join(x->dir.temp, "own");
  pare_model *m;
  must(model_open(engine, own, &m, &err), &err);
  free(own);
  return m;
}

static void export_close(struct exported *x) {
  onnx__model_proto__free_unpacked(x->model, NULL);
  file_unmap(&x->map);
  dir_discard(&x->dir);
}

// The texts as one batch, padded on one side; logits of text b at rows[b] of the output, `count` of them.
struct answers {
  float *logits[CASES_MAX];
  size_t count[CASES_MAX];
};

static struct answers evaluate(const struct exported *x, const struct golden_case *cases, size_t B, size_t padding,
                               bool left) {
  static struct eval e;
  size_t T = 0;
  for (size_t b = 0; b < B; b++) T = cases[b].len > T ? cases[b].len : T;
  T += padding;
  double *ids = malloc(B * T * sizeof *ids), *mask = calloc(B * T, sizeof *mask), *types = calloc(B * T, sizeof *types);
  for (size_t b = 0; b < B; b++) {
    for (size_t t = 0; t < T; t++) ids[b * T + t] = JUNK_ID;
    for (size_t t = 0; t < cases[b].len; t++) {
      size_t at = b * T + t + (left ? T - cases[b].len : 0);
      ids[at] = cases[b].ids[t];
      types[at] = cases[b].types[t];
      mask[at] = 1;
    }
  }
  const struct value *out = eval_run(&e, x->model->graph, B, T, (const double *const[]){ids, mask, types});
  struct answers a;
  size_t row = out->dims[out->rank - 1];
  for (size_t b = 0; b < B; b++) {
    size_t begin = out->rank == 2 ? b * row : (b * T + (left ? T - cases[b].len : 0)) * row;
    a.count[b] = out->rank == 2 ? row : cases[b].len * row;
    a.logits[b] = malloc(a.count[b] * sizeof(float));
    for (size_t i = 0; i < a.count[b]; i++) a.logits[b][i] = (float)out->x[begin + i];
  }
  eval_close(&e);
  free(ids);
  free(mask);
  free(types);
  return a;
}

static void answers_free(struct answers *a, size_t B) {
  for (size_t b = 0; b < B; b++) free(a->logits[b]);
}

// Largest difference divided by max(1, max |expected|).
static double difference(const float *expected, const float *found, size_t count) {
  double worst = 0, scale = 1;
  for (size_t i = 0; i < count; i++) {
    worst = fmax(worst, fabs((double)expected[i] - (double)found[i]));
    scale = fmax(scale, fabs((double)expected[i]));
  }
  return worst / scale;
}

// ---- against transformers ----

static void check_folder(const char *folder, const json_t *cases) {
  if (!strncmp(path_base(folder), "bart", 4)) return; // not a form ONNX is written for: unit/onnx has the refusal
  pare_engine engine = {0};
  must(kernels_select("scalar", &engine.kernels, NULL), NULL);
  struct exported x = export_folder(&engine, folder, (struct pare_quantize_options){.scheme = "f32"});
  pare_model *m = own_model(&engine, &x);
  for (size_t i = 0; i < json_array_size(cases); i++) {
    struct golden_case c = golden_read(json_array_get(cases, i));
    struct answers a = evaluate(&x, &c, 1, 0, false);
    golden_compare(path_base(folder), json_array_get(cases, i), a.logits[0], a.count[0], session_columns(m), BUDGET);
    answers_free(&a, 1);
    golden_free(&c);
  }
  model_close(m);
  export_close(&x);
}

static void f32_graphs_give_the_logits_of_transformers(void **state) {
  (void)state;
  each_golden(TEST_DIR "/golden/data/models", 15, check_folder);
}

// ---- against pare, every form ----

struct form {
  struct pare_quantize_options options;
  double budget;  // of most texts
  double largest; // of any
};
// int8 per token is pare's formula; an activation at the edge of a step may fall to the other side, and then the text
// is off by the size of a step. DynamicQuantizeLinear rounds all tokens with one scale, pare each with its own.
static const struct form forms[] = {{{.scheme = "f32"}, 2e-5, 2e-5},
                                    {{.scheme = "f16"}, 2e-5, 2e-5},
                                    {{.scheme = "bf16"}, 2e-5, 2e-5},
                                    {{.scheme = "int8", .onnx_per_token = true}, 2e-5, 3e-2},
                                    {{.scheme = "int8-tensor", .onnx_per_token = true}, 2e-5, 3e-2},
                                    {{.scheme = "int8"}, 8e-2, 0.2},
                                    {{.scheme = "int8-tensor"}, 8e-2, 0.2}};

static size_t read_cases(const json_t *list, struct golden_case *cases) {
  size_t n = 0;
  for (size_t i = 0; i < json_array_size(list) && n < CASES_MAX; i++) {
    const json_t *ids = json_object_get(json_array_get(list, i), "ids");
    if (json_array_size(ids) < 60) cases[n++] = golden_read(json_array_get(list, i)); // room for padding
  }
  return n;
}

static void check_form(pare_engine *engine, const char *folder, const struct form *form,
                       const struct golden_case *cases, size_t n) {
  struct exported x = export_folder(engine, folder, form->options);
  pare_model *m = own_model(engine, &x);
  bool batch = form->options.onnx_per_token || strncmp(form->options.scheme, "int8", 4) != 0;
  size_t close = 0;
  struct answers right = evaluate(&x, cases, n, PADDING, false), left = evaluate(&x, cases, n, PADDING, true);
  for (size_t b = 0; b < n; b++) {
    size_t count;
    float *ours = golden_run(m, &cases[b], &count);
    struct answers alone = evaluate(&x, &cases[b], 1, 0, false);
    assert_int_equal(alone.count[0], count);
    double d = difference(ours, alone.logits[0], count);
    if (!(d <= form->largest)) fail_msg("%s, %s: text %zu is off by %.2g", folder, form->options.scheme, b, d);
    close += d <= form->budget;
    // Padding and neighbours change nothing but the order of sums of zeros.
    d = difference(alone.logits[0], right.logits[b], count);
    if (batch && !(d <= 1e-6)) fail_msg("%s, %s: text %zu, padded: %.2g", folder, form->options.scheme, b, d);
    d = difference(alone.logits[0], left.logits[b], count);
    if (batch && m->arch->decoder && !(d <= 1e-6))
      fail_msg("%s, %s: text %zu, padded left: %.2g", folder, form->options.scheme, b, d);
    answers_free(&alone, 1);
    free(ours);
  }
  if (2 * close < n) fail_msg("%s, %s: only %zu of %zu texts agree", folder, form->options.scheme, close, n);
  answers_free(&right, n);
  answers_free(&left, n);
  model_close(m);
  export_close(&x);
}

static void every_form_gives_pares_answers(void **state) {
  (void)state;
  static const char *const folders[] = {
      "bert",     "bert-gelu-new",         "bert-relu",       "bert-tanh",     "distilbert", "gpt2-lm",
      "gpt2-cls", "gpt2-lm-inverse-layer", "gpt2-cls-no-pad", "gpt2-lm-untied"};
  pare_engine engine = {0};
  must(kernels_select("scalar", &engine.kernels, NULL), NULL);
  for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
    char folder[1024], file[1100];
    snprintf(folder, sizeof folder, "%s/golden/data/models/%s", TEST_DIR, folders[i]);
    snprintf(file, sizeof file, "%s/golden.json", folder);
    json_t *list = json_load_file(file, 0, NULL);
    struct golden_case cases[CASES_MAX];
    size_t n = read_cases(list, cases);
    assert_int_equal(n, CASES_MAX);
    for (size_t j = 0; j < sizeof forms / sizeof forms[0]; j++) check_form(&engine, folder, &forms[j], cases, n);
    for (size_t b = 0; b < n; b++) golden_free(&cases[b]);
    json_decref(list);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f32_graphs_give_the_logits_of_transformers),
      cmocka_unit_test(every_form_gives_pares_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
