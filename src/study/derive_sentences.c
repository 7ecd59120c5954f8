// derive_sentences.c - the sentences of a study about its models. Each is chosen by the numbers it states, and a
// percentage says of what.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/record.h"
#include "study/derive.h"
#include "study/say.h"
#include "study/sentence.h"

struct part {
  const json_t *json, *record;
  const char *name, *title, *ship;
  struct study_view view; // of the shipped candidate
  size_t models;
};

static struct part part_of(const json_t *study, size_t i) {
  struct part p = {.json = json_array_get(json_object_get(study, "parts"), i)};
  p.record = json_object_get(p.json, "record");
  p.name = record_string(p.json, "name");
  p.title = record_string(p.json, "title");
  if (!p.title) p.title = p.name;
  p.ship = record_string(p.json, "ship");
  p.models = record_model_count(p.record);
  p.view = study_view_at(p.record, record_find_model(p.record, p.ship));
  return p;
}

static void add_said(json_t *list, const struct part *p, const char *prefix, sayer *say) {
  struct buf b = {0};
  buf_printf(&b, "%s%s: ", prefix, p->ship);
  if (say(&b, &p->view)) {
    derive_add_text(list, &b);
  } else {
    buf_free(&b);
  }
}

static void summary(const struct part *p, json_t *list) {
  static sayer *const lines[] = {say_size,      say_speed,      say_memory, say_accuracy,  say_confidence,
                                 say_agreement, say_generation, say_rouge,  say_perplexity};
  char prefix[96];
  snprintf(prefix, sizeof prefix, "%.80s, ", p->title);
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) add_said(list, p, prefix, lines[i]);
}

// ---- what stands below the tables of a part ----

static void insight_spread(const struct part *p, json_t *list) {
  struct study_value base, model;
  struct study_view o;
  struct buf b = {0};
  if (!say_get("latency_std_ms", say_original(&p->view, &o), &base) || !say_get("latency_std_ms", &p->view, &model))
    return;
  if (base.value <= 0) return;
  double change = 100 * (1 - model.value / base.value);
  buf_printf(&b, "The standard deviation of the latency is %.1f %% %s than the original's.", fabs(change),
             change >= 0 ? "lower" : "higher");
  derive_add_text(list, &b);
}

static void insight_percentiles(const struct part *p, json_t *list) {
  struct buf b = {0};
  size_t n = 0;
  record_count(p->view.model, "latency_ms.n", &n);
  if (n == 0) return;
  if (n < stats_percentile_runs(0.99)) {
    buf_printf(&b, "%zu runs say nothing about P99: %zu are needed, and fewer make it the maximum.", n,
               stats_percentile_runs(0.99));
  } else {
    struct study_value p99, median;
    if (!say_get("latency_p99_ms", &p->view, &p99) || !say_get("latency_median_ms", &p->view, &median)) return;
    buf_printf(&b, "P99 is %.2f times the median over %zu runs.", p99.value / median.value, n);
  }
  derive_add_text(list, &b);
}

static void insight_errors(const struct part *p, json_t *list) {
  struct buf b = {0};
  size_t n = 0, wrong, correct;
  if (!record_count(p->view.model, "accuracy.n", &n) || !record_count(p->view.model, "accuracy.correct", &correct))
    return;
  wrong = n - correct;
  struct stats_interval i = stats_wilson(correct, n, 0.95);
  if (wrong == 0) {
    buf_printf(&b, "All %zu answers are right, which proves no more than %.1f %% accuracy (95 %% interval).", n,
               100 * i.low);
  } else {
    buf_printf(&b, "%zu of %zu answers are wrong: accuracy between %.1f and %.1f %% (95 %% interval).", wrong, n,
               100 * i.low, 100 * i.high);
  }
  derive_add_text(list, &b);
}

static json_t *insights(const struct part *p) {
  json_t *list = json_array();
  insight_spread(p, list);
  insight_percentiles(p, list);
  insight_errors(p, list);
  return list;
}

// ---- per candidate: is it worth it? ----

static const char *verdict_of(const struct study_view *v, struct buf *why) {
  struct study_value size;
  struct say_quality quality;
  bool smaller = say_get("size_reduction", v, &size) && size.value > 0, known = say_quality(v, &quality);
  say_size(why, v);
  if (known) {
    buf_puts(why, "; ");
    quality.say(why, v);
  }
  if (!smaller) return "not smaller: keep the original";
  if (!known || !quality.drop.has_interval) return "smaller, quality unknown";
  return quality.drop.low > 0 ? "limited success" : "success";
}

static void verdicts(const struct part *p, json_t *list) {
  for (size_t i = 1; i < p->models; i++) {
    const json_t *m = record_model(p->record, i);
    struct study_view v = study_view_at(p->record, i);
    struct buf why = {0};
    const char *said = verdict_of(&v, &why);
    char *text = buf_take(&why);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "part", p->title, "model", record_model_name(m),
                                          "verdict", said, "reason", text ? text : ""));
    free(text);
  }
}

// ---- findings over all models of a part ----

static const json_t *best(const struct part *p, const char *metric, double *value) {
  const struct study_metric *m = study_metric_find(metric);
  const json_t *found = NULL;
  for (size_t i = 0; i < p->models; i++) {
    struct study_view v = study_view_at(p->record, i);
    struct study_value x;
    const char *reason;
    if (!study_metric_get(m, &v, &x, &reason)) continue;
    if (found && (m->lower_is_better ? x.value >= *value : x.value <= *value)) continue;
    found = v.model;
    *value = x.value;
  }
  return found;
}

static void finding(const struct part *p, const char *what, const char *metric, json_t *list) {
  double value;
  char text[64];
  struct buf b = {0};
  const json_t *m = best(p, metric, &value);
  if (!m) return;
  study_metric_print(study_metric_find(metric), value, text, sizeof text);
  buf_printf(&b, "%s, %s: %s (%s)", p->title, what, record_model_name(m), text);
  // The best of several values need not be better than the original's.
  enum study_change change =
      study_metric_judge(study_metric_find(metric), &(struct study_view){p->record, m, p->view.base});
  if (m != p->view.base && (change == STUDY_SAME || change == STUDY_UNKNOWN))
    buf_puts(&b, "; not measurably better than the original");
  derive_add_text(list, &b);
}

static void trade_offs(const struct part *p, json_t *list) {
  double compression = 0, kept = INFINITY;
  size_t not_worse = 0, judged = 0, faster = 0, timed = 0;
  for (size_t i = 1; i < p->models; i++) {
    struct study_view v = study_view_at(p->record, i);
    struct study_value x;
    if (say_get("compression", &v, &x)) compression = fmax(compression, x.value);
    if (say_get("relative_accuracy", &v, &x)) kept = fmin(kept, x.value);
    if (say_get("accuracy_drop_pp", &v, &x) && x.has_interval) judged++, not_worse += x.low <= 0;
    if (say_get("speedup", &v, &x) && x.has_interval) timed++, faster += x.low > 1;
  }
  struct buf b = {0};
  if (judged) {
    buf_printf(&b, "%s, size against accuracy: ", p->title);
    if (compression > 1) {
      buf_printf(&b, "up to %.2f times smaller", compression);
    } else {
      buf_puts(&b, "no candidate is smaller");
    }
    buf_printf(&b, "; %zu of %zu candidates show no measurable loss of accuracy", not_worse, judged);
    if (isfinite(kept)) buf_printf(&b, ", and the weakest keeps %.2f %% of the original's", kept);
    buf_puts(&b, ".");
    derive_add_text(list, &b);
  }
  if (timed) {
    buf_printf(&b, "%s, size against speed: %zu of %zu candidates are measurably faster than the original.", p->title,
               faster, timed);
    derive_add_text(list, &b);
  }
}

static void findings(const struct part *p, json_t *list) {
  finding(p, "highest accuracy", "accuracy", list);
  finding(p, "smallest file", "size_mb", list);
  finding(p, "lowest memory", "rss_mb", list);
  finding(p, "lowest median latency", "latency_median_ms", list);
  finding(p, "closest texts", "char_similarity", list);
  finding(p, "highest ROUGE-L", "rougeL", list);
  finding(p, "lowest perplexity", "perplexity", list);
  trade_offs(p, list);
}

// ---- advice by audience: the record's own recommendations, which the report's linter recomputes ----

static void advice(const struct part *p, json_t *list) {
  static const struct {
    const char *priority, *text;
  } rows[] = {{"size", "If memory or disk is short"},
              {"accuracy", "If accuracy is critical"},
              {"quality", "If the quality of the text is critical"},
              {"speed", "If speed comes first"},
              {"overall", "Otherwise"}};
  const json_t *found = json_object_get(p->record, "recommendations");
  bool *chosen = calloc(p->models + 1, sizeof *chosen);
  for (size_t r = 0; chosen && r < sizeof rows / sizeof rows[0]; r++) {
    for (size_t i = 0; i < json_array_size(found); i++) {
      const json_t *a = json_array_get(found, i);
      const char *priority = record_string(a, "priority"), *model = record_string(a, "model");
      if (!priority || strcmp(priority, rows[r].priority) != 0) continue;
      chosen[record_find_model(p->record, model)] = true;
      json_array_append_new(
          list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "audience", "production", "part", p->title, "when", rows[r].text,
                          "model", model, "because", record_string(a, "because")));
    }
  }
  for (size_t i = 1; chosen && i < p->models; i++) {
    if (chosen[i]) continue;
    struct buf b = {0};
    struct study_view v = study_view_at(p->record, i);
    say_size(&b, &v);
    buf_puts(&b, "; ");
    say_speed(&b, &v);
    char *text = buf_take(&b);
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "audience", "research and development", "part",
                                          p->title, "when", "Not the first choice for any priority here", "model",
                                          record_model_name(v.model), "because", text ? text : ""));
    free(text);
  }
  free(chosen);
}

// ---- readiness ----

static void readiness(const struct part *p, json_t *strengths, json_t *limitations) {
  struct study_value x;
  struct say_quality quality;
  struct buf b = {0};
  if (say_get("open_ms", &p->view, &x)) {
    buf_printf(&b, "%s: start-up of %s takes %.1f ms, tokenizer and self-test included", p->title, p->ship, x.value);
    derive_add_text(x.value < 1000 ? strengths : limitations, &b);
  }
  if (say_get("speedup", &p->view, &x) && x.has_interval) {
    buf_printf(&b, "%s: ", p->title);
    say_speed(&b, &p->view);
    derive_add_text(x.low > 1 ? strengths : limitations, &b);
  }
  if (say_get("size_reduction", &p->view, &x)) {
    buf_printf(&b, "%s: ", p->title);
    say_size(&b, &p->view);
    derive_add_text(x.value > 0 ? strengths : limitations, &b);
  }
  if (say_get("error_rate", &p->view, &x)) {
    buf_printf(&b, "%s: %s of the texts got no answer", p->title, x.value > 0 ? "some" : "none");
    derive_add_text(x.value > 0 ? limitations : strengths, &b);
  }
  if (say_quality(&p->view, &quality)) {
    buf_printf(&b, "%s: ", p->title);
    quality.say(&b, &p->view);
    bool kept = quality.drop.has_interval && quality.drop.low <= 0;
    derive_add_text(kept ? strengths : limitations, &b);
  }
  if (say_get("flip_rate", &p->view, &x) && x.value > 0) {
    buf_printf(&b, "%s: ", p->title);
    say_agreement(&b, &p->view);
    derive_add_text(limitations, &b);
  }
}

// ---- the author's sentences, figures filled in ----

void derive_author(const json_t *study, json_t *derived) {
  static const char *const keys[] = {"rationale", "steps", "notes", "best_for", "not_for"};
  for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
    const json_t *list = json_object_get(json_object_get(study, "config"), keys[k]);
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
      struct buf b = {0};
      sentence_fill(study, json_string_value(json_array_get(list, i)), &b);
      derive_add_text(out, &b);
    }
    json_object_set_new(derived, keys[k], out);
  }
}

void derive_sentences(const json_t *study, json_t *derived) {
  static const char *const keys[] = {"summary", "verdicts", "findings", "advice", "strengths", "limitations"};
  json_t *out[6], *notes = json_object();
  for (size_t k = 0; k < 6; k++) json_object_set_new(derived, keys[k], out[k] = json_array());
  for (size_t i = 0; i < json_array_size(json_object_get(study, "parts")); i++) {
    struct part p = part_of(study, i);
    summary(&p, out[0]);
    verdicts(&p, out[1]);
    findings(&p, out[2]);
    advice(&p, out[3]);
    readiness(&p, out[4], out[5]);
    json_object_set_new(notes, p.name, insights(&p));
  }
  json_array_append_new(out[5], json_string("All parts: computed on a CPU; nothing here says how a GPU would do"));
  json_object_set_new(derived, "insights", notes);
}
