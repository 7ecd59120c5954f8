// oip_infer.c - POST /v2/models/{model}[/versions/{version}]/infer: tensors -> job -> tensors, for models that classify
// or encode. A batch of texts, or rows of ids of which the attention mask says what is padding: a row is cut to what
// its mask covers, since no answer here depends on padding.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "classifying.h"
#include "oip.h"
#include "oip_tensors.h"

enum output { OUT_LOGITS, OUT_LABEL, OUT_SCORE, OUT_SCORES, OUT_EMBEDDING, OUT_COUNT };
static const char *const output_names[] = {"logits", "label", "score", "scores", "embedding"};

struct wanted {
  enum output output;
  bool binary;
  size_t classes; // above 0: so many of the highest as "value:index:label"
};
struct infer {
  const char *id; // the client's, from job_alloc; NULL: none
  struct wanted wanted[OUT_COUNT];
  size_t count;
};

static bool gives(const struct served *s, enum output o) {
  return (s->task == PARE_TASK_ENCODE) == (o == OUT_EMBEDDING);
}

static bool out_of_memory(struct exchange *x) {
  exchange_fail(x, 500, NULL, "out of memory");
  return false;
}

// ---- model metadata -------------------------------------------------------------------------------------------------

static void describe(json_t *list, const char *name, const char *type, json_t *shape, bool optional) {
  json_t *tensor = json_pack("{s:s, s:s, s:o}", "name", name, "datatype", type, "shape", shape);
  if (optional) json_object_set_new(tensor, "parameters", json_pack("{s:b}", "optional", 1));
  json_array_append_new(list, tensor);
}

json_t *oip_inputs_of(const struct served *s) {
  json_t *list = json_array();
  if (oip_generates(s)) {
    describe(list, "text_input", "BYTES", json_pack("[i]", 1), false);
    return list;
  }
  describe(list, "text", "BYTES", json_pack("[i]", -1), false);
  if (s->linear) return list;
  describe(list, "text_pair", "BYTES", json_pack("[i]", -1), true);
  static const char *const ids[] = {"input_ids", "attention_mask", "token_type_ids"};
  for (size_t i = 0; i < 3; i++) describe(list, ids[i], "INT64", json_pack("[ii]", -1, -1), true);
  return list;
}

json_t *oip_outputs_of(const struct served *s) {
  json_t *list = json_array();
  const pare_model *m = served_model(s);
  json_int_t width = (json_int_t)pare_model_output_width(m), labels = (json_int_t)pare_model_label_count(m);
  if (oip_generates(s)) {
    describe(list, "text_output", "BYTES", json_pack("[i]", 1), false);
  } else if (s->task == PARE_TASK_ENCODE) {
    describe(list, "embedding", "FP32", json_pack("[iI]", -1, width), false);
  } else {
    describe(list, "logits", "FP32", json_pack("[iI]", -1, labels), false);
    describe(list, "label", "BYTES", json_pack("[i]", -1), false);
    describe(list, "score", "FP32", json_pack("[i]", -1), false);
    describe(list, "scores", "FP32", json_pack("[iI]", -1, labels), false);
  }
  return list;
}

// ---- which outputs --------------------------------------------------------------------------------------------------

static bool want(struct exchange *x, const struct served *s, const json_t *entry, bool binary, struct infer *infer) {
  const char *name = json_string_value(json_object_get(entry, "name"));
  size_t o = 0;
  while (o < OUT_COUNT && !(name && !strcmp(name, output_names[o]) && gives(s, (enum output)o))) o++;
  if (o == OUT_COUNT) {
    exchange_fail(x, 400, "outputs", "outputs: expected %s, found %.80s",
                  s->task == PARE_TASK_ENCODE ? "embedding" : "logits, label, score or scores",
                  name ? name : "no name");
    return false;
  }
  for (size_t i = 0; i < infer->count; i++) {
    if (infer->wanted[i].output != o) continue;
    exchange_fail(x, 400, "outputs", "output '%s' is there twice", name);
    return false;
  }
  struct fields above = {.x = x, .object = (json_t *)entry, .path = "outputs.", .ok = true};
  struct fields f = fields_below(&above, "parameters");
  f.path = "outputs.parameters.";
  if (fields_has(&f, "shared_memory_region")) fields_fail(&f, "shared_memory_region", "nothing (not offered)");
  struct wanted *w = &infer->wanted[infer->count++];
  *w = (struct wanted){(enum output)o, fields_flag(&f, "binary_data", binary),
                       fields_size(&f, "classification", 0, 0, SIZE_MAX / 2)};
  if (f.ok && w->classes && o != OUT_LOGITS && o != OUT_SCORES)
    fields_fail(&f, "classification", "nothing, or the output logits or scores");
  return f.ok;
}

static bool read_outputs(struct exchange *x, const struct served *s, struct fields *f, struct fields *parameters,
                         struct infer *infer) {
  json_t *list = fields_any(f, "outputs");
  bool binary = fields_flag(parameters, "binary_data_output", false);
  if (!f->ok || !parameters->ok) return false;
  if (list && !json_is_array(list)) {
    fields_fail(f, "outputs", "a list");
    return false;
  }
  for (size_t i = 0; i < json_array_size(list); i++)
    if (!want(x, s, json_array_get(list, i), binary, infer)) return false;
  if (infer->count) return true;
  for (size_t o = 0; o < OUT_COUNT; o++)
    if (gives(s, (enum output)o)) infer->wanted[infer->count++] = (struct wanted){(enum output)o, binary, 0};
  return true;
}

// ---- texts and ids --------------------------------------------------------------------------------------------------

static bool row_count(struct exchange *x, const struct oip_input *in, size_t *n) {
  *n = in->shape[0];
  if (*n <= x->config->limits.texts) return true;
  exchange_fail(x, 400, "inputs", "input '%s': expected at most %zu texts in one request, found %zu", in->name,
                x->config->limits.texts, *n);
  return false;
}

// A list of texts, or a column of them as clients send that think in batches.
static bool is_column(struct exchange *x, const struct oip_input *in, size_t n) {
  if ((in->rank == 1 || in->shape[1] == 1) && in->shape[0] == n) return true;
  exchange_fail(x, 400, "inputs", "input '%s': expected shape [%zu]", in->name, n);
  return false;
}

static bool texts_into(struct exchange *x, const struct oip_inputs *inputs, struct job *job) {
  const struct oip_input *text = oip_input_find(inputs, "text"), *pair = oip_input_find(inputs, "text_pair");
  size_t n = job->count;
  struct pare_text *first = job_alloc(job, n * sizeof *first), *second = job_alloc(job, n * sizeof *second);
  if (!first || !second) return out_of_memory(x);
  if (pair && (job->served->linear || job->classify.labels)) {
    exchange_fail(x, 400, "inputs", "input 'text_pair': %s",
                  job->served->linear ? "the model takes one text" : "not together with candidate_labels");
    return false;
  }
  if (!is_column(x, text, n) || !oip_input_texts(x, text, job, first)) return false;
  if (pair && (!is_column(x, pair, n) || !oip_input_texts(x, pair, job, second))) return false;
  for (size_t i = 0; i < n; i++) {
    job->items[i].text = first[i];
    if (!pair) continue;
    job->items[i].text.pair = second[i].text;
    job->items[i].text.pair_len = second[i].len;
  }
  return true;
}

// The (N, columns) of an input beside `input_ids`, all `absent` without one. NULL: answered.
static int64_t *matrix(struct exchange *x, struct job *job, const struct oip_inputs *inputs, const char *name,
                       int64_t absent) {
  const struct oip_input *ids = oip_input_find(inputs, "input_ids"), *in = oip_input_find(inputs, name);
  size_t bytes;
  int64_t *out = size_mul(ids->count, sizeof *out, &bytes) ? job_alloc(job, bytes) : NULL;
  if (!out) {
    out_of_memory(x);
    return NULL;
  }
  for (size_t i = 0; !in && i < ids->count; i++) out[i] = absent;
  if (!in) return out;
  if (in->rank != 2 || in->shape[0] != ids->shape[0] || in->shape[1] != ids->shape[1]) {
    exchange_fail(x, 400, "inputs", "input '%s': expected two sizes, the same as input_ids", name);
    return NULL;
  }
  return oip_input_ints(x, in, out) ? out : NULL;
}

// Where the mask's run of ones begins and ends. False: answered.
static bool run_of(struct exchange *x, const int64_t *mask, size_t row, size_t columns, size_t *from, size_t *to) {
  size_t ones = 0;
  *from = *to = 0;
  for (size_t i = 0; i < columns; i++) {
    if (mask[i] == 1 && !ones++) *from = i;
    if (mask[i] == 1) *to = i + 1;
    if (mask[i] == 0 || mask[i] == 1) continue;
    exchange_fail(x, 400, "inputs", "input 'attention_mask', row %zu: expected 0 or 1, found %lld", row,
                  (long long)mask[i]);
    return false;
  }
  if (ones && ones == *to - *from) return true;
  exchange_fail(x, 400, "inputs", "input 'attention_mask', row %zu: expected one run of ones, found %s", row,
                ones ? "gaps" : "none");
  return false;
}

static bool below(struct exchange *x, const char *name, size_t row, int64_t value, size_t limit) {
  if (value >= 0 && (uint64_t)value < limit) return true;
  exchange_fail(x, 400, "inputs", "input '%s', row %zu: expected 0 to %zu, found %lld", name, row, limit - 1,
                (long long)value);
  return false;
}

// All that the model would refuse is refused here: it computes for several clients at once, and refuses all of them.
static bool row_into(struct exchange *x, struct job *job, size_t row, const int64_t *ids, const int64_t *types,
                     size_t n) {
  const pare_model *m = served_model(job->served);
  size_t vocab = pare_model_vocab_size(m), most = pare_model_max_tokens(m), kinds = pare_model_type_count(m);
  if (n > most) {
    exchange_fail(x, 400, "inputs", "input 'input_ids', row %zu: expected at most %zu tokens, found %zu", row, most, n);
    return false;
  }
  uint32_t *out = job_alloc(job, n * sizeof *out);
  uint8_t *type = job_alloc(job, n);
  if (!out || !type) return out_of_memory(x);
  for (size_t i = 0; i < n; i++) {
    if (!below(x, "input_ids", row, ids[i], vocab)) return false;
    if (!below(x, "token_type_ids", row, types[i], kinds ? kinds : UINT8_MAX + 1)) return false;
    out[i] = (uint32_t)ids[i];
    type[i] = (uint8_t)types[i];
  }
  job->items[row].ids = out;
  job->items[row].types = type;
  job->items[row].id_count = n;
  return true;
}

static bool ids_into(struct exchange *x, const struct oip_inputs *inputs, struct job *job) {
  const struct oip_input *in = oip_input_find(inputs, "input_ids");
  if (job->served->linear || job->classify.labels) {
    exchange_fail(x, 400, "inputs", "input 'input_ids': %s",
                  job->served->linear ? "the model takes texts" : "not together with candidate_labels");
    return false;
  }
  const int64_t *ids = matrix(x, job, inputs, "input_ids", 0), *mask, *types;
  if (!ids || !(mask = matrix(x, job, inputs, "attention_mask", 1)) ||
      !(types = matrix(x, job, inputs, "token_type_ids", 0)))
    return false;
  for (size_t row = 0; row < job->count; row++) {
    size_t columns = in->shape[1], at = row * columns, from, to;
    if (!run_of(x, mask + at, row, columns, &from, &to) ||
        !row_into(x, job, row, ids + at + from, types + at + from, to - from))
      return false;
  }
  return true;
}

// Text or ids, and nothing that is neither: a misspelt name is not silently left out. NULL: answered.
static const struct oip_input *main_input(struct exchange *x, const struct oip_inputs *inputs) {
  static const char *const names[] = {"text", "text_pair", "input_ids", "attention_mask", "token_type_ids"};
  const struct oip_input *text = oip_input_find(inputs, "text"), *ids = oip_input_find(inputs, "input_ids");
  for (size_t i = 0; i < inputs->count; i++) {
    const char *name = inputs->list[i].name;
    size_t known = 0;
    while (known < 5 && strcmp(name, names[known])) known++;
    bool of_text = known < 2;
    if (known < 5 && (of_text ? text && !ids : ids && !text)) continue;
    exchange_fail(x, 400, "inputs",
                  "input '%.80s': expected text (and text_pair), or input_ids (and attention_mask, "
                  "token_type_ids)%s",
                  name, known < 5 ? ", not both" : "");
    return NULL;
  }
  return text ? text : ids;
}

// ---- the answer -----------------------------------------------------------------------------------------------------

static const float *values_of(const struct job_item *item, enum output o) {
  return o == OUT_EMBEDDING ? item->vector : o == OUT_LOGITS ? item->logits : item->scores;
}

static bool by_value(const float *values, size_t a, size_t b) {
  return values[a] > values[b] || (values[a] == values[b] && a < b);
}

// "value:index:label" of the k highest; each text from the job's memory.
static bool classes_of(struct job *job, const float *values, size_t labels, size_t k, struct pare_text *out) {
  size_t last = SIZE_MAX;
  for (size_t i = 0; i < k; i++) {
    size_t best = SIZE_MAX;
    for (size_t l = 0; l < labels; l++)
      if ((last == SIZE_MAX || by_value(values, last, l)) && (best == SIZE_MAX || by_value(values, l, best))) best = l;
    if (best == SIZE_MAX) return false; // not numbers
    const char *label = job_label(job, best);
    size_t room = strlen(label) + 64;
    char *text = job_alloc(job, room);
    if (!text) return false;
    int len = snprintf(text, room, "%.9g:%zu:%s", (double)values[best], best, label);
    out[i] = (struct pare_text){.text = text, .len = (size_t)len};
    last = best;
  }
  return true;
}

static bool write_classes(struct job *job, const struct wanted *w, size_t width, struct oip_writer *out) {
  size_t k = size_min(w->classes, width);
  struct pare_text *texts = job_alloc(job, job->count * k * sizeof *texts);
  for (size_t i = 0; texts && i < job->count; i++)
    if (!classes_of(job, values_of(&job->items[i], w->output), width, k, texts + i * k)) return false;
  if (texts) oip_write_texts(out, output_names[w->output], w->binary, (struct oip_shape){2, {job->count, k}}, texts);
  return texts != NULL;
}

static bool write_best(struct job *job, const struct wanted *w, size_t labels, struct oip_writer *out) {
  struct oip_shape shape = {1, {job->count}};
  struct pare_text *texts = job_alloc(job, job->count * sizeof *texts);
  float *scores = job_alloc(job, job->count * sizeof *scores);
  if (!texts || !scores) return false;
  for (size_t i = 0; i < job->count; i++) {
    const float *s = job->items[i].scores;
    size_t best = 0;
    for (size_t l = 1; l < labels; l++)
      if (s[l] > s[best]) best = l;
    texts[i] = (struct pare_text){.text = job_label(job, best), .len = strlen(job_label(job, best))};
    scores[i] = s[best];
  }
  if (w->output == OUT_LABEL) oip_write_texts(out, "label", w->binary, shape, texts);
  if (w->output == OUT_SCORE) oip_write_floats(out, "score", w->binary, shape, scores);
  return true;
}

static bool write_rows(struct job *job, const struct wanted *w, size_t width, struct oip_writer *out) {
  float *rows = job_alloc(job, job->count * width * sizeof *rows);
  if (!rows) return false;
  for (size_t i = 0; i < job->count; i++)
    memcpy(rows + i * width, values_of(&job->items[i], w->output), width * sizeof *rows);
  oip_write_floats(out, output_names[w->output], w->binary, (struct oip_shape){2, {job->count, width}}, rows);
  return true;
}

static void write_answer(struct exchange *x) {
  struct job *job = x->job;
  const struct infer *infer = x->state;
  size_t width = job->op == JOB_EMBED ? pare_model_output_width(served_model(job->served)) : job_labels(job);
  struct oip_writer out = {0};
  json_t *head = oip_head(job->served);
  if (infer->id) json_object_set_new(head, "id", json_string(infer->id));
  for (size_t i = 0; i < infer->count; i++) {
    const struct wanted *w = &infer->wanted[i];
    bool best = w->output == OUT_LABEL || w->output == OUT_SCORE;
    bool ok = w->classes ? write_classes(job, w, width, &out)
              : best     ? write_best(job, w, width, &out)
                         : write_rows(job, w, width, &out);
    out.failed = out.failed || !ok;
  }
  oip_write_end(x, &out, head);
}

// ---- the request ----------------------------------------------------------------------------------------------------

static void read_deadline(struct fields *p, struct job *job) {
  uint64_t now = clock_ns(), most = p->x->config->limits.timeout_ms * UINT64_C(1000000);
  // Microseconds; up to a year, so that nothing overflows. 0 is none, as without it.
  uint64_t ns = (uint64_t)fields_size(p, "timeout", 0, 0, (size_t)365 * 86400 * 1000000) * 1000;
  if (ns) job->deadline_ns = now + (most && ns > most ? most : ns);
}

static bool fill(struct exchange *x, const struct oip_inputs *inputs, struct job *job) {
  struct fields f = fields_of_body(x);
  struct fields p = fields_below(&f, "parameters");
  struct infer *infer = job_alloc(job, sizeof *infer);
  if (!infer) return out_of_memory(x);
  const char *id = fields_text(&f, "id", NULL);
  infer->id = id ? job_strdup(job, id, strlen(id)) : NULL;
  if (id && !infer->id) return out_of_memory(x);
  x->state = infer;
  read_deadline(&p, job);
  job->raw = !fields_flag(&p, "normalize", true);
  if (job->op == JOB_CLASSIFY) classifying_candidates(&p, job, "candidate_labels");
  return p.ok && read_outputs(x, job->served, &f, &p, infer) &&
         (oip_input_find(inputs, "text") ? texts_into(x, inputs, job) : ids_into(x, inputs, job)) && f.ok && p.ok;
}

void oip_infer(struct exchange *x) {
  static const struct answer answer = {.whole = write_answer};
  struct oip_inputs inputs;
  size_t n;
  struct served *s = oip_model(x);
  if (!s) return;
  if (oip_generates(s)) {
    exchange_fail(x, 400, NULL, "the model '%.200s' writes text: POST /v2/models/%.200s/generate", s->name, s->name);
  } else if (oip_inputs_read(x, &inputs)) {
    const struct oip_input *in = main_input(x, &inputs);
    bool fits = in && row_count(x, in, &n);
    struct job *job = fits ? job_new(s, s->task == PARE_TASK_ENCODE ? JOB_EMBED : JOB_CLASSIFY, n) : NULL;
    if (fits && !job) out_of_memory(x);
    if (job && fill(x, &inputs, job)) {
      exchange_submit(x, job, &answer);
    } else {
      x->state = NULL;
      job_free(job);
    }
  }
  served_release(s);
}
