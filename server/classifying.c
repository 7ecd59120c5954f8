// classifying.c - see classifying.h.
#include "classifying.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job *classifying_job(struct fields *f, struct served *s, const char *key) {
  if (f->ok && s->task != PARE_TASK_CLASSIFY) {
    exchange_fail(f->x, 400, "model", "model: expected one that classifies, found '%.200s', which does not", s->name);
    f->ok = false;
  }
  return f->ok ? inputs_texts_job(f, s, key, JOB_CLASSIFY, 1) : NULL;
}

// ---- candidate labels ---------------------------------------------------------------------------------------------

static bool space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// What is between the commas, without space around it; nothing between two of them is no label.
static const char *const *split(struct fields *f, const char *text, struct job *job, size_t *count) {
  size_t most = 1;
  for (const char *c = text; *c; c++) most += *c == ',';
  const char **out = most <= CANDIDATES_MAX ? job_alloc(job, most * sizeof *out) : NULL;
  *count = 0;
  if (most <= CANDIDATES_MAX && !out) inputs_no_memory(f);
  while (out) {
    size_t len = strcspn(text, ","), from = 0, to = len;
    while (from < to && space(text[from])) from++;
    while (to > from && space(text[to - 1])) to--;
    char *label = to > from ? job_strdup(job, text + from, to - from) : NULL;
    if (label) {
      out[(*count)++] = label;
    } else if (to > from) {
      inputs_no_memory(f);
      break;
    }
    if (!text[len]) break;
    text += len + 1;
  }
  return out;
}

void classifying_candidates(struct fields *f, struct job *job, const char *key) {
  struct pare_classify_options *o = &job->classify;
  const json_t *value = fields_any(f, key);
  o->multi_label = fields_flag(f, "multi_label", false);
  const char *template_text = fields_text(f, "hypothesis_template", NULL);
  if (template_text && !strstr(template_text, "{}"))
    fields_fail(f, "hypothesis_template", "a text with {} where the label goes");
  if (!value || !f->ok) return;
  if (!job->served->nli) {
    exchange_fail(f->x, 400, key, "%s: '%.200s' is no model of entailment, so it has only its own labels", key,
                  job->served->name);
    f->ok = false;
    return;
  }
  const char *one = json_is_string(value) ? fields_text(f, key, NULL) : NULL;
  o->labels = one ? split(f, one, job, &o->label_count) : inputs_strings(f, key, CANDIDATES_MAX, job, &o->label_count);
  bool empty = !o->label_count;
  for (size_t i = 0; i < o->label_count; i++) empty = empty || !o->labels[i][0];
  if (empty) {
    char expected[64];
    snprintf(expected, sizeof expected, "1 to %d labels that are not empty", CANDIDATES_MAX);
    fields_fail(f, key, expected);
  }
  if (template_text) {
    o->template_text = job_strdup(job, template_text, strlen(template_text));
    if (!o->template_text) inputs_no_memory(f);
  }
}
