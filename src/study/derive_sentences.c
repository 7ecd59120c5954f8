// derive_sentences.c - the sentences of a study about its models. Each is chosen by the numbers it states; a difference
// whose interval spans zero is "no measurable change", and a percentage says of what.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/record.h"
#include "study/derive.h"
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
  p.view = (struct study_view){p.record, record_model(p.record, record_find_model(p.record, p.ship)),
                               record_model(p.record, 0)};
  return p;
}

static bool get(const char *metric, const struct study_view *v, struct study_value *out) {
  const char *reason;
  return study_metric_get(study_metric_find(metric), v, out, &reason);
}

static const struct study_view *original(const struct study_view *v, struct study_view *out) {
  *out = (struct study_view){v->record, v->base, v->base};
  return out;
}

// "A to B"
static bool say_both(struct buf *b, const char *metric, const struct study_view *v) {
  struct study_view base;
  struct study_value x, y;
  char from[64], to[64];
  if (!get(metric, original(v, &base), &x) || !get(metric, v, &y)) return false;
  study_metric_print(study_metric_find(metric), x.value, from, sizeof from);
  study_metric_print(study_metric_find(metric), y.value, to, sizeof to);
  buf_printf(b, "%s to %s", from, to);
  return true;
}

static void say_size(struct buf *b, const struct study_view *v) {
  struct study_value r, c;
  double bytes = 0;
  record_number(v->base, "size_bytes", &bytes);
  buf_puts(b, "file ");
  if (!say_both(b, bytes < 1e6 ? "size_kb" : "size_mb", v) || !get("size_reduction", v, &r)) return;
  if (r.value <= 0) {
    buf_printf(b, ": %.1f %% larger, not smaller", 0 - r.value);
  } else {
    buf_printf(b, ": %.1f %% smaller", r.value);
    if (get("compression", v, &c)) buf_printf(b, " (%.2f times)", c.value);
  }
}

static void say_speed(struct buf *b, const struct study_view *v) {
  struct study_value s, mean;
  if (!get("speedup", v, &s)) {
    buf_printf(b, "speed unknown: %s", record_reason(v->model, "against_base.speedup.value"));
    return;
  }
  buf_puts(b, "median latency ");
  say_both(b, "latency_median_ms", v);
  buf_printf(b, ", speedup %.2f", s.value);
  if (s.has_interval)
    buf_printf(b, " (95 %% interval %.2f to %.2f): %s", s.low, s.high,
               s.low > 1    ? "measurably faster"
               : s.high < 1 ? "measurably slower"
                            : "no measurable change");
  if (get("latency_reduction", v, &mean)) buf_printf(b, "; the mean changes by %+.1f %%", 0 - mean.value);
}

static void say_memory(struct buf *b, const struct study_view *v) {
  struct study_value r;
  buf_puts(b, "memory at its peak ");
  if (!say_both(b, "rss_mb", v) || !get("memory_reduction", v, &r)) {
    buf_puts(b, "unknown");
  } else {
    buf_printf(b, ": %.1f %% %s", fabs(r.value), r.value >= 0 ? "less" : "more");
  }
}

static bool say_accuracy(struct buf *b, const struct study_view *v) {
  struct study_value d;
  size_t n = 0;
  if (!get("accuracy_drop_pp", v, &d)) return false;
  record_count(v->model, "accuracy.n", &n);
  buf_puts(b, "accuracy ");
  say_both(b, "accuracy", v);
  buf_printf(b, ", difference %+.2f points (95 %% interval %+.2f to %+.2f, n = %zu): %s", 0 - d.value, 0 - d.high,
             0 - d.low, n,
             d.low > 0    ? "measurably worse"
             : d.high < 0 ? "measurably better"
                          : "no measurable change");
  return true;
}

static bool say_confidence(struct buf *b, const struct study_view *v) {
  struct study_value d, base;
  struct study_view o;
  if (!get("confidence_drop_pp", v, &d) || !get("confidence_mean", original(v, &o), &base)) return false;
  buf_puts(b, "mean confidence ");
  say_both(b, "confidence_mean", v);
  buf_printf(b, ", difference %+.3f points absolute, %+.3f %% relative", 0 - d.value,
             base.value > 0 ? -100 * d.value / base.value : 0);
  if (d.has_interval) buf_printf(b, ": %s", d.low <= 0 && d.high >= 0 ? "no measurable change" : "a measurable change");
  return true;
}

static bool say_agreement(struct buf *b, const struct study_view *v) {
  struct study_value f;
  size_t changed = 0, n = 0;
  if (!get("flip_rate", v, &f)) return false;
  record_count(v->model, "against_base.flips.changed", &changed);
  record_count(v->model, "against_base.n", &n);
  buf_printf(b, "%zu of %zu answers change (95 %% interval %.2f to %.2f %%)", changed, n, f.low, f.high);
  return true;
}

static bool say_generation(struct buf *b, const struct study_view *v) {
  struct study_value chars, jaccard, exact, ppl;
  if (!get("char_similarity", v, &chars) || !get("token_jaccard", v, &jaccard)) return false;
  buf_printf(b, "texts are %.1f %% alike by characters and %.1f %% by tokens (means)", chars.value, jaccard.value);
  if (get("exact_rate", v, &exact)) {
    buf_printf(b, ", %.1f %% identical", exact.value);
    if (exact.has_interval) buf_printf(b, " (95 %% interval %.1f to %.1f %%)", exact.low, exact.high);
  }
  if (get("perplexity_increase", v, &ppl)) {
    buf_puts(b, "; perplexity ");
    say_both(b, "perplexity", v);
    buf_printf(b, " (%+.2f %%)", ppl.value);
  }
  return true;
}

typedef bool (*sayer)(struct buf *b, const struct study_view *v);

static void add_said(json_t *list, const struct part *p, const char *prefix, sayer say) {
  struct buf b = {0};
  buf_printf(&b, "%s%s: ", prefix, p->ship);
  if (say(&b, &p->view)) {
    derive_add_text(list, &b);
  } else {
    buf_free(&b);
  }
}

static bool size_said(struct buf *b, const struct study_view *v) {
  say_size(b, v);
  return true;
}
static bool speed_said(struct buf *b, const struct study_view *v) {
  say_speed(b, v);
  return true;
}
static bool memory_said(struct buf *b, const struct study_view *v) {
  say_memory(b, v);
  return true;
}

static void summary(const struct part *p, json_t *list) {
  static const sayer lines[] = {size_said,      speed_said,    memory_said,   say_accuracy,
                                say_confidence, say_agreement, say_generation};
  char prefix[96];
  snprintf(prefix, sizeof prefix, "%.80s, ", p->title);
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) add_said(list, p, prefix, lines[i]);
}

// ---- what stands below the tables of a part ----

static void insight_spread(const struct part *p, json_t *list) {
  struct study_value base, model;
  struct study_view o;
  struct buf b = {0};
  if (!get("latency_std_ms", original(&p->view, &o), &base) || !get("latency_std_ms", &p->view, &model)) return;
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
    if (!get("latency_p99_ms", &p->view, &p99) || !get("latency_median_ms", &p->view, &median)) return;
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
  struct study_value size, drop;
  bool smaller = get("size_reduction", v, &size) && size.value > 0;
  bool known = get("accuracy_drop_pp", v, &drop);
  bool worse = known && drop.low > 0;
  say_size(why, v);
  if (known) {
    buf_puts(why, "; ");
    say_accuracy(why, v);
  }
  if (!smaller) return "grew: keep the original";
  return worse ? "limited success" : "success";
}

static void verdicts(const struct part *p, json_t *list) {
  for (size_t i = 1; i < p->models; i++) {
    const json_t *m = record_model(p->record, i);
    struct study_view v = {p->record, m, record_model(p->record, 0)};
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
    struct study_view v = {p->record, record_model(p->record, i), record_model(p->record, 0)};
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
  double ends[2];
  if (!strcmp(metric, "accuracy") && record_interval(m, "against_base.accuracy_delta.ci95", ends) && ends[0] <= 0)
    buf_puts(&b, "; not measurably above the original");
  derive_add_text(list, &b);
}

static void trade_offs(const struct part *p, json_t *list) {
  double compression = 0, kept = INFINITY;
  size_t not_worse = 0, judged = 0, faster = 0, timed = 0;
  for (size_t i = 1; i < p->models; i++) {
    struct study_view v = {p->record, record_model(p->record, i), record_model(p->record, 0)};
    struct study_value x;
    if (get("compression", &v, &x)) compression = fmax(compression, x.value);
    if (get("relative_accuracy", &v, &x)) kept = fmin(kept, x.value);
    if (get("accuracy_drop_pp", &v, &x)) judged++, not_worse += x.low <= 0;
    if (get("speedup", &v, &x) && x.has_interval) timed++, faster += x.low > 1;
  }
  struct buf b = {0};
  if (judged) {
    buf_printf(&b,
               "%s, size against accuracy: up to %.2f times smaller; %zu of %zu candidates show no measurable loss "
               "of accuracy, and the weakest keeps %.2f %% of the original's.",
               p->title, compression, not_worse, judged, kept);
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
  finding(p, "lowest perplexity", "perplexity", list);
  trade_offs(p, list);
}

// ---- advice by audience: the record's own recommendations, which the report's linter recomputes ----

static void advice(const struct part *p, json_t *list) {
  static const struct {
    const char *priority, *text;
  } rows[] = {{"size", "If memory or disk is short"},
              {"accuracy", "If accuracy is critical"},
              {"speed", "If speed comes first"},
              {"overall", "Otherwise"}};
  const json_t *found = json_object_get(p->record, "recommendations");
  bool *chosen = calloc(p->models + 1, sizeof *chosen);
  for (size_t r = 0; chosen && r < sizeof rows / sizeof rows[0]; r++) {
    for (size_t i = 0; i < json_array_size(found); i++) {
      const json_t *a = json_array_get(found, i);
      const char *priority = record_string(a, "priority"), *model = record_string(a, "model");
      if (!priority || strcmp(priority, rows[r].priority)) continue;
      chosen[record_find_model(p->record, model)] = true;
      json_array_append_new(
          list, json_pack("{s:s, s:s, s:s, s:s, s:s}", "audience", "production", "part", p->title, "when", rows[r].text,
                          "model", model, "because", record_string(a, "because")));
    }
  }
  for (size_t i = 1; chosen && i < p->models; i++) {
    if (chosen[i]) continue;
    struct buf b = {0};
    struct study_view v = {p->record, record_model(p->record, i), record_model(p->record, 0)};
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
  struct buf b = {0};
  json_t *to;
  if (get("open_ms", &p->view, &x)) {
    buf_printf(&b, "%s: start-up of %s takes %.1f ms, tokenizer and self-test included", p->title, p->ship, x.value);
    derive_add_text(x.value < 1000 ? strengths : limitations, &b);
  }
  if (get("speedup", &p->view, &x) && x.has_interval) {
    buf_printf(&b, "%s: ", p->title);
    say_speed(&b, &p->view);
    derive_add_text(x.low > 1 ? strengths : limitations, &b);
  }
  if (get("size_reduction", &p->view, &x)) {
    buf_printf(&b, "%s: ", p->title);
    say_size(&b, &p->view);
    derive_add_text(x.value > 0 ? strengths : limitations, &b);
  }
  if (get("error_rate", &p->view, &x)) {
    buf_printf(&b, "%s: %s of the texts got no answer", p->title, x.value > 0 ? "some" : "none");
    derive_add_text(x.value > 0 ? limitations : strengths, &b);
  }
  if (get("accuracy_drop_pp", &p->view, &x)) {
    buf_printf(&b, "%s: ", p->title);
    say_accuracy(&b, &p->view);
    to = x.low > 0 ? limitations : strengths;
    derive_add_text(to, &b);
  }
  if (get("flip_rate", &p->view, &x) && x.value > 0) {
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
