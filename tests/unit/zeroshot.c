// zeroshot.c - classification: scores follow from the raw logits by formulas written again here, labels are found by
// name, only the premise is cut, and what cannot be answered is refused. Every model is a golden one with a vocabulary
// of 43 words.
#include "model_files.h"

#include "task/classify.h"

enum { MAX_LABELS = 70 };

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

struct nli {
  struct model_files *files;
  pare_model *model;
  pare_session *session;
};

// labels: JSON of id2label; NULL: the golden's own.
static struct nli open_nli(const char *golden, const char *labels) {
  struct nli n = {.files = files_open(golden)};
  struct pare_error err = {0};
  files_tokenizer(n.files);
  if (labels) files_set(n.files, "id2label", json_loads(labels, 0, NULL));
  n.model = files_model(n.files, &engine);
  must(session_open(n.model, 0, &n.session, &err), &err);
  return n;
}

static void close_nli(struct nli *n) {
  session_close(n->session);
  model_close(n->model);
  files_close(n->files);
}

static struct pare_text text_of(const char *text) {
  return (struct pare_text){.text = text, .len = strlen(text)};
}

// Raw logits of premise and hypothesis (NULL: none), by the tokenizer and the session alone.
static void raw_logits(struct nli *n, const char *premise, const char *hypothesis, float *logits) {
  struct pare_text pair = text_of(premise);
  struct encoded e = {0};
  struct pare_error err = {0};
  pair.pair = hypothesis;
  pair.pair_len = hypothesis ? strlen(hypothesis) : 0;
  must(model_tokenize(n->model, &pair, 0, false, &e, &err), &err);
  assert_false(e.truncated);
  must(session_logits(n->session, &(struct pare_sequence){.ids = e.ids, .types = e.types, .len = e.len}, 1, logits,
                      &err),
       &err);
  encoded_free(&e);
}

static void near(const char *what, size_t i, double expected, float found) {
  if (!(fabs(expected - (double)found) <= 1e-6))
    fail_msg("%s: label %zu: expected %.9g, found %.9g", what, i, expected, (double)found);
}

static const char *const texts[] = {"the news is red", "about sport", "a b c ! d", "green"};
enum { TEXTS = sizeof texts / sizeof texts[0] };
static const char *const phrases[] = {"sport", "the blue news", "x"};

// Softmax over the candidates of the entailment logits; or, each by itself, entailment against contradiction.
static void check_scores(struct nli *n, size_t entail, size_t contradict, const char *template_text, const char *before,
                         const char *after, size_t label_count, bool multi) {
  struct pare_text input[TEXTS];
  for (size_t t = 0; t < TEXTS; t++) input[t] = text_of(texts[t]);
  struct pare_classify_options o = {
      .labels = phrases, .label_count = label_count, .template_text = template_text, .multi_label = multi};
  float scores[TEXTS * 3], logits[TEXTS * 3], raw[3][8];
  struct pare_error err = {0};
  must(classify_run(n->session, input, TEXTS, &o, scores, logits, &err), &err);
  assert_int_equal(classify_label_count(n->model, &o), label_count);
  for (size_t t = 0; t < TEXTS; t++) {
    double sum = 0;
    for (size_t l = 0; l < label_count; l++) {
      char hypothesis[200];
      snprintf(hypothesis, sizeof hypothesis, "%s%s%s", before, phrases[l], after);
      raw_logits(n, texts[t], hypothesis, raw[l]);
      sum += exp((double)raw[l][entail]);
    }
    for (size_t l = 0; l < label_count; l++) {
      double e = exp((double)raw[l][entail]), c = exp((double)raw[l][contradict]);
      near(texts[t], l, multi || label_count == 1 ? e / (e + c) : e / sum, scores[t * label_count + l]);
      assert_memory_equal(&logits[t * label_count + l], &raw[l][entail], sizeof(float));
    }
  }
}

static void scores_follow_from_the_logits_of_pairs(void **state) {
  (void)state;
  static const char *const goldens[] = {"models/bert", "models/distilbert"};
  for (size_t i = 0; i < 2; i++) {
    struct nli n = open_nli(goldens[i], NULL);
    for (size_t labels = 1; labels <= 3; labels++)
      for (int multi = 0; multi < 2; multi++) check_scores(&n, 0, 2, NULL, "This example is ", ".", labels, multi);
    check_scores(&n, 0, 2, "{}", "", "", 3, false);
    check_scores(&n, 0, 2, "is the news about {} ! {}", "is the news about ", " ! {}", 3, true); // one hole
    close_nli(&n);
  }
}

static void labels_are_found_by_name(void **state) {
  (void)state;
  static const struct {
    const char *labels;
    size_t entail, contradict;
  } cases[] = {
      {"{\"0\": \"CONTRADICTION\", \"1\": \"NEUTRAL\", \"2\": \"ENTAILMENT\"}", 2, 0},
      {"{\"0\": \"neutral\", \"1\": \"Entailment\", \"2\": \"contradiction\"}", 1, 2},
      {"{\"2\": \"contradict\", \"1\": \"neutral\", \"0\": \"entails\"}", 0, 2},
      {"{\"0\": \"no\", \"1\": \"entailment\", \"2\": \"not_entailment\"}", 1, 0}, // no contradiction: the first ...
      {"{\"0\": \"entailment\", \"1\": \"maybe\", \"2\": \"no\"}", 0, 2}};         // ... or the last
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct nli n = open_nli("models/bert", cases[i].labels);
    for (int multi = 0; multi < 2; multi++)
      check_scores(&n, cases[i].entail, cases[i].contradict, NULL, "This example is ", ".", 3, multi);
    close_nli(&n);
  }
}

// More pairs than are run together: the answers are those of one text at a time, one label at a time.
static void groups_change_nothing(void **state) {
  (void)state;
  struct nli n = open_nli("models/bert", NULL);
  const char *labels[MAX_LABELS];
  char names[MAX_LABELS][8];
  for (size_t i = 0; i < MAX_LABELS; i++) {
    snprintf(names[i], sizeof names[i], "%c %c", 'a' + (int)(i % 26), 'a' + (int)(i / 26));
    labels[i] = names[i];
  }
  struct pare_text input[3] = {text_of(texts[0]), text_of(texts[1]), text_of(texts[2])};
  float all[3 * MAX_LABELS], alone[MAX_LABELS], score[MAX_LABELS], scores[3 * MAX_LABELS];
  struct pare_classify_options o = {.labels = labels, .label_count = MAX_LABELS};
  must(classify_run(n.session, input, 3, &o, scores, all, NULL), NULL);
  for (size_t t = 0; t < 3; t++) {
    must(classify_run(n.session, &input[t], 1, &o, score, alone, NULL), NULL);
    assert_memory_equal(alone, all + t * MAX_LABELS, sizeof alone);
    assert_memory_equal(score, scores + t * MAX_LABELS, sizeof score);
    double sum = 0;
    for (size_t l = 0; l < MAX_LABELS; l++) sum += (double)score[l];
    near("sum of scores", t, 1, (float)sum);
  }
  struct pare_text many[130];
  float own[130 * 3], one[3];
  for (size_t i = 0; i < 130; i++) many[i] = text_of(names[i % MAX_LABELS]);
  must(classify_run(n.session, many, 130, NULL, own, NULL, NULL), NULL);
  for (size_t i = 0; i < 130; i++) {
    must(classify_run(n.session, &many[i], 1, NULL, one, NULL, NULL), NULL);
    assert_memory_equal(one, own + i * 3, sizeof one);
  }
  must(classify_run(n.session, NULL, 0, NULL, NULL, NULL, NULL), NULL);
  must(classify_run(n.session, NULL, 0, &o, NULL, NULL, NULL), NULL);
  close_nli(&n);
}

// 70 positions, 3 special tokens, "this example is x ." 5 more: 62 words of the premise stay.
static void only_the_premise_is_cut(void **state) {
  (void)state;
  struct nli n = open_nli("models/bert", NULL);
  char premise[300] = "", fits[300];
  for (size_t i = 0; i < 100; i++) snprintf(premise + 2 * i, 3, "%c ", 'a' + (int)(i * 7 % 26));
  memcpy(fits, premise, 2 * 62);
  fits[2 * 62] = 0;
  struct pare_text input = text_of(premise);
  struct pare_classify_options o = {.labels = (const char *const[]){"x"}, .label_count = 1};
  float score, logit, raw[3];
  must(classify_run(n.session, &input, 1, &o, &score, &logit, NULL), NULL);
  raw_logits(&n, fits, "This example is x.", raw);
  assert_memory_equal(&logit, &raw[0], sizeof logit);
  o.max_tokens = 20; // 12 words stay
  must(classify_run(n.session, &input, 1, &o, &score, &logit, NULL), NULL);
  fits[2 * 12] = 0;
  raw_logits(&n, fits, "This example is x.", raw);
  assert_memory_equal(&logit, &raw[0], sizeof logit);
  o.labels = (const char *const[]){premise}; // a hypothesis that cannot fit is not cut
  o.max_tokens = 0;
  struct pare_error err = {0};
  assert_int_equal(classify_run(n.session, &input, 1, &o, &score, &logit, &err), PARE_DATA);
  close_nli(&n);
}

static void refused(struct nli *n, const struct pare_classify_options *o, enum pare_status expected,
                    const char *needle) {
  struct pare_text input = text_of("news");
  struct pare_error err = {0};
  float scores[8];
  assert_int_equal(classify_run(n->session, &input, 1, o, scores, NULL, &err), expected);
  if (!strstr(err.text, needle)) fail_msg("the message does not hold \"%s\": %s", needle, err.text);
}

static void what_cannot_be_answered_is_refused(void **state) {
  (void)state;
  struct nli n = open_nli("models/bert", NULL);
  refused(&n, &(struct pare_classify_options){.labels = phrases, .label_count = 3, .template_text = "no hole"},
          PARE_USAGE, "{}");
  refused(&n, &(struct pare_classify_options){.labels = phrases, .label_count = 3, .template_text = ""}, PARE_USAGE,
          "{}");
  refused(&n, &(struct pare_classify_options){.labels = phrases, .label_count = 3, .template_text = "{ }"}, PARE_USAGE,
          "{}");
  refused(&n, &(struct pare_classify_options){.labels = phrases}, PARE_USAGE, "no candidate labels");
  close_nli(&n);
  n = open_nli("models/bert", "{\"0\": \"yes\", \"1\": \"not_entailment\", \"2\": \"contradiction\"}");
  refused(&n, &(struct pare_classify_options){.labels = phrases, .label_count = 3}, PARE_DATA,
          "no label named entailment");
  close_nli(&n);
  n = (struct nli){.files = files_open("models/gpt2-lm")};
  n.model = files_model(n.files, &engine);
  must(session_open(n.model, 0, &n.session, NULL), NULL);
  refused(&n, NULL, PARE_USAGE, "not a classifier");
  refused(&n, &(struct pare_classify_options){.labels = phrases, .label_count = 3}, PARE_USAGE, "not a classifier");
  close_nli(&n);
  n = (struct nli){.files = files_open("models/bert")}; // no tokenizer
  n.model = files_model(n.files, &engine);
  must(session_open(n.model, 0, &n.session, NULL), NULL);
  refused(&n, NULL, PARE_NOFILE, "no tokenizer");
  close_nli(&n);
}

// ---- the model's own head ----

static void own_scores(struct nli *n, const struct pare_classify_options *o, float *scores, float *raw) {
  struct pare_text input = text_of(texts[0]);
  float logits[8];
  size_t N = n->model->config.N;
  must(classify_run(n->session, &input, 1, o, scores, logits, NULL), NULL);
  raw_logits(n, texts[0], NULL, raw);
  assert_memory_equal(logits, raw, N * sizeof *raw);
}

static void own_heads_follow_their_problem_type(void **state) {
  (void)state;
  float scores[8], raw[8];
  struct nli n = open_nli("models/bert", NULL);
  own_scores(&n, NULL, scores, raw);
  double sum = exp((double)raw[0]) + exp((double)raw[1]) + exp((double)raw[2]);
  for (size_t i = 0; i < 3; i++) near("softmax", i, exp((double)raw[i]) / sum, scores[i]);
  own_scores(&n, &(struct pare_classify_options){.multi_label = true}, scores, raw);
  for (size_t i = 0; i < 3; i++) near("multi-label asked for", i, 1 / (1 + exp(-(double)raw[i])), scores[i]);
  close_nli(&n);
  n = open_nli("models/distilbert-multi-label", NULL);
  assert_true(classify_multi_label(n.model, NULL));
  own_scores(&n, NULL, scores, raw);
  for (size_t i = 0; i < n.model->config.N; i++) near("sigmoid", i, 1 / (1 + exp(-(double)raw[i])), scores[i]);
  close_nli(&n);
  n = open_nli("models/distilbert-regression", NULL);
  own_scores(&n, NULL, scores, raw);
  for (size_t i = 0; i < n.model->config.N; i++) assert_memory_equal(&scores[i], &raw[i], sizeof raw[i]);
  close_nli(&n);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scores_follow_from_the_logits_of_pairs),
      cmocka_unit_test(labels_are_found_by_name),
      cmocka_unit_test(groups_change_nothing),
      cmocka_unit_test(only_the_premise_is_cut),
      cmocka_unit_test(what_cannot_be_answered_is_refused),
      cmocka_unit_test(own_heads_follow_their_problem_type),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
