// config.c - the server's configuration: defaults, every key, what wins over what, and that what is printed loads to
// the same.
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "config_files.h"

// ---- values ----

static void defaults_are_those_promised(void **state) {
  (void)state;
  struct serve_config c;
  loads("models: [a]\n", &c);
  assert_string_equal(c.host, "127.0.0.1");
  assert_int_equal(c.port, 8080);
  assert_int_equal(c.threads, 0);
  assert_int_equal(c.http_threads, 1);
  assert_null(c.isa);
  assert_int_equal(c.api_key_count, 0);
  assert_true(c.use_quantization && c.prefix_reuse && c.log_requests);
  assert_int_equal(c.batch_tokens, 384);
  assert_int_equal(c.batch_wait_us, 0);
  assert_int_equal(c.streams, 8);
  assert_int_equal(c.step_tokens, 256);
  assert_int_equal(c.cache_bytes, 64 << 20);
  const struct serve_limits *l = &c.limits;
  assert_int_equal(l->body_bytes, 2048 << 10);
  assert_int_equal(l->header_bytes, 16 << 10);
  assert_int_equal(l->connections, 4096);
  assert_int_equal(l->queue, 512);
  assert_int_equal(l->queue_tokens, 65536);
  assert_int_equal(l->texts, 128);
  assert_int_equal(l->max_tokens, 1024);
  assert_int_equal(l->header_ms, 10000);
  assert_int_equal(l->body_ms, 30000);
  assert_int_equal(l->idle_ms, 60000);
  assert_int_equal(l->timeout_ms, 60000);
  assert_int_equal(l->drain_ms, 30000);
  assert_int_equal(c.model_count, 1);
  const struct serve_model_config *m = &c.models[0];
  assert_string_equal(m->name, "a");
  assert_string_equal(m->path, "/shipped/a");
  assert_null(m->quantized);
  assert_null(m->scheme);
  assert_true(m->use_quantization);
  assert_false(m->keep_original);
  const struct rollout_config *r = &m->rollout;
  assert_int_equal(r->mode, ROLLOUT_QUANTIZED);
  assert_true(r->quantized_share == 0.5 && r->shadow_share == 0 && r->min_agreement == 0);
  assert_true(r->max_confidence_shift == 0 && r->max_error_rate == 0.05 && r->p95_ms == 0 && r->confidence == 0.95);
  assert_int_equal(r->shadow_pending, 64);
  assert_int_equal(r->min_samples, 200);
  assert_true(r->automatic && !r->promote);
  serve_config_free(&c);
  serve_config_free(&c); // zeroed
}

// "a.b.c" and a value as YAML lines; the value is on the last. Returns that line's number.
static int nest(const char *path, const char *value, const char *above, char *out, size_t cap) {
  int line = 1, n = snprintf(out, cap, "%s", above);
  for (const char *p = above; *p; p++) line += *p == '\n';
  int columns = above[0] == 'm' ? 4 : 0; // below a model
  const char *step = path;
  for (const char *dot; (dot = strchr(step, '.')); step = dot + 1, columns += 2, line++)
    n += snprintf(out + n, cap - (size_t)n, "%*s%.*s:\n", columns, "", (int)(dot - step), step);
  snprintf(out + n, cap - (size_t)n, "%*s%s: %s\n", columns, "", step, value);
  return line;
}

static size_t different_lines(const char *a, const char *b) {
  size_t count = 0;
  while (*a && *b) {
    size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
    if (n != m || memcmp(a, b, n) != 0) count++;
    a += n + (a[n] == '\n');
    b += m + (b[m] == '\n');
  }
  return *a || *b ? SIZE_MAX : count;
}

static const char with_model[] = "# a comment\nmodels: [a]\n"; // the first character says that it is the top
static const char in_model[] = "models:\n  - name: a\n";

// Each end of a range is taken and stored in that key's place alone; beyond it, and what is no number, is refused.
static void check_number(const struct config_key *k, const char *above, const char *basis) {
  char text[600], number[40], expected[80], message[400];
  config_key_expected(k, expected, sizeof expected);
  bool shadow = strstr(k->path, "agreement") || strstr(k->path, "confidence_shift");
  const double ends[] = {k->least, k->most};
  for (size_t i = 0; i < 2 && !shadow; i++) {
    struct serve_config c;
    snprintf(number, sizeof number, "%.10g", ends[i]);
    nest(k->path, number, above, text, sizeof text);
    loads(text, &c);
    char *now = printed(&c);
    if (above == with_model) assert_int_equal(different_lines(basis, now), ends[i] != k->initial);
    const char *step = strrchr(k->path, '.') ? strrchr(k->path, '.') + 1 : k->path;
    char line[120];
    snprintf(line, sizeof line, "%s: %s", step, number);
    if (above == with_model && !strstr(now, line)) fail_msg("%s not in %s", line, now);
    free(now);
    serve_config_free(&c);
  }
  char beyond[4][40] = {"", "", ".nan", "\"1\""};
  snprintf(beyond[0], sizeof beyond[0], "%.10g", k->least - 1);
  snprintf(beyond[1], sizeof beyond[1], "%.10g", k->most * 2);
  for (size_t i = 0; i < 4; i++) {
    int line = nest(k->path, beyond[i], above, text, sizeof text);
    const char *prefix = above == in_model ? "models.0." : "";
    snprintf(message, sizeof message, "%s%s: expected %s, found %s", prefix, k->path, expected,
             i == 3 ? "1" : beyond[i]);
    refused(text, line, message);
  }
  if (k->kind == KEY_REAL) return;
  int line = nest(k->path, "1.5", above, text, sizeof text);
  snprintf(message, sizeof message, "%s%s: expected %s, found 1.5", above == in_model ? "models.0." : "", k->path,
           expected);
  refused(text, line, message);
}

static void check_word(const struct config_key *k, const char *above, const char *basis) {
  static const char *const flags[] = {"true", "false", NULL};
  static const char *const modes[] = {"quantized", "original", "ab", NULL};
  char text[600], expected[80], message[400];
  config_key_expected(k, expected, sizeof expected);
  const char *const *words = k->kind == KEY_FLAG ? flags : modes;
  for (size_t i = 0; words[i]; i++) {
    struct serve_config c;
    nest(k->path, words[i], above, text, sizeof text);
    if (strstr(k->path, "promote") && i == 0) continue;
    if (strstr(k->path, "use_quantization")) continue; // it changes a model too
    loads(text, &c);
    char *now = printed(&c);
    bool initial = k->kind == KEY_FLAG ? (i == 0) == (k->initial != 0) : i == (size_t)k->initial;
    if (above == with_model) assert_int_equal(different_lines(basis, now), !initial);
    free(now);
    serve_config_free(&c);
  }
  static const char *const wrong[] = {"1", "yes", "\"true\"", "[]", ""};
  static const char *const found[] = {"1", "yes", "true", "an empty list", "nothing"};
  for (size_t i = 0; i < 5; i++) {
    int line = nest(k->path, wrong[i], above, text, sizeof text);
    snprintf(message, sizeof message, "%s%s: expected %s, found %s", above == in_model ? "models.0." : "", k->path,
             expected, found[i]);
    refused(text, line, message);
  }
}

static void every_key_is_read_where_it_belongs(void **state) {
  (void)state;
  struct serve_config c;
  loads(with_model, &c);
  char *basis = printed(&c);
  serve_config_free(&c);
  const struct key_scope *const scopes[] = {&config_server_keys, &config_model_keys};
  for (size_t s = 0; s < 2; s++) {
    for (size_t i = 0; i < config_key_count(scopes[s]); i++) {
      size_t at;
      const struct config_key *k = config_key_at(scopes[s], i, &at);
      const char *above = s ? in_model : with_model;
      if (k->kind <= KEY_REAL) check_number(k, above, basis);
      if (k->kind == KEY_FLAG || k->kind == KEY_MODE) check_word(k, above, basis);
    }
  }
  free(basis);
}

static void keys_of_the_shadow(void **state) {
  (void)state;
  struct serve_config c;
  loads(
      "models: [a]\nrollout:\n  shadow: {share: 0.25}\n  promote: true\n"
      "  limits: {agreement: 0.97, confidence_shift: 0.02}\n",
      &c);
  const struct rollout_config *r = &c.models[0].rollout;
  assert_true(r->promote && r->min_agreement == 0.97 && r->max_confidence_shift == 0.02 && r->shadow_share == 0.25);
  serve_config_free(&c);
  refused("models: [a]\nrollout:\n  promote: true\n", 3,
          "rollout.promote: expected rollout.shadow.share above 0 beside it, found 0 for model a");
  refused("models:\n  - name: a\n    rollout:\n      limits:\n        agreement: 0.9\n", 5,
          "models.0.rollout.limits.agreement: expected rollout.shadow.share above 0");
  refused(
      "models: [{name: b, rollout: {shadow: {share: 0}}}]\nrollout:\n  shadow: {share: 1}\n"
      "  limits: {confidence_shift: 0.1}\n",
      4, "rollout.limits.confidence_shift: expected rollout.shadow.share above 0 beside it, found 0 for model b");
  refused("models: [a]\nrollout:\n  shadow: {share: 1}\n  limits: {error_rate: 0}\n  promote: true\n", 5,
          "rollout.promote: expected a limit above 0 in rollout.limits beside it, found none for model a");
  loads("models: [a]\nuse_quantization: false\nrollout: {promote: true}\n", &c); // nothing is rolled out
  serve_config_free(&c);
}

static void units_are_bytes(void **state) {
  (void)state;
  struct serve_config c;
  loads("models: [a]\ncache: {mb: 3}\nlimits: {body_kb: 5, header_kb: 7}\n", &c);
  assert_int_equal(c.cache_bytes, 3 << 20);
  assert_int_equal(c.limits.body_bytes, 5 << 10);
  assert_int_equal(c.limits.header_bytes, 7 << 10);
  serve_config_free(&c);
}

// ---- what wins ----

static void a_models_keys_go_before_the_general_ones(void **state) {
  (void)state;
  struct serve_config c;
  loads(
      "models:\n- a\n- {name: b, use_quantization: true, rollout: {mode: ab, limits: {p95_ms: 7.5}}}\n"
      "- {name: c, rollout: {mode: ab}}\n- {name: d, use_quantization: true, keep_original: true}\n"
      "use_quantization: false\nrollout: {min_samples: 9, limits: {p95_ms: 3, error_rate: 0.5}}\n",
      &c);
  const struct serve_model_config *m = c.models;
  assert_true(!m[0].use_quantization && m[0].rollout.mode == ROLLOUT_ORIGINAL && m[0].rollout.p95_ms == 3);
  assert_true(m[1].use_quantization && m[1].rollout.mode == ROLLOUT_AB && m[1].rollout.p95_ms == 7.5);
  assert_true(m[1].rollout.min_samples == 9 && m[1].rollout.max_error_rate == 0.5);
  assert_true(!m[2].use_quantization && m[2].rollout.mode == ROLLOUT_ORIGINAL);
  assert_true(m[3].rollout.mode == ROLLOUT_QUANTIZED && m[3].keep_original && !m[2].keep_original);
  serve_config_free(&c);
}

static const char served[] =
    "listen: 1\nthreads: 3\napi_keys: [of-file]\nmodels:\n- {name: a, path: /of/a, keep_original: true}\n"
    "- {name: b, path: /of/b, use_quantization: true}\ncache: {mb: 1}\n";

static void the_command_line_wins(void **state) {
  (void)state;
  struct serve_config c;
  struct pare_error err;
  const char *keys[] = {"k1", "k2"};
  struct serve_flags f = {.listen = "[::1]:2",
                          .threads = 5,
                          .isa = "scalar",
                          .api_keys = keys,
                          .api_key_count = 2,
                          .original = true,
                          .no_cache = true,
                          .quiet = true};
  assert_int_equal(load_with(served, &f, &c, &err), PARE_OK);
  assert_string_equal(c.host, "::1");
  assert_int_equal(c.port, 2);
  assert_int_equal(c.threads, 5);
  assert_string_equal(c.isa, "scalar");
  assert_int_equal(c.api_key_count, 2);
  assert_string_equal(c.api_keys[1], "k2");
  assert_true(!c.use_quantization && !c.models[0].use_quantization && !c.models[1].use_quantization);
  assert_int_equal(c.models[1].rollout.mode, ROLLOUT_ORIGINAL);
  assert_true(c.cache_bytes == 0 && !c.log_requests && c.model_count == 2);
  serve_config_free(&c);

  const char *words[] = {"/new/b", "x=agnews", "a", "/p=q/e", "y=/p=q"};
  f = (struct serve_flags){.models = words, .model_count = 5};
  assert_int_equal(load_with(served, &f, &c, &err), PARE_OK);
  static const char *const names[] = {"b", "x", "a", "e", "y"};
  static const char *const paths[] = {"/new/b", "/shipped/agnews", "/of/a", "/p=q/e", "/p=q"};
  assert_int_equal(c.model_count, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_string_equal(c.models[i].name, names[i]);
    assert_string_equal(c.models[i].path, paths[i]);
  }
  assert_true(c.models[2].keep_original && !c.models[0].keep_original && !c.models[1].keep_original);
  serve_config_free(&c);
}

static void mistakes_of_the_command_line(void **state) {
  (void)state;
  struct serve_config c;
  const char *twice[] = {"a", "/x/a"}, *spaces[] = {"my model"}, *absent[] = {"absent"}, *stars[] = {"***"};
  const struct {
    struct serve_flags flags;
    enum pare_status status;
    const char *text;
  } bad[] = {
      {{.listen = "nowhere"}, PARE_USAGE, "--listen: expected HOST:PORT, [IPV6]:PORT or PORT, found 'nowhere'"},
      {{.threads = 5000}, PARE_USAGE, "--threads: expected at most 1024, found 5000"},
      {{.isa = "avx3"}, PARE_USAGE, "unknown instruction set 'avx3'"},
      {{.models = twice, .model_count = 2}, PARE_USAGE, "MODEL a is named twice"},
      {{.models = spaces, .model_count = 1}, PARE_USAGE, "MODEL my model: expected a name"},
      {{.models = absent, .model_count = 1}, PARE_NOFILE, "no model 'absent'"},
      {{.api_keys = stars, .api_key_count = 1}, PARE_USAGE, "--api-key: expected 1 to 256"},
      {{0}, PARE_USAGE, "expected a MODEL or -c FILE"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct pare_error err = {0};
    const struct serve_paths paths = {.find = find};
    assert_int_equal(serve_config_load(NULL, &bad[i].flags, &paths, &c, &err), bad[i].status);
    assert_non_null(strstr(err.text, bad[i].text));
    if (bad[i].flags.model_count || i == 7) continue;
    assert_int_equal(load_with(served, &bad[i].flags, &c, &err), bad[i].status); // the same above a file
    assert_non_null(strstr(err.text, bad[i].text));
  }
  const char *words[] = {"agnews"};
  assert_int_equal(serve_config_load(NULL, &(struct serve_flags){.models = words, .model_count = 1}, NULL, &c, NULL),
                   PARE_OK);
  assert_string_equal(c.models[0].path, "agnews");
  serve_config_free(&c);
  assert_int_equal(serve_config_load("/no/such.yaml", NULL, NULL, &c, NULL), PARE_NOFILE);
}

// ---- printing ----

static void set_all(const struct key_scope *s, void *values, unsigned seed) {
  for (size_t i = 0; i < config_key_count(s); i++) {
    size_t at;
    const struct config_key *k = config_key_at(s, i, &at);
    void *place = (char *)values + at;
    double u = (double)((seed + i) * 2654435761u % 1000003u) / 1000003;
    double number = k->least + u * (k->most - k->least);
    if (k->kind == KEY_REAL) assert_true(config_key_store_number(k, number, place));
    if (k->kind < KEY_REAL) assert_true(config_key_store_number(k, (double)(uint64_t)number, place));
    if (k->kind == KEY_FLAG) *(bool *)place = u < 0.5;
    if (k->kind == KEY_MODE) *(enum rollout_mode *)place = (enum rollout_mode)(u * 3);
  }
}

static void same_numbers(const struct key_scope *s, const void *a, const void *b) {
  for (size_t i = 0; i < config_key_count(s); i++) {
    size_t at, bytes = 0;
    const struct config_key *k = config_key_at(s, i, &at);
    if (k->kind == KEY_SIZE) bytes = sizeof(size_t);
    if (k->kind == KEY_U32) bytes = sizeof(uint32_t);
    if (k->kind == KEY_REAL) bytes = sizeof(double);
    if (k->kind == KEY_FLAG) bytes = sizeof(bool);
    if (k->kind == KEY_MODE) bytes = sizeof(enum rollout_mode);
    if (memcmp((const char *)a + at, (const char *)b + at, bytes) != 0) fail_msg("%s differs", k->path);
  }
}

// Random values in every key, two models, texts that YAML would read otherwise.
static void what_is_printed_loads_to_the_same(void **state) {
  (void)state;
  for (unsigned seed = 1; seed <= 20; seed++) {
    struct serve_config c, again;
    loads(
        "listen: '[::1]:81'\nisa: scalar\nmodels:\n- {name: a, path: /a, quantized: /q, scheme: int8+prune=0.3}\n"
        "- {name: org/b, path: \"/x/\\\"ü\\u2028\\t\\x7f\\x85\\uFEFF \\\\ #'\"}\n",
        &c);
    set_all(&config_server_keys, &c, seed * 1000);
    for (size_t i = 0; i < 2; i++) {
      set_all(&config_model_keys, &c.models[i], seed * 1000 + 100 * (unsigned)i);
      if (!c.models[i].use_quantization) c.models[i].rollout.mode = ROLLOUT_ORIGINAL;
    }
    char *text = printed(&c);
    loads(text, &again);
    same_numbers(&config_server_keys, &c, &again);
    assert_string_equal(again.host, "::1");
    assert_int_equal(again.port, 81);
    assert_string_equal(again.isa, "scalar");
    assert_int_equal(again.model_count, 2);
    for (size_t i = 0; i < 2; i++) {
      same_numbers(&config_model_keys, &c.models[i], &again.models[i]);
      assert_string_equal(again.models[i].name, c.models[i].name);
      assert_string_equal(again.models[i].path, c.models[i].path);
    }
    assert_string_equal(again.models[0].quantized, "/q");
    assert_string_equal(again.models[0].scheme, "int8+prune=0.3");
    assert_null(again.models[1].quantized);
    char *twice = printed(&again);
    assert_string_equal(twice, text);
    free(twice);
    free(text);
    serve_config_free(&again);
    serve_config_free(&c);
  }
}

// ---- documents ----

static char *read_project(const char *name) {
  struct pare_error err;
  struct mapping m;
  char *path = path_join(PROJECT_DIR, name);
  if (file_map(path, &m, &err)) fail_msg("%s", err.text);
  char *text = strndup((const char *)m.data, m.len);
  file_unmap(&m);
  free(path);
  return text;
}

static void needs_row(const char *page, const struct config_key *k) {
  char value[80], initial[80], row[400];
  config_key_expected(k, value, sizeof value);
  snprintf(initial, sizeof initial, "%.10g", k->initial);
  const char *preset = k->preset ? k->preset : initial;
  if (!k->preset && k->kind == KEY_FLAG) preset = k->initial != 0 ? "true" : "false";
  if (!k->preset && k->kind == KEY_MODE) preset = config_mode_names[(size_t)k->initial];
  snprintf(row, sizeof row, "\n| `%s` | %s | %s | %s |\n", k->path, value, preset, k->help);
  if (!strstr(page, row)) fail_msg("docs/serve.md lacks this row: %s", row);
}

static void the_page_has_every_key(void **state) {
  (void)state;
  char *page = read_project("docs/serve.md"), *example = read_project("docs/pare.yaml");
  size_t at;
  for (size_t i = 0; i < config_key_count(&config_server_keys); i++)
    needs_row(page, config_key_at(&config_server_keys, i, &at));
  for (size_t i = 0; i < config_model_keys.own_count; i++) needs_row(page, &config_model_keys.own[i]);
  if (!strstr(page, example)) fail_msg("docs/serve.md shows another example than docs/pare.yaml");
  struct serve_config c;
  loads(example, &c);
  assert_int_equal(c.model_count, 2);
  assert_int_equal(c.api_key_count, 1);
  assert_true(c.models[1].rollout.mode == ROLLOUT_AB && c.models[1].rollout.min_agreement == 0.98);
  serve_config_free(&c);
  free(example);
  free(page);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_are_those_promised),
      cmocka_unit_test(every_key_is_read_where_it_belongs),
      cmocka_unit_test(keys_of_the_shadow),
      cmocka_unit_test(units_are_bytes),
      cmocka_unit_test(a_models_keys_go_before_the_general_ones),
      cmocka_unit_test(the_command_line_wins),
      cmocka_unit_test(mistakes_of_the_command_line),
      cmocka_unit_test(what_is_printed_loads_to_the_same),
      cmocka_unit_test(the_page_has_every_key),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
