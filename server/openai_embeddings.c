// openai_embeddings.c - POST /v1/embeddings: one vector of length 1 for each input, from an encoder.
#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "inputs.h"
#include "protocols.h"

// x->state
struct embedding {
  bool base64;
  size_t width; // of the vectors that are sent
};

// ---- the request --------------------------------------------------------------------------------------------------

static void read_format(struct fields *f, struct embedding *e, size_t width) {
  const char *format = fields_text(f, "encoding_format", "float");
  e->base64 = !strcmp(format, "base64");
  if (!e->base64 && strcmp(format, "float")) fields_fail(f, "encoding_format", "\"float\" or \"base64\"");
  e->width = fields_size(f, "dimensions", width, 1, width);
}

static struct job *make_job(struct fields *f, struct served *s, const struct inputs *in, const struct embedding *e) {
  struct job *job = job_new(s, JOB_EMBED, in->count);
  struct embedding *state = job ? job_alloc(job, sizeof *state) : NULL;
  bool fine = state != NULL;
  for (size_t i = 0; fine && i < in->count; i++) fine = inputs_put(in, i, job, &job->items[i]);
  if (!fine) {
    inputs_no_memory(f);
    job_free(job);
    return NULL;
  }
  *state = *e;
  f->x->state = state;
  return job;
}

static const struct answer embedding_answer;

static void handle(struct exchange *x) {
  struct fields f = fields_of_body(x);
  const char *name = fields_text(&f, "model", NULL);
  struct served *s = f.ok ? exchange_model(x, name) : NULL;
  if (!s) return;
  struct inputs in;
  struct embedding e = {0};
  const pare_model *model = served_model(s);
  if (s->task != PARE_TASK_ENCODE) {
    exchange_fail(x, 400, "model", "model: expected an encoder, found '%.200s', which is none", s->name);
    f.ok = false;
  }
  read_format(&f, &e, pare_model_output_width(model));
  inputs_of_body(&f, "input", s, x->config->limits.texts, pare_model_max_tokens(model), &in);
  struct job *job = f.ok ? make_job(&f, s, &in, &e) : NULL;
  served_release(s);
  if (job) exchange_submit(x, job, &embedding_answer);
}

// ---- the answer ---------------------------------------------------------------------------------------------------

// 32-bit floats, little-endian, as RFC 4648 text.
static json_t *as_base64(const float *vector, size_t n) {
  unsigned char *bytes = malloc(n * 4), *text = malloc((n * 4 + 2) / 3 * 4 + 1);
  json_t *value = NULL;
  if (bytes && text) {
    for (size_t i = 0; i < n; i++) {
      uint32_t word;
      memcpy(&word, &vector[i], sizeof word);
      for (size_t k = 0; k < 4; k++) bytes[4 * i + k] = (unsigned char)(word >> (8 * k));
    }
    int len = EVP_EncodeBlock(text, bytes, (int)(n * 4));
    value = json_stringn((const char *)text, (size_t)len);
  }
  free(bytes);
  free(text);
  return value;
}

// The first n of a vector, of length 1 again.
static void shorten(float *vector, size_t n) {
  double square = 0;
  for (size_t i = 0; i < n; i++) square += (double)vector[i] * (double)vector[i];
  for (size_t i = 0; i < n && square > 0; i++) vector[i] = (float)((double)vector[i] / sqrt(square));
}

static void whole(struct exchange *x) {
  const struct embedding *e = x->state;
  const struct job *job = x->job;
  size_t tokens = 0, width = pare_model_output_width(served_model(job->served));
  json_t *data = json_array();
  bool fine = true;
  for (size_t i = 0; fine && i < job->count; i++) {
    struct job_item *item = &job->items[i];
    tokens += item->tokens;
    if (e->width < width) shorten(item->vector, e->width);
    json_t *vector = e->base64 ? as_base64(item->vector, e->width) : job_floats(item->vector, e->width);
    fine = !json_array_append_new(
        data, json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)i, "embedding", vector));
  }
  json_t *answer =
      json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", data, "model", job->served->name, "usage",
                "prompt_tokens", (json_int_t)tokens, "total_tokens", (json_int_t)tokens);
  if (!fine) {
    json_decref(answer);
    answer = NULL;
  }
  exchange_json(x, 200, answer);
}

static const struct answer embedding_answer = {.whole = whole};

const struct route embeddings_routes[] = {
    {"POST", "/v1/embeddings", handle, ERROR_OPENAI, "embeddings"},
};
const size_t embeddings_route_count = sizeof embeddings_routes / sizeof *embeddings_routes;
