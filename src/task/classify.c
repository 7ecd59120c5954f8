// classify.c - see classify.h. Texts are tokenized and run in groups, so memory is bounded whatever n is; grouping
// changes no bit.
//
// Zero-shot (Yin et al. 2019; transformers' pipeline rules): every candidate phrase becomes a hypothesis, "This example
// is {}.", and the model judges premise against hypothesis. Single label: softmax of the entailment logits over the
// candidates. Multi-label, or one candidate: entailment against contradiction for each. Only the premise is ever
// truncated.
#include "task/classify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/size.h"

enum { GROUP = 64 }; // sequences tokenized together

size_t classify_label_count(const pare_model *m, const struct pare_classify_options *o) {
  return o && o->labels ? o->label_count : m->config.N;
}

const char *classify_label(const pare_model *m, const struct pare_classify_options *o, size_t i) {
  return o && o->labels ? o->labels[i] : m->labels[i];
}

bool classify_multi_label(const pare_model *m, const struct pare_classify_options *o) {
  if (o && o->labels) return o->multi_label || o->label_count == 1;
  return (o && o->multi_label) || m->config.multi_label;
}

static void softmax(const float *x, size_t n, float *out) {
  double max = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) max = fmax(max, (double)x[i]);
  for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
  for (size_t i = 0; i < n; i++) out[i] = (float)(exp((double)x[i] - max) / sum);
}

static float sigmoid(float x) {
  return (float)(1.0 / (1.0 + exp(-(double)x)));
}

// A group of sequences on its way through the session.
struct group {
  struct encoded encoded[GROUP];
  struct pare_sequence sequences[GROUP];
  float *logits; // (GROUP, N)
};

static enum pare_status group_new(const pare_model *m, struct group **out, struct pare_error *err) {
  struct group *g = calloc(1, sizeof *g);
  if (g) g->logits = malloc(GROUP * m->config.N * sizeof(float));
  *out = g;
  return g && g->logits ? PARE_OK : error_no_memory(err);
}

static void group_free(struct group *g) {
  for (size_t i = 0; g && i < GROUP; i++) encoded_free(&g->encoded[i]);
  if (g) free(g->logits);
  free(g);
}

static enum pare_status group_add(struct group *g, size_t i, const pare_model *m, const struct pare_text *text,
                                  size_t max_tokens, bool only_first, struct pare_error *err) {
  enum pare_status s = model_tokenize(m, text, max_tokens, only_first, &g->encoded[i], err);
  if (!s)
    g->sequences[i] =
        (struct pare_sequence){.ids = g->encoded[i].ids, .types = g->encoded[i].types, .len = g->encoded[i].len};
  return s;
}

static void own_scores(const pare_model *m, const struct pare_classify_options *o, const float *logits, float *scores) {
  size_t N = m->config.N;
  if (m->config.regression) {
    memcpy(scores, logits, N * sizeof(float)); // a regression's answer is the number itself
  } else if (classify_multi_label(m, o)) {
    for (size_t i = 0; i < N; i++) scores[i] = sigmoid(logits[i]);
  } else {
    softmax(logits, N, scores);
  }
}

// The same of a linear classifier, whose answers take less time than exact exponentials would; scores holds the logits.
static void bag_scores(const pare_model *m, const struct pare_classify_options *o, float *scores) {
  size_t N = m->config.N;
  if (classify_multi_label(m, o)) {
    own_scores(m, o, scores, scores);
  } else {
    float sum = m->kernels->softmax_exp(scores, N, 1.0f);
    m->kernels->div(scores, N, sum);
  }
}

// A linear classifier's texts, one by one: what a group shares would cost more than the answers.
static enum pare_status run_bag(pare_session *s, const struct pare_text *texts, size_t n,
                                const struct pare_classify_options *o, float *scores, float *logits,
                                struct pare_error *err) {
  const pare_model *m = s->model;
  size_t N = m->config.N;
  for (size_t i = 0; i < n; i++, scores += N) {
    enum pare_status status = session_text_logits(s, &texts[i], o ? o->max_tokens : 0, scores, err);
    if (status) return status;
    if (logits) memcpy(logits + i * N, scores, N * sizeof(float));
    bag_scores(m, o, scores);
  }
  return PARE_OK;
}

static enum pare_status run_own(pare_session *s, const struct pare_text *texts, size_t n,
                                const struct pare_classify_options *o, float *scores, float *logits,
                                struct pare_error *err) {
  const pare_model *m = s->model;
  size_t N = m->config.N;
  struct group *g;
  enum pare_status status = group_new(m, &g, err);
  for (size_t first = 0; !status && first < n; first += GROUP) {
    size_t count = size_min(GROUP, n - first);
    for (size_t i = 0; !status && i < count; i++)
      status = group_add(g, i, m, &texts[first + i], o ? o->max_tokens : 0, false, err);
    if (!status) status = session_logits(s, g->sequences, count, g->logits, err);
    if (status) break;
    for (size_t i = 0; i < count; i++) own_scores(m, o, g->logits + i * N, scores + (first + i) * N);
    if (logits) memcpy(logits + first * N, g->logits, count * N * sizeof(float));
  }
  group_free(g);
  return status;
}

// Entailment and contradiction are found by name: models order them differently.
static enum pare_status nli_labels(const pare_model *m, size_t *entail, size_t *contradict, struct pare_error *err) {
  *entail = *contradict = SIZE_MAX;
  for (size_t i = 0; i < m->config.N; i++) {
    if (*entail == SIZE_MAX && !strncasecmp(m->labels[i], "entail", 6)) *entail = i;
    if (*contradict == SIZE_MAX && !strncasecmp(m->labels[i], "contra", 6)) *contradict = i;
  }
  if (*entail == SIZE_MAX)
    return error_set(err, PARE_DATA,
                     "%s: candidate labels need a natural-language-inference model: no label named entailment",
                     m->path);
  if (*contradict == SIZE_MAX) *contradict = *entail == 0 ? m->config.N - 1 : 0; // as the pipeline does
  return PARE_OK;
}

static char *hypothesis(const char *template_text, const char *label) {
  const char *hole = strstr(template_text, "{}");
  size_t cap = strlen(template_text) + strlen(label) + 1;
  char *out = malloc(cap);
  if (out) snprintf(out, cap, "%.*s%s%s", (int)(hole - template_text), template_text, label, hole + 2);
  return out;
}

struct zeroshot {
  char **hypotheses;
  size_t count, entail, contradict;
};

static enum pare_status zeroshot_init(const pare_model *m, const struct pare_classify_options *o, struct zeroshot *z,
                                      struct pare_error *err) {
  const char *template_text = o->template_text ? o->template_text : "This example is {}.";
  *z = (struct zeroshot){.count = o->label_count};
  if (!strstr(template_text, "{}"))
    return error_set(err, PARE_USAGE, "the template \"%.100s\" has no {} for the label", template_text);
  if (!z->count) return error_set(err, PARE_USAGE, "no candidate labels given");
  enum pare_status s = nli_labels(m, &z->entail, &z->contradict, err);
  if (s) return s;
  z->hypotheses = calloc(z->count, sizeof *z->hypotheses);
  if (!z->hypotheses) return error_no_memory(err);
  for (size_t i = 0; i < z->count; i++)
    if (!(z->hypotheses[i] = hypothesis(template_text, o->labels[i]))) return error_no_memory(err);
  return PARE_OK;
}

static void zeroshot_free(struct zeroshot *z) {
  for (size_t i = 0; z->hypotheses && i < z->count; i++) free(z->hypotheses[i]);
  free(z->hypotheses);
}

// Of entailment against contradiction.
static float entailment_score(const struct zeroshot *z, const float *row) {
  float both[2] = {row[z->contradict], row[z->entail]}, p[2];
  softmax(both, 2, p);
  return p[1];
}

// Pairs (text, hypothesis) are numbered text by text; a group takes the next GROUP of them.
static enum pare_status run_zeroshot(pare_session *s, const struct pare_text *texts, size_t n,
                                     const struct pare_classify_options *o, float *scores, float *logits,
                                     struct pare_error *err) {
  const pare_model *m = s->model;
  size_t N = m->config.N, L = o->label_count;
  struct zeroshot z;
  struct group *g = NULL;
  float *entail = malloc((n ? n : 1) * (L ? L : 1) * sizeof(float));
  enum pare_status status = zeroshot_init(m, o, &z, err);
  if (!status) status = entail ? group_new(m, &g, err) : error_no_memory(err);
  for (size_t first = 0; !status && first < n * L; first += GROUP) {
    size_t count = size_min(GROUP, n * L - first);
    for (size_t i = 0; !status && i < count; i++) {
      size_t text = (first + i) / L, label = (first + i) % L;
      struct pare_text pair = {texts[text].text, texts[text].len, z.hypotheses[label], strlen(z.hypotheses[label])};
      status = group_add(g, i, m, &pair, o->max_tokens, true, err);
    }
    if (!status) status = session_logits(s, g->sequences, count, g->logits, err);
    for (size_t i = 0; !status && i < count; i++) {
      const float *row = g->logits + i * N;
      entail[first + i] = row[z.entail];
      scores[first + i] = entailment_score(&z, row);
    }
  }
  for (size_t i = 0; !status && !classify_multi_label(m, o) && i < n; i++) softmax(entail + i * L, L, scores + i * L);
  if (!status && logits) memcpy(logits, entail, n * L * sizeof(float));
  group_free(g);
  free(entail);
  zeroshot_free(&z);
  return status;
}

size_t classify_sequence_count(const struct pare_classify_options *o) {
  return o && o->labels ? o->label_count : 1;
}

enum pare_status classify_tokenize(const pare_model *m, const struct pare_text *text,
                                   const struct pare_classify_options *o, struct encoded *out, struct pare_error *err) {
  if (m->config.task != ARCH_CLASSIFY) return error_set(err, PARE_USAGE, "%s: not a classifier", m->path);
  size_t max_tokens = o ? o->max_tokens : 0;
  if (!o || !o->labels) return model_tokenize(m, text, max_tokens, false, out, err);
  struct zeroshot z;
  enum pare_status s = zeroshot_init(m, o, &z, err);
  for (size_t i = 0; !s && i < z.count; i++) {
    struct pare_text pair = {text->text, text->len, z.hypotheses[i], strlen(z.hypotheses[i])};
    s = model_tokenize(m, &pair, max_tokens, true, &out[i], err);
  }
  zeroshot_free(&z);
  return s;
}

enum pare_status classify_scores(const pare_model *m, const struct pare_classify_options *o, const float *rows,
                                 float *scores, float *logits, struct pare_error *err) {
  size_t N = m->config.N;
  if (!o || !o->labels) {
    if (logits) memcpy(logits, rows, N * sizeof(float));
    if (m->arch->bag) {
      memcpy(scores, rows, N * sizeof(float));
      bag_scores(m, o, scores);
    } else {
      own_scores(m, o, rows, scores);
    }
    return PARE_OK;
  }
  struct zeroshot z = {.count = o->label_count};
  enum pare_status s = nli_labels(m, &z.entail, &z.contradict, err);
  if (s) return s;
  bool multi = classify_multi_label(m, o);
  for (size_t i = 0; i < z.count; i++) {
    const float *row = rows + i * N;
    scores[i] = multi ? entailment_score(&z, row) : row[z.entail];
    if (logits) logits[i] = row[z.entail];
  }
  if (!multi) softmax(scores, z.count, scores);
  return PARE_OK;
}

enum pare_status classify_run(pare_session *s, const struct pare_text *texts, size_t n,
                              const struct pare_classify_options *options, float *scores, float *logits,
                              struct pare_error *err) {
  if (s->model->config.task != ARCH_CLASSIFY) return error_set(err, PARE_USAGE, "%s: not a classifier", s->model->path);
  if (options && options->labels) return run_zeroshot(s, texts, n, options, scores, logits, err);
  if (s->model->arch->bag) return run_bag(s, texts, n, options, scores, logits, err);
  return run_own(s, texts, n, options, scores, logits, err);
}
