// models.c - server/models.h: names that come and go, the configurations they keep, and what is told of it.
#include "models.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

struct heard {
  char name[SERVE_NAME_CAP];
  bool ready;
  size_t times;
};

static void hear(void *context, const char *name, bool ready) {
  struct heard *h = context;
  snprintf(h->name, sizeof h->name, "%s", name);
  h->ready = ready;
  h->times++;
}

struct world {
  pare_engine *engine;
  struct models *models;
  struct heard heard;
};

static int begin(void **state) {
  struct world *w = *state = calloc(1, sizeof *w);
  const struct pare_engine_options one = {.threads = 1};
  if (!w || pare_engine_open(&one, &w->engine, NULL)) return -1;
  w->models = models_new(&(struct models_hooks){.engine = w->engine, .ready = hear, .context = &w->heard});
  return w->models ? 0 : -1;
}

static int end(void **state) {
  struct world *w = *state;
  models_free(w->models);
  pare_engine_close(w->engine);
  free(w);
  return 0;
}

static char path[] = PROJECT_DIR "/models/sentiment-linear", name[] = "m", nowhere[] = PROJECT_DIR "/models/nowhere";

static unsigned version(struct world *w) {
  struct served *s = models_find(w->models, name);
  unsigned v = s ? s->version : 0;
  served_release(s);
  return v;
}

static void heard(const struct world *w, size_t times, bool ready) {
  assert_int_equal(w->heard.times, times);
  assert_string_equal(w->heard.name, name);
  assert_int_equal(w->heard.ready, ready);
}

static void come_and_go(void **state) {
  struct world *w = *state;
  struct pare_error err = {0};
  struct serve_model_config c = {.name = name, .path = path};
  assert_false(models_knows(w->models, name));
  assert_null(models_config(w->models, name));
  models_config_release(NULL);
  assert_int_equal(models_load(w->models, &c, &err), PARE_OK);
  heard(w, 1, true);
  assert_true(models_knows(w->models, name));
  assert_int_equal(models_unload(w->models, name, &err), PARE_OK);
  heard(w, 2, false);
  assert_int_equal(models_unload(w->models, name, &err), PARE_NOFILE);
  heard(w, 2, false);
  // Loaded again as it was: the same configuration, whatever became of the one it was given by.
  const struct serve_model_config *kept = models_config(w->models, name);
  assert_string_equal(kept->path, path);
  assert_int_equal(models_load(w->models, kept, &err), PARE_OK);
  struct served *s = models_find(w->models, name);
  assert_ptr_equal(s->config, kept);
  assert_int_equal(s->version, 2);
  models_config_release(kept);
  // Another configuration: who holds the earlier entry keeps its own.
  c.keep_original = true;
  assert_int_equal(models_load(w->models, &c, &err), PARE_OK);
  assert_false(s->config->keep_original);
  served_release(s);
  heard(w, 4, true);
}

static void failures_are_known(void **state) {
  struct world *w = *state;
  struct pare_error err = {0};
  struct known_model *known;
  assert_int_equal(models_known(w->models, &known), 0);
  assert_null(known);
  struct serve_model_config c = {.name = name, .path = nowhere};
  assert_int_equal(models_load(w->models, &c, &err), PARE_NOFILE);
  assert_int_equal(w->heard.times, 0);
  assert_int_equal(models_known(w->models, &known), 1);
  assert_string_equal(known[0].name, name);
  assert_string_equal(known[0].error, err.text);
  free(known);
  c.path = path;
  assert_int_equal(models_load(w->models, &c, &err), PARE_OK);
  assert_int_equal(models_known(w->models, &known), 1);
  assert_string_equal(known[0].error, "");
  free(known);
  assert_int_equal(version(w), 2);
}

// What was made meanwhile is put in place only where nobody changed anything.
static void renewed_only_as_it_was(void **state) {
  struct world *w = *state;
  struct pare_error err = {0};
  struct serve_model_config c = {.name = name, .path = path};
  assert_int_equal(models_load(w->models, &c, &err), PARE_OK);
  const struct serve_model_config *first = models_config(w->models, name);
  assert_int_equal(models_renew(w->models, first, &err), PARE_OK);
  assert_int_equal(version(w), 2);
  c.keep_original = true;
  assert_int_equal(models_load(w->models, &c, &err), PARE_OK);
  assert_int_equal(models_renew(w->models, first, &err), PARE_OK);
  assert_int_equal(version(w), 3);
  models_config_release(first);
  const struct serve_model_config *second = models_config(w->models, name);
  assert_true(second->keep_original);
  assert_int_equal(models_unload(w->models, name, &err), PARE_OK);
  assert_int_equal(models_renew(w->models, second, &err), PARE_OK);
  assert_int_equal(version(w), 0);
  models_config_release(second);
  heard(w, 4, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(come_and_go, begin, end),
      cmocka_unit_test_setup_teardown(failures_are_known, begin, end),
      cmocka_unit_test_setup_teardown(renewed_only_as_it_was, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
