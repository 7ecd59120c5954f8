// hf_answer.c - see hf.h: [[{label, score}]], [{label, score}] or {sequence, labels, scores}; [{generated_text}],
// [{summary_text}]; [[numbers]], [similarities].
#include <math.h>
#include <stdlib.h>

#include "hf.h"

// ---- classification ------------------------------------------------------------------------------------------------

// The scores that were asked for: (n), or NULL: no memory.
static float *scores_of(const struct hf *h, const struct job_item *item, size_t n) {
  float *out = malloc((n ? n : 1) * sizeof *out);
  double max = -INFINITY, sum = 0;
  bool softmax = h->function == HF_SOFTMAX;
  for (size_t i = 0; softmax && i < n; i++) max = fmax(max, (double)item->logits[i]);
  for (size_t i = 0; softmax && i < n; i++) sum += exp((double)item->logits[i] - max);
  for (size_t i = 0; out && i < n; i++) {
    double z = h->function == HF_OWN ? 0 : (double)item->logits[i];
    switch (h->function) {
      case HF_OWN: out[i] = item->scores[i]; break;
      case HF_SOFTMAX: out[i] = (float)(exp(z - max) / sum); break;
      case HF_SIGMOID: out[i] = (float)(1 / (1 + exp(-z))); break;
      case HF_NONE: out[i] = item->logits[i]; break;
    }
  }
  return out;
}

static json_t *labels_list(const struct hf *h, const struct job *job, const float *scores, const size_t *order,
                           size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n && i < h->top; i++) {
    json_t *entry = json_pack("{s:s, s:f}", "label", job_label(job, order[i]), "score", (double)scores[order[i]]);
    if (!json_array_append_new(list, entry)) continue;
    json_decref(list);
    return NULL;
  }
  return list;
}

static json_t *pipeline(const struct job *job, const struct job_item *item, const size_t *order, size_t n) {
  json_t *labels = json_array(), *scores = json_array();
  for (size_t i = 0; i < n; i++) {
    json_array_append_new(labels, json_string(job_label(job, order[i])));
    json_array_append_new(scores, json_real((double)item->scores[order[i]]));
  }
  if (json_array_size(labels) != n || json_array_size(scores) != n) {
    json_decref(labels);
    json_decref(scores);
    return NULL;
  }
  return json_pack("{s:o, s:o, s:o}", "sequence", json_stringn(item->text.text, item->text.len), "labels", labels,
                   "scores", scores);
}

static json_t *classified(const struct hf *h, const struct job *job, const struct job_item *item) {
  size_t n = job_labels(job), *order = malloc((n ? n : 1) * sizeof *order);
  float *scores = scores_of(h, item, n);
  json_t *value = NULL;
  if (order && scores) {
    job_order(job, item, h->pipeline ? n : h->top, order);
    value = h->pipeline ? pipeline(job, item, order, n) : labels_list(h, job, scores, order, n);
  }
  free(order);
  free(scores);
  return value;
}

// ---- generation ----------------------------------------------------------------------------------------------------

static json_t *written(const struct hf *h, const struct job_item *item) {
  struct buf text = {0};
  if (h->prompt) buf_add(&text, item->text.text, item->text.len);
  if (item->output_len) buf_add(&text, item->output, item->output_len);
  json_t *value = text.failed ? NULL : json_stringn(text.len ? text.data : "", text.len);
  buf_free(&text);
  return json_pack("{s:o}", h->task == PARE_TASK_SEQ2SEQ ? "summary_text" : "generated_text", value);
}

// ---- vectors -------------------------------------------------------------------------------------------------------

// Vectors have length 1, so their product is the cosine.
static json_t *similarities(const struct job *job, size_t width) {
  json_t *list = json_array();
  bool fine = true;
  for (size_t i = 1; i < job->count; i++) {
    double sum = 0;
    for (size_t k = 0; k < width; k++) sum += (double)job->items[0].vector[k] * (double)job->items[i].vector[k];
    fine = !json_array_append_new(list, json_real((double)(float)sum)) && fine;
  }
  if (fine) return list;
  json_decref(list);
  return NULL;
}

static json_t *vectors(const struct hf *h, const struct job *job) {
  size_t width = pare_model_output_width(served_model(job->served));
  if (h->similarity) return similarities(job, width);
  json_t *list = json_array();
  bool fine = true;
  for (size_t i = 0; i < job->count; i++)
    fine = !json_array_append_new(list, job_floats(job->items[i].vector, width)) && fine;
  if (fine) return list;
  json_decref(list);
  return NULL;
}

// ---- all -----------------------------------------------------------------------------------------------------------

static void whole(struct exchange *x) {
  const struct hf *h = x->state;
  const struct job *job = x->job;
  if (h->task == PARE_TASK_ENCODE) {
    exchange_json(x, 200, vectors(h, job));
    return;
  }
  bool classifies = h->task == PARE_TASK_CLASSIFY;
  // A list of texts continued: a list of answers for each. A summary has one, and no list of its own.
  bool nested = h->task == PARE_TASK_LANGUAGE_MODEL && h->many;
  json_t *answer = json_array(), *group = NULL;
  bool fine = true;
  for (size_t i = 0; fine && i < job->count; i++) {
    json_t *value = classifies ? classified(h, job, &job->items[i]) : written(h, &job->items[i]);
    if (nested && i % h->times == 0) {
      group = json_array();
      fine = !json_array_append_new(answer, group);
    }
    fine = fine && !json_array_append_new(nested ? group : answer, value);
  }
  if (!fine) {
    json_decref(answer);
    answer = NULL;
  }
  if (answer && h->zero_shot && !h->many) {
    json_t *one = json_incref(json_array_get(answer, 0));
    json_decref(answer);
    answer = one;
  }
  exchange_json(x, 200, answer);
}

const struct answer hf_answer = {.whole = whole};
