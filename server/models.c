// models.c - see models.h. The list is looked at under a lock and held by reference counts, so that swapping an entry
// waits for nobody. The last configuration of a name is kept: one that was unloaded may be loaded again.
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "shrunk.h"

// One configuration; who is opened under it and the name it is the last of hold it.
struct kept_config {
  struct serve_model_config config; // first: served.config points here
  atomic_size_t references;
};

// A name that is or was here.
struct known {
  struct kept_config *config; // of its last load
  unsigned loads;
  struct pare_error error; // of its last load
  struct known *next;
};

struct models {
  struct models_hooks hooks;
  pthread_mutex_t lock;
  struct served **list;
  size_t count;
  struct known *known; // the oldest first
};

// ---- configurations -----------------------------------------------------------------------------------------------

static void config_release(struct kept_config *k) {
  if (!k || atomic_fetch_sub(&k->references, 1) != 1) return;
  free(k->config.name);
  free(k->config.path);
  free(k->config.quantized);
  free(k->config.scheme);
  free(k);
}

static struct kept_config *config_hold(struct kept_config *k) {
  atomic_fetch_add_explicit(&k->references, 1, memory_order_relaxed);
  return k;
}

static char *copy(const char *text, bool *ok) {
  char *out = text ? strdup(text) : NULL;
  if (text && !out) *ok = false;
  return out;
}

static struct kept_config *config_copy(const struct serve_model_config *from) {
  struct kept_config *k = calloc(1, sizeof *k);
  if (!k) return NULL;
  bool ok = true;
  atomic_init(&k->references, 1);
  k->config = *from;
  k->config.name = copy(from->name, &ok);
  k->config.path = copy(from->path, &ok);
  k->config.quantized = copy(from->quantized, &ok);
  k->config.scheme = copy(from->scheme, &ok);
  if (ok) return k;
  config_release(k);
  return NULL;
}

static struct known *known_of(const struct models *m, const char *name) {
  struct known *k = m->known;
  while (k && strcmp(k->config->config.name, name)) k = k->next;
  return k;
}

bool models_knows(struct models *m, const char *name) {
  pthread_mutex_lock(&m->lock);
  bool found = known_of(m, name) != NULL;
  pthread_mutex_unlock(&m->lock);
  return found;
}

const struct serve_model_config *models_config(struct models *m, const char *name) {
  pthread_mutex_lock(&m->lock);
  const struct known *k = known_of(m, name);
  const struct kept_config *found = k ? config_hold(k->config) : NULL;
  pthread_mutex_unlock(&m->lock);
  return found ? &found->config : NULL;
}

void models_config_release(const struct serve_model_config *config) {
  config_release((struct kept_config *)config);
}

size_t models_known(struct models *m, struct known_model **out) {
  size_t n = 0, at = 0;
  pthread_mutex_lock(&m->lock);
  for (const struct known *k = m->known; k; k = k->next) n++;
  *out = n ? calloc(n, sizeof **out) : NULL;
  for (const struct known *k = m->known; k && *out; k = k->next, at++) {
    struct known_model *entry = &(*out)[at];
    snprintf(entry->name, sizeof entry->name, "%s", k->config->config.name);
    snprintf(entry->error, sizeof entry->error, "%s", k->error.text);
  }
  pthread_mutex_unlock(&m->lock);
  return at;
}

// With the lock held: a load of config begins, the `*number`th of its name. Held for the caller; NULL: no memory.
static struct kept_config *begin_load(struct models *m, const struct serve_model_config *config, unsigned *number) {
  struct known *k = known_of(m, config->name);
  // A model that is loaded again as it was configured has its configuration already.
  struct kept_config *kept = k && &k->config->config == config ? config_hold(k->config) : config_copy(config);
  if (kept && !k && (k = calloc(1, sizeof *k))) {
    struct known **end = &m->known;
    while (*end) end = &(*end)->next;
    *end = k;
  }
  if (kept && k) {
    config_release(k->config);
    k->config = config_hold(kept);
    k->error = (struct pare_error){0};
    *number = ++k->loads;
  } else {
    config_release(kept);
    kept = NULL;
  }
  return kept;
}

static void load_failed(struct models *m, const char *name, unsigned number, const struct pare_error *why) {
  pthread_mutex_lock(&m->lock);
  struct known *k = known_of(m, name);
  if (k->loads == number) k->error = *why;
  pthread_mutex_unlock(&m->lock);
}

// ---- one entry ----------------------------------------------------------------------------------------------------

const pare_model *served_model(const struct served *s) {
  // The form that was opened first stays; the other may come while we look.
  return s->first;
}

void served_hold(struct served *s) {
  atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
}

static void served_free(struct served *s) {
  for (size_t v = 0; v < VARIANT_COUNT; v++) {
    struct form *f = &s->forms[v];
    if (f->runner && s->models->hooks.runner_free) s->models->hooks.runner_free(f->runner);
    pare_model_close(f->model);
  }
  rollout_free(s->rollout);
  pthread_mutex_destroy(&s->opening);
  models_config_release(s->config);
  free(s->name);
  free(s);
}

void served_release(struct served *s) {
  if (s && atomic_fetch_sub(&s->references, 1) == 1) served_free(s);
}

// As pare_model_open_preferred, of files that may be changed meanwhile. What became shorter while it was read is read
// once more, and then is what it is.
static enum pare_status open_whole(const struct models *m, const char *path, const struct pare_preference *preference,
                                   pare_model **out, struct pare_used *used, struct pare_error *err) {
  for (int tries = 0;; tries++) {
    unsigned before = shrunk_count();
    enum pare_status status = pare_model_open_preferred(m->hooks.engine, path, preference, out, used, err);
    if (shrunk_count() == before) return status;
    if (!status) pare_model_close(*out);
    *out = NULL;
    if (tries) return error_set(err, PARE_DATA, "%s: a file of the model became shorter while it was read", path);
  }
}

static void form_took(struct form *f, pare_model *model) {
  snprintf(f->scheme, sizeof f->scheme, "%s", pare_model_scheme(model));
  f->load_ms = pare_model_load_ms(model);
  f->failed = false;
  f->model = model;
}

static bool is_nli(const pare_model *m) {
  for (size_t i = 0; i < pare_model_label_count(m); i++)
    if (!strncasecmp(pare_model_label(m, i), "entail", 6)) return true;
  return false;
}

// The quantized form if there is one that can be used; else the original.
static enum pare_status open_first(struct served *s, struct pare_error *err) {
  const struct serve_model_config *c = s->config;
  struct pare_preference preference = {.original = !c->use_quantization, .quantized = c->quantized};
  struct pare_used used;
  pare_model *model;
  enum pare_status status = open_whole(s->models, c->path, &preference, &model, &used, err);
  if (status) return status;
  form_took(&s->forms[used.quantized ? VARIANT_QUANTIZED : VARIANT_ORIGINAL], model);
  s->first = model;
  struct form *q = &s->forms[VARIANT_QUANTIZED];
  if (used.fallback) {
    q->failed = true;
    error_set(&q->error, PARE_DATA, "%s", used.reason);
    snprintf(s->state_reason, sizeof s->state_reason, "%s", used.reason);
  } else if (!used.quantized && c->use_quantization) {
    q->failed = true;
    error_set(&q->error, PARE_NOFILE, "%s has no quantized form", c->name); // the path is not for who may only ask
  }
  s->has_quantized = used.quantized;
  return PARE_OK;
}

static bool needs_original(const struct served *s) {
  const struct rollout_config *r = &s->config->rollout;
  return s->config->keep_original || r->mode != ROLLOUT_QUANTIZED || r->shadow_share > 0 || s->linear;
}

static enum pare_status served_open(struct models *m, struct kept_config *kept, struct served **out,
                                    struct pare_error *err) {
  *out = NULL;
  struct served *s = calloc(1, sizeof *s);
  if (!s) return error_no_memory(err);
  pthread_mutex_init(&s->opening, NULL);
  s->models = m;
  const struct serve_model_config *config = s->config = &config_hold(kept)->config;
  s->name = strdup(config->name);
  atomic_init(&s->references, 1);
  enum pare_status status = s->name ? open_first(s, err) : error_no_memory(err);
  if (!status) {
    s->task = pare_model_task(s->first);
    s->linear = pare_model_is_linear(s->first);
    s->nli = is_nli(s->first);
    s->created = time(NULL);
    const struct form *q = &s->forms[VARIANT_QUANTIZED];
    struct rollout_config rollout = config->rollout;
    if (!s->has_quantized) rollout.shadow_share = 0; // nothing to compare with
    // One that could not be used is a fallback, said below; one that never was is none.
    if (!s->has_quantized && !s->state_reason[0]) rollout.mode = ROLLOUT_ORIGINAL;
    s->rollout = rollout_new(&rollout, s->name, q->model ? q->scheme : s->forms[VARIANT_ORIGINAL].scheme,
                             m->hooks.metrics, &m->hooks.sink);
    if (!s->rollout) status = error_no_memory(err);
  }
  if (!status && s->has_quantized && needs_original(s)) {
    struct pare_error why = {0};
    if (served_open_form(s, VARIANT_ORIGINAL, &why))
      snprintf(s->state_reason, sizeof s->state_reason, "the original did not open: %.400s", why.text);
  }
  if (!status && s->state_reason[0] && !s->has_quantized)
    rollout_trip(s->rollout, strstr(s->state_reason, "self-test") ? REASON_SELF_TEST : REASON_LOAD,
                 json_pack("{s:s}", "error", s->state_reason));
  if (status) {
    served_free(s);
    return status;
  }
  *out = s;
  return PARE_OK;
}

enum pare_status served_open_form(struct served *s, enum variant v, struct pare_error *err) {
  struct form *f = &s->forms[v];
  pthread_mutex_lock(&s->opening);
  enum pare_status status = PARE_OK;
  if (!f->model && f->failed) {
    if (err) *err = f->error;
    status = f->error.code;
  } else if (!f->model) {
    const struct pare_preference original = {.original = true};
    struct pare_used used;
    pare_model *model;
    struct pare_error why = {0};
    // The quantized form is opened first or not at all.
    status = v == VARIANT_ORIGINAL ? open_whole(s->models, s->config->path, &original, &model, &used, &why)
                                   : error_set(&why, PARE_NOFILE, "%s: no quantized form", s->name);
    if (status) {
      if (err) *err = why;
    } else {
      form_took(f, model);
    }
  }
  pthread_mutex_unlock(&s->opening);
  return status;
}

// ---- the list -----------------------------------------------------------------------------------------------------

struct models *models_new(const struct models_hooks *hooks) {
  struct models *m = calloc(1, sizeof *m);
  if (!m) return NULL;
  m->hooks = *hooks;
  pthread_mutex_init(&m->lock, NULL);
  return m;
}

void models_free(struct models *m) {
  if (!m) return;
  for (size_t i = 0; i < m->count; i++) served_release(m->list[i]);
  for (struct known *k = m->known, *next; k; k = next) {
    next = k->next;
    config_release(k->config);
    free(k);
  }
  pthread_mutex_destroy(&m->lock);
  free(m->list);
  free(m);
}

static size_t place_of(const struct models *m, const char *name) {
  size_t i = 0;
  while (i < m->count && strcmp(m->list[i]->name, name)) i++;
  return i;
}

static void tell_ready(const struct models *m, const char *name, bool ready) {
  if (m->hooks.ready) m->hooks.ready(m->hooks.context, name, ready);
}

static bool served_under(const struct models *m, const struct serve_model_config *config) {
  size_t i = place_of(m, config->name);
  return i < m->count && m->list[i]->config == config;
}

// renew: only while the name is served under config.
static enum pare_status load(struct models *m, const struct serve_model_config *config, bool renew,
                             struct pare_error *err) {
  struct served *s, *old = NULL;
  unsigned number;
  pthread_mutex_lock(&m->lock);
  bool gone = renew && !served_under(m, config);
  struct kept_config *kept = gone ? NULL : begin_load(m, config, &number);
  pthread_mutex_unlock(&m->lock);
  if (gone) return PARE_OK;
  if (!kept) return error_no_memory(err);
  struct pare_error why = {0};
  enum pare_status status = served_open(m, kept, &s, &why);
  if (status) load_failed(m, kept->config.name, number, &why);
  config_release(kept);
  if (status) {
    if (err) *err = why;
    return status;
  }
  if (m->hooks.opened) m->hooks.opened(m->hooks.context, s);
  pthread_mutex_lock(&m->lock);
  s->version = number;
  size_t i = place_of(m, s->name);
  gone = renew && !served_under(m, config);
  if (gone) {
    old = s;
  } else if (i < m->count) {
    old = m->list[i];
    m->list[i] = s;
  } else {
    struct served **list = realloc(m->list, (m->count + 1) * sizeof(struct served *));
    if (list) {
      m->list = list;
      m->list[m->count++] = s;
    } else {
      old = s;
      status = error_no_memory(err);
    }
  }
  if (!status && !gone) tell_ready(m, s->name, true);
  pthread_mutex_unlock(&m->lock);
  served_release(old);
  return status;
}

enum pare_status models_load(struct models *m, const struct serve_model_config *config, struct pare_error *err) {
  return load(m, config, false, err);
}

enum pare_status models_renew(struct models *m, const struct serve_model_config *config, struct pare_error *err) {
  return load(m, config, true, err);
}

enum pare_status models_unload(struct models *m, const char *name, struct pare_error *err) {
  struct served *old = NULL;
  pthread_mutex_lock(&m->lock);
  size_t i = place_of(m, name);
  if (i < m->count) {
    old = m->list[i];
    m->count--;
    for (; i < m->count; i++) m->list[i] = m->list[i + 1];
    tell_ready(m, name, false);
  }
  pthread_mutex_unlock(&m->lock);
  served_release(old);
  return old ? PARE_OK : error_set(err, PARE_NOFILE, "the model '%.200s' is not loaded", name);
}

struct served *models_find(struct models *m, const char *name) {
  struct served *found = NULL;
  pthread_mutex_lock(&m->lock);
  bool any = !name || !*name;
  for (size_t i = 0; i < m->count && !found; i++)
    if (any ? m->count == 1 : !strcmp(m->list[i]->name, name)) found = m->list[i];
  if (found) served_hold(found);
  pthread_mutex_unlock(&m->lock);
  return found;
}

size_t models_all(struct models *m, struct served ***out) {
  pthread_mutex_lock(&m->lock);
  size_t n = m->count;
  *out = n ? malloc(n * sizeof(struct served *)) : NULL;
  if (!*out) n = 0;
  for (size_t i = 0; i < n; i++) served_hold((*out)[i] = m->list[i]);
  pthread_mutex_unlock(&m->lock);
  return n;
}
