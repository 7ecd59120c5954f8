// say.c - see say.h. A difference whose interval spans zero is "no measurable change"; one without an interval is not
// judged.
#include "study/say.h"

#include <math.h>

#include "report/record.h"

bool say_get(const char *metric, const struct study_view *v, struct study_value *out) {
  const char *reason;
  return study_metric_get(study_metric_find(metric), v, out, &reason);
}

const struct study_view *say_original(const struct study_view *v, struct study_view *out) {
  *out = (struct study_view){v->record, v->base, v->base};
  return out;
}

// "A to B"
static bool say_both(struct buf *b, const char *metric, const struct study_view *v) {
  struct study_view base;
  struct study_value x, y;
  char from[64], to[64];
  if (!say_get(metric, say_original(v, &base), &x) || !say_get(metric, v, &y)) return false;
  study_metric_print(study_metric_find(metric), x.value, from, sizeof from);
  study_metric_print(study_metric_find(metric), y.value, to, sizeof to);
  buf_printf(b, "%s to %s", from, to);
  return true;
}

bool say_size(struct buf *b, const struct study_view *v) {
  struct study_value r, c;
  double bytes = 0;
  record_number(v->base, "size_bytes", &bytes);
  buf_puts(b, "file ");
  if (!say_both(b, bytes < 1e6 ? "size_kb" : "size_mb", v) || !say_get("size_reduction", v, &r)) return true;
  if (r.value <= 0) {
    buf_printf(b, ": %.1f %% larger, not smaller", 0 - r.value);
  } else {
    buf_printf(b, ": %.1f %% smaller", r.value);
    if (say_get("compression", v, &c)) buf_printf(b, " (%.2f times)", c.value);
  }
  return true;
}

bool say_speed(struct buf *b, const struct study_view *v) {
  struct study_value s, mean;
  if (!say_get("speedup", v, &s)) {
    buf_printf(b, "speed unknown: %s", record_reason(v->model, "against_base.speedup.value"));
    return true;
  }
  buf_puts(b, "median latency ");
  say_both(b, "latency_median_ms", v);
  buf_printf(b, ", speedup %.2f", s.value);
  if (s.has_interval)
    buf_printf(b, " (95 %% interval %.2f to %.2f): %s", s.low, s.high,
               s.low > 1    ? "measurably faster"
               : s.high < 1 ? "measurably slower"
                            : "no measurable change");
  if (say_get("latency_reduction", v, &mean)) buf_printf(b, "; the mean changes by %+.1f %%", 0 - mean.value);
  return true;
}

bool say_memory(struct buf *b, const struct study_view *v) {
  struct study_value r;
  buf_puts(b, "memory at its peak ");
  if (!say_both(b, "rss_mb", v) || !say_get("memory_reduction", v, &r)) {
    buf_puts(b, "unknown");
  } else {
    buf_printf(b, ": %.1f %% %s", fabs(r.value), r.value >= 0 ? "less" : "more");
  }
  return true;
}

// A drop as a difference and what its interval says.
static void say_drop(struct buf *b, const struct study_value *d, const char *unit, size_t n) {
  buf_printf(b, ", difference %+.2f %s ", 0 - d->value, unit);
  if (!d->has_interval) {
    buf_printf(b, "(n = %zu, no interval): unknown whether measurable", n);
    return;
  }
  buf_printf(b, "(95 %% interval %+.2f to %+.2f, n = %zu): %s", 0 - d->high, 0 - d->low, n,
             d->low > 0    ? "measurably worse"
             : d->high < 0 ? "measurably better"
                           : "no measurable change");
}

bool say_accuracy(struct buf *b, const struct study_view *v) {
  struct study_value d;
  size_t n = 0;
  if (!say_get("accuracy_drop_pp", v, &d)) return false;
  record_count(v->model, "accuracy.n", &n);
  buf_puts(b, "accuracy ");
  say_both(b, "accuracy", v);
  say_drop(b, &d, "points", n);
  return true;
}

bool say_confidence(struct buf *b, const struct study_view *v) {
  struct study_value d, base;
  struct study_view o;
  if (!say_get("confidence_drop_pp", v, &d) || !say_get("confidence_mean", say_original(v, &o), &base)) return false;
  buf_puts(b, "mean confidence ");
  say_both(b, "confidence_mean", v);
  buf_printf(b, ", difference %+.3f points absolute, %+.3f %% relative", 0 - d.value,
             base.value > 0 ? -100 * d.value / base.value : 0);
  if (d.has_interval) buf_printf(b, ": %s", d.low <= 0 && d.high >= 0 ? "no measurable change" : "a measurable change");
  return true;
}

bool say_agreement(struct buf *b, const struct study_view *v) {
  struct study_value f;
  size_t changed = 0, n = 0;
  if (!say_get("flip_rate", v, &f)) return false;
  record_count(v->model, "against_base.flips.changed", &changed);
  record_count(v->model, "against_base.n", &n);
  buf_printf(b, "%zu of %zu answers change (95 %% interval %.2f to %.2f %%)", changed, n, f.low, f.high);
  return true;
}

bool say_generation(struct buf *b, const struct study_view *v) {
  struct study_value chars, jaccard, exact;
  if (!say_get("char_similarity", v, &chars) || !say_get("token_jaccard", v, &jaccard)) return false;
  buf_printf(b, "texts are %.1f %% alike by characters and %.1f %% by tokens (means)", chars.value, jaccard.value);
  if (say_get("exact_rate", v, &exact)) {
    buf_printf(b, ", %.1f %% identical", exact.value);
    if (exact.has_interval) buf_printf(b, " (95 %% interval %.1f to %.1f %%)", exact.low, exact.high);
  }
  return true;
}

bool say_perplexity(struct buf *b, const struct study_view *v) {
  struct study_value p;
  if (!say_get("perplexity_increase", v, &p)) return false;
  buf_puts(b, "perplexity ");
  say_both(b, "perplexity", v);
  buf_printf(b, ", %+.2f %%", p.value);
  if (!p.has_interval) {
    buf_puts(b, " (no interval): unknown whether measurable");
  } else {
    buf_printf(b, " (95 %% interval %+.2f to %+.2f %%): %s", p.low, p.high,
               p.low > 0    ? "measurably worse"
               : p.high < 0 ? "measurably better"
                            : "no measurable change");
  }
  return true;
}

bool say_rouge(struct buf *b, const struct study_view *v) {
  struct study_value d;
  size_t n = 0;
  if (!say_get("rougeL_drop_pp", v, &d)) return false;
  record_count(v->model, "rouge.n", &n);
  buf_puts(b, "ROUGE-L ");
  say_both(b, "rougeL", v);
  say_drop(b, &d, "points", n);
  return true;
}

bool say_quality(const struct study_view *v, struct say_quality *out) {
  static const struct {
    const char *metric;
    sayer *say;
  } measures[] = {
      {"accuracy_drop_pp", say_accuracy}, {"rougeL_drop_pp", say_rouge}, {"perplexity_increase", say_perplexity}};
  for (size_t i = 0; i < sizeof measures / sizeof measures[0]; i++) {
    if (!say_get(measures[i].metric, v, &out->drop)) continue;
    out->say = measures[i].say;
    return true;
  }
  return false;
}
