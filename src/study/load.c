// load.c - reads a study file: which keys there are, and what each holds, as tables. An author's own sentence may not
// state a figure: it names a metric in braces, {metric}, {part:metric} or {part:model:metric}, and the record fills it.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/yaml_file.h"
#include "study/metric.h"
#include "study/sentence.h"
#include "study/study.h"

enum { STUDY_FILE_MAX = 1 << 20 };

enum field_kind {
  FIELD_TEXT,     // any text
  FIELD_SENTENCE, // an author's sentence
  FIELD_NUMBER,
  FIELD_COUNT,
  FIELD_FLAG,
  FIELD_METRIC,    // the name of a metric
  FIELD_STATE,     // done, open or in progress
  FIELD_WORDS,     // a list of texts
  FIELD_SENTENCES, // a list of sentences
  FIELD_METRICS,
  FIELD_NAMES, // a mapping of texts
  FIELD_SECTION,
  FIELD_SECTIONS, // a list of mappings
};
static const char *const expected[] = {
    [FIELD_TEXT] = "text",
    [FIELD_SENTENCE] = "a sentence",
    [FIELD_NUMBER] = "a number",
    [FIELD_COUNT] = "a whole number from 1",
    [FIELD_FLAG] = "true or false",
    [FIELD_METRIC] = "the name of a metric",
    [FIELD_STATE] = "done, open or in progress",
    [FIELD_WORDS] = "a list of texts",
    [FIELD_SENTENCES] = "a list of sentences",
    [FIELD_METRICS] = "a list of metrics",
    [FIELD_NAMES] = "a mapping of texts",
    [FIELD_SECTION] = "a mapping",
    [FIELD_SECTIONS] = "a list of mappings",
};

struct section;
struct field {
  const char *name;
  enum field_kind kind;
  bool required;
  const struct section *section;
};
struct section {
  const struct field *fields;
  size_t count;
};
#define SECTION(list) \
  { (list), sizeof(list) / sizeof((list)[0]) }

// A limit on a metric of one model: of the shipped candidate of the first part unless said.
#define CONDITION(required)                                                                                        \
  {"metric", FIELD_METRIC, required, NULL}, {"part", FIELD_TEXT, false, NULL}, {"model", FIELD_TEXT, false, NULL}, \
      {"min", FIELD_NUMBER, false, NULL}, {                                                                        \
    "max", FIELD_NUMBER, false, NULL                                                                               \
  }

static const struct field part_fields[] = {
    {"name", FIELD_TEXT, true, NULL},
    {"title", FIELD_TEXT, false, NULL},
    {"model", FIELD_TEXT, true, NULL},
    {"data", FIELD_TEXT, true, NULL},
    {"schemes", FIELD_WORDS, false, NULL},
    {"candidates", FIELD_WORDS, false, NULL},
    {"ship", FIELD_TEXT, false, NULL},
    {"gate", FIELD_TEXT, false, NULL},
    {"limit", FIELD_COUNT, false, NULL},
    {"iterations", FIELD_COUNT, false, NULL},
    {"seed", FIELD_COUNT, false, NULL},
    {"max_tokens", FIELD_COUNT, false, NULL},
    {"labels", FIELD_NAMES, false, NULL},
    {"template", FIELD_TEXT, false, NULL},
    {"multi_label", FIELD_FLAG, false, NULL},
    {"text_column", FIELD_TEXT, false, NULL},
    {"label_column", FIELD_TEXT, false, NULL},
    {"reference_column", FIELD_TEXT, false, NULL},
    {"calibrate", FIELD_TEXT, false, NULL},
    {"samples", FIELD_COUNT, false, NULL},
    {"train_samples", FIELD_COUNT, false, NULL},
    {"sheet", FIELD_METRICS, false, NULL},
};
static const struct section part_section = SECTION(part_fields);

static const struct field limit_fields[] = {CONDITION(true), {"name", FIELD_TEXT, false, NULL}};
static const struct section limit_section = SECTION(limit_fields);

static const struct field plan_fields[] = {
    CONDITION(true), {"name", FIELD_TEXT, false, NULL}, {"tolerance", FIELD_NUMBER, false, NULL}};
static const struct section plan_section = SECTION(plan_fields);

static const struct field task_fields[] = {CONDITION(false),
                                           {"text", FIELD_SENTENCE, true, NULL},
                                           {"state", FIELD_STATE, false, NULL},
                                           {"note", FIELD_SENTENCE, false, NULL}};
static const struct section task_section = SECTION(task_fields);

static const struct field claim_fields[] = {CONDITION(true), {"text", FIELD_TEXT, true, NULL}};
static const struct section claim_section = SECTION(claim_fields);

static const struct field cost_fields[] = {
    {"currency", FIELD_TEXT, true, NULL},
    {"part", FIELD_TEXT, false, NULL},
    {"model", FIELD_TEXT, false, NULL},
    {"instances", FIELD_NUMBER, false, NULL},
    {"instance_price_month", FIELD_NUMBER, false, NULL},
    {"instance_memory_mb", FIELD_NUMBER, false, NULL},
    {"copies", FIELD_NUMBER, false, NULL},
    {"storage_price_gb_month", FIELD_NUMBER, false, NULL},
    {"downloads_month", FIELD_NUMBER, false, NULL},
    {"transfer_price_gb", FIELD_NUMBER, false, NULL},
    {"investment", FIELD_NUMBER, false, NULL},
    {"other_value_year", FIELD_NUMBER, false, NULL},
    {"other_value_text", FIELD_SENTENCE, false, NULL},
};
static const struct section cost_section = SECTION(cost_fields);

static const struct field component_fields[] = {
    {"metric", FIELD_METRIC, true, NULL}, {"part", FIELD_TEXT, false, NULL},  {"model", FIELD_TEXT, false, NULL},
    {"weight", FIELD_NUMBER, true, NULL}, {"zero", FIELD_NUMBER, true, NULL}, {"full", FIELD_NUMBER, true, NULL}};
static const struct section component_section = SECTION(component_fields);
static const struct field band_fields[] = {{"from", FIELD_NUMBER, true, NULL}, {"verdict", FIELD_SENTENCE, true, NULL}};
static const struct section band_section = SECTION(band_fields);
static const struct field composite_fields[] = {{"components", FIELD_SECTIONS, true, &component_section},
                                                {"bands", FIELD_SECTIONS, true, &band_section}};
static const struct section composite_section = SECTION(composite_fields);

static const struct field study_fields[] = {
    {"title", FIELD_SENTENCE, true, NULL},
    {"subject", FIELD_SENTENCE, false, NULL},
    {"rationale", FIELD_SENTENCES, false, NULL},
    {"parts", FIELD_SECTIONS, true, &part_section},
    {"acceptance", FIELD_SECTIONS, false, &limit_section},
    {"targets", FIELD_SECTIONS, false, &limit_section},
    {"plan", FIELD_SECTIONS, false, &plan_section},
    {"costs", FIELD_SECTION, false, &cost_section},
    {"composite", FIELD_SECTION, false, &composite_section},
    {"requirements", FIELD_SECTIONS, false, &task_section},
    {"steps", FIELD_SENTENCES, false, NULL},
    {"checklist", FIELD_SECTIONS, false, &task_section},
    {"next_steps", FIELD_SECTIONS, false, &task_section},
    {"roadmap", FIELD_SECTIONS, false, &task_section},
    {"claims", FIELD_SECTIONS, false, &claim_section},
    {"notes", FIELD_SENTENCES, false, NULL},
    {"best_for", FIELD_SENTENCES, false, NULL},
    {"not_for", FIELD_SENTENCES, false, NULL},
    {"diagram", FIELD_TEXT, false, NULL},
    {"review_days", FIELD_COUNT, false, NULL},
};
static const struct section study_section = SECTION(study_fields);

struct loading {
  const char *file;
  struct yaml_tree tree;
  struct pare_error *err;
};

static enum pare_status wrong(const struct loading *l, const char *path, const char *what, const json_t *found) {
  char number[32];
  return error_set(l->err, PARE_DATA, "%s:%d: %s: expected %s, found %.100s", l->file, yaml_tree_line(&l->tree, path),
                   path, what, yaml_value_text(found, number));
}

static enum pare_status check_section(const struct loading *l, const struct section *s, const json_t *node,
                                      const char *path);

static enum pare_status check_sentence(const struct loading *l, const json_t *value, const char *path) {
  char why[160];
  if (!json_is_string(value) || !json_string_length(value)) return wrong(l, path, expected[FIELD_SENTENCE], value);
  if (sentence_check(json_string_value(value), why, sizeof why)) return PARE_OK;
  return error_set(l->err, PARE_DATA, "%s:%d: %s: %s", l->file, yaml_tree_line(&l->tree, path), path, why);
}

static bool is_state(const json_t *value) {
  const char *s = json_string_value(value);
  return s && (!strcmp(s, "done") || !strcmp(s, "open") || !strcmp(s, "in progress"));
}

static bool is_metric(const json_t *value) {
  const char *s = json_string_value(value);
  return s && study_metric_find(s);
}

static enum pare_status check_scalar(const struct loading *l, enum field_kind kind, const json_t *value,
                                     const char *path) {
  bool good = false;
  switch (kind) {
    case FIELD_SENTENCE: return check_sentence(l, value, path);
    case FIELD_TEXT: good = json_is_string(value) && json_string_length(value); break;
    case FIELD_NUMBER: good = json_is_number(value); break;
    case FIELD_COUNT: good = json_is_integer(value) && json_integer_value(value) >= 1; break;
    case FIELD_FLAG: good = json_is_boolean(value); break;
    case FIELD_METRIC: good = is_metric(value); break;
    case FIELD_STATE: good = is_state(value); break;
    default: break;
  }
  return good ? PARE_OK : wrong(l, path, expected[kind], value);
}

static enum pare_status check_list(const struct loading *l, const struct field *f, const json_t *list,
                                   const char *path) {
  if (!json_is_array(list) || json_array_size(list) == 0) return wrong(l, path, expected[f->kind], list);
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    char below[256];
    snprintf(below, sizeof below, "%.200s.%zu", path, i);
    if (f->kind == FIELD_SECTIONS) {
      status = check_section(l, f->section, item, below);
    } else {
      status = check_scalar(l,
                            f->kind == FIELD_SENTENCES ? FIELD_SENTENCE
                            : f->kind == FIELD_METRICS ? FIELD_METRIC
                                                       : FIELD_TEXT,
                            item, below);
    }
  }
  return status;
}

static enum pare_status check_names(const struct loading *l, const json_t *map, const char *path) {
  const char *key;
  json_t *value;
  if (!json_is_object(map) || json_object_size(map) == 0) return wrong(l, path, expected[FIELD_NAMES], map);
  json_object_foreach((json_t *)map, key, value) {
    if (!json_is_string(value)) return wrong(l, path, expected[FIELD_NAMES], value);
  }
  return PARE_OK;
}

static enum pare_status check_field(const struct loading *l, const struct field *f, const json_t *value,
                                    const char *path) {
  switch (f->kind) {
    case FIELD_WORDS:
    case FIELD_SENTENCES:
    case FIELD_METRICS:
    case FIELD_SECTIONS: return check_list(l, f, value, path);
    case FIELD_NAMES: return check_names(l, value, path);
    case FIELD_SECTION: return check_section(l, f->section, value, path);
    default: return check_scalar(l, f->kind, value, path);
  }
}

// A metric without a limit, or a limit without a metric, decides nothing.
static enum pare_status check_limit(const struct loading *l, const json_t *node, const char *path) {
  bool metric = json_object_get(node, "metric"), weighed = json_object_get(node, "weight");
  const json_t *min = json_object_get(node, "min"), *max = json_object_get(node, "max");
  bool limit = min || max;
  if (min && max && json_number_value(min) > json_number_value(max))
    return error_set(l->err, PARE_DATA, "%s:%d: %s: expected min no larger than max, found %.10g and %.10g", l->file,
                     yaml_tree_line(&l->tree, path), path, json_number_value(min), json_number_value(max));
  if (weighed || metric == limit) return PARE_OK;
  return error_set(l->err, PARE_DATA, "%s:%d: %s: expected metric with min or max, found %s", l->file,
                   yaml_tree_line(&l->tree, path), path, metric ? "no limit" : "a limit without metric");
}

static enum pare_status check_section(const struct loading *l, const struct section *s, const json_t *node,
                                      const char *path) {
  const char *key;
  json_t *value;
  if (!json_is_object(node)) return wrong(l, path, "a mapping", node);
  json_object_foreach((json_t *)node, key, value) {
    size_t i = 0;
    char below[256];
    snprintf(below, sizeof below, "%.140s%s%.100s", path, *path ? "." : "", key);
    while (i < s->count && strcmp(s->fields[i].name, key) != 0) i++;
    if (i == s->count)
      return error_set(l->err, PARE_DATA, "%s:%d: unknown key %.80s (the keys: docs/studies.md)", l->file,
                       yaml_tree_line(&l->tree, below), below);
    enum pare_status status = check_field(l, &s->fields[i], value, below);
    if (status) return status;
  }
  for (size_t i = 0; i < s->count; i++)
    if (s->fields[i].required && !json_object_get(node, s->fields[i].name))
      return error_set(l->err, PARE_DATA, "%s:%d: %s%smissing key %s", l->file, yaml_tree_line(&l->tree, path), path,
                       *path ? ": " : "", s->fields[i].name);
  return check_limit(l, node, path);
}

// Every part compares something, under a name of its own.
static enum pare_status check_parts(const struct loading *l) {
  const json_t *parts = json_object_get(l->tree.root, "parts");
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const json_t *part = json_array_get(parts, i);
    const char *name = json_string_value(json_object_get(part, "name"));
    char path[32];
    snprintf(path, sizeof path, "parts.%zu", i);
    int line = yaml_tree_line(&l->tree, path);
    if (!json_object_get(part, "schemes") && !json_object_get(part, "candidates"))
      return error_set(l->err, PARE_DATA, "%s:%d: part %.60s: expected schemes or candidates", l->file, line, name);
    if (name[strcspn(name, ":{}")])
      return error_set(l->err, PARE_DATA, "%s:%d: part %.60s: expected a name without : { }", l->file, line, name);
    for (size_t k = 0; k < i; k++)
      if (!strcmp(name, json_string_value(json_object_get(json_array_get(parts, k), "name"))))
        return error_set(l->err, PARE_DATA, "%s:%d: part %.60s: expected once, found again", l->file, line, name);
  }
  return PARE_OK;
}

static bool is_part(const struct loading *l, const char *name, size_t len) {
  const json_t *parts = json_object_get(l->tree.root, "parts");
  for (size_t i = 0; i < json_array_size(parts); i++) {
    const char *known = json_string_value(json_object_get(json_array_get(parts, i), "name"));
    if (strlen(known) == len && !memcmp(known, name, len)) return true;
  }
  return false;
}

static enum pare_status no_part(const struct loading *l, const char *path, const char *name, size_t len) {
  return error_set(l->err, PARE_DATA, "%s:%d: %s: expected the name of a part, found %.*s", l->file,
                   yaml_tree_line(&l->tree, path), path, (int)(len < 60 ? len : 60), name);
}

// {part:metric} and {part:model:metric} in a sentence.
static enum pare_status check_named_parts(const struct loading *l, const char *text, const char *path) {
  for (const char *s = strchr(text, '{'); s; s = strchr(s + 1, '{')) {
    size_t len = strcspn(s + 1, ":}");
    if (s[1 + len] == ':' && !is_part(l, s + 1, len)) return no_part(l, path, s + 1, len);
  }
  return PARE_OK;
}

// Whatever is said about a part is about one there is: found out now, not after the measurements.
static enum pare_status check_mentions(const struct loading *l, const json_t *node, const char *path) {
  char below[256];
  const char *key;
  json_t *value;
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < json_array_size(node); i++) {
    snprintf(below, sizeof below, "%.200s.%zu", path, i);
    const json_t *item = json_array_get(node, i);
    status =
        json_is_string(item) ? check_named_parts(l, json_string_value(item), below) : check_mentions(l, item, below);
  }
  if (!json_is_object(node)) return status;
  json_object_foreach((json_t *)node, key, value) {
    const char *text = json_string_value(value);
    snprintf(below, sizeof below, "%.140s%s%.100s", path, *path ? "." : "", key);
    if (!strcmp(below, "parts") || !strcmp(below, "diagram")) continue;
    if (!text) {
      status = check_mentions(l, value, below);
    } else if (!strcmp(key, "part")) {
      status = is_part(l, text, strlen(text)) ? PARE_OK : no_part(l, below, text, strlen(text));
    } else {
      status = check_named_parts(l, text, below);
    }
    if (status) return status;
  }
  return status;
}

static enum pare_status check_all(const struct loading *l) {
  enum pare_status status = check_section(l, &study_section, l->tree.root, "");
  if (!status) status = check_parts(l);
  return status ? status : check_mentions(l, l->tree.root, "");
}

enum pare_status study_check(const json_t *config, const char *file, struct pare_error *err) {
  struct loading l = {.file = file, .tree = {.root = (json_t *)config}, .err = err};
  return check_all(&l);
}

enum pare_status study_load(const char *path, json_t **out, struct pare_error *err) {
  *out = NULL;
  struct loading l = {.file = path, .err = err};
  enum pare_status status = yaml_tree_load(path, STUDY_FILE_MAX, &l.tree, err);
  if (status) return status;
  status = check_all(&l);
  if (!status) *out = json_incref(l.tree.root);
  yaml_tree_free(&l.tree);
  return status;
}
