// recommend.c - recommendations by priority, computed from intervals. The rules, in full:
//   a candidate is "not measurably worse" when the interval of its accuracy difference reaches 0 or more;
//   size      the smallest such candidate that is smaller than the original;
//   accuracy  the candidate of highest accuracy among those measurably better, else the original;
//   speed     the fastest such candidate whose speedup interval lies above 1, else the original;
//   overall   the smallest such candidate that is smaller than the original and not measurably slower.
// Where no candidate qualifies the original is named, with the reason. Without labels nothing is known about accuracy,
// and only sizes are compared.
#include <stdlib.h>

#include "report/recommend.h"
#include "report/record.h"

struct candidate {
  const json_t *model;
  double size, accuracy, delta[2], speedup, speed[2];
  bool has_accuracy, has_speed;
  bool smaller, not_worse, better, faster, slower; // each measured, never assumed
};

struct field {
  const json_t *record, *base;
  double base_size, base_accuracy;
  size_t count; // candidates
};

static struct candidate candidate_read(const struct field *f, size_t i) {
  struct candidate c = {.model = record_model(f->record, i + 1)};
  bool sized = record_number(c.model, "size_bytes", &c.size);
  c.smaller = sized && f->base_size > 0 && c.size < f->base_size;
  c.has_accuracy = record_number(c.model, "accuracy.value", &c.accuracy) &&
                   record_interval(c.model, "against_base.accuracy_delta.ci95", c.delta);
  c.not_worse = c.has_accuracy && c.delta[1] >= 0;
  c.better = c.has_accuracy && c.delta[0] > 0;
  c.has_speed = record_number(c.model, "against_base.speedup.value", &c.speedup) &&
                record_interval(c.model, "against_base.speedup.ci95", c.speed);
  c.faster = c.has_speed && c.speed[0] > 1;
  c.slower = c.has_speed && c.speed[1] < 1;
  return c;
}

static void say_size(struct buf *b, const struct field *f, const struct candidate *c) {
  double f32;
  buf_printf(b, "%.2f MB, %.2f times smaller than the original's file", c->size / 1e6, f->base_size / c->size);
  if (record_number(f->record, "f32_bytes", &f32) && f32 > 0) buf_printf(b, ", %.1f %% of f32", 100 * c->size / f32);
}

static void say_accuracy(struct buf *b, const struct field *f, const struct candidate *c) {
  double n = 0;
  record_number(c->model, "accuracy.n", &n);
  buf_printf(b, "accuracy %.2f %% against %.2f %%, difference %+.2f points (95 %% interval %+.2f to %+.2f, n = %.0f)",
             100 * c->accuracy, 100 * f->base_accuracy, 100 * (c->accuracy - f->base_accuracy), 100 * c->delta[0],
             100 * c->delta[1], n);
  buf_puts(b, c->better ? ": measurably better" : c->not_worse ? ": no measurable change" : ": measurably worse");
}

static void say_speed(struct buf *b, const struct candidate *c) {
  if (!c->has_speed) {
    buf_printf(b, "speed unknown: %s", record_reason(c->model, "against_base.speedup"));
    return;
  }
  buf_printf(b, "speedup %.2f (95 %% interval %.2f to %.2f)", c->speedup, c->speed[0], c->speed[1]);
  buf_puts(b, c->faster ? ": measurably faster" : c->slower ? ": measurably slower" : ": no measurable change");
}

static void add(json_t *out, const char *priority, const json_t *model, struct buf *because) {
  char *text = buf_take(because);
  if (text) {
    json_array_append_new(
        out, json_pack("{s:s, s:s, s:s}", "priority", priority, "model", record_model_name(model), "because", text));
  }
  free(text);
}

// How many candidates qualify, and the one that beats the others (count when none does).
struct choice {
  struct candidate best;
  size_t qualified;
};
typedef bool (*qualifies)(const struct candidate *c);
typedef bool (*beats)(const struct candidate *a, const struct candidate *b);

static struct choice choose(const struct field *f, qualifies ok, beats better) {
  struct choice out = {.qualified = 0};
  for (size_t i = 0; i < f->count; i++) {
    struct candidate c = candidate_read(f, i);
    if (!ok(&c)) continue;
    if (out.qualified == 0 || better(&c, &out.best)) out.best = c;
    out.qualified++;
  }
  return out;
}

static bool is_smaller(const struct candidate *c) {
  return c->smaller;
}
static bool is_not_worse(const struct candidate *c) {
  return c->not_worse;
}
static bool is_small_enough(const struct candidate *c) {
  return c->smaller && c->not_worse;
}
static bool is_better(const struct candidate *c) {
  return c->better;
}
static bool is_measured(const struct candidate *c) {
  return c->has_accuracy;
}
static bool has_speed(const struct candidate *c) {
  return c->has_speed;
}
static bool is_faster(const struct candidate *c) {
  return c->faster && c->not_worse;
}
static bool is_faster_at_all(const struct candidate *c) {
  return c->faster;
}
static bool is_overall(const struct candidate *c) {
  return c->smaller && c->not_worse && !c->slower;
}

static bool by_size(const struct candidate *a, const struct candidate *b) {
  return a->size < b->size;
}
static bool by_accuracy(const struct candidate *a, const struct candidate *b) {
  return a->accuracy > b->accuracy;
}
static bool by_speed(const struct candidate *a, const struct candidate *b) {
  return a->speedup > b->speedup;
}

// "smallest of the 3 candidates that are ..."
static void say_choice(struct buf *b, const char *superlative, size_t qualified, const char *quality) {
  if (qualified == 1) {
    buf_printf(b, "the only candidate that is %s: ", quality);
  } else {
    buf_printf(b, "the %s of %zu candidates that are %s: ", superlative, qualified, quality);
  }
}

static void recommend_size(const struct field *f, bool labelled, json_t *out) {
  struct buf b = {0};
  struct choice any = choose(f, is_smaller, by_size), good = choose(f, is_small_enough, by_size);
  if (any.qualified == 0) {
    buf_puts(&b, "no candidate is smaller than the original's file");
    add(out, "size", f->base, &b);
    return;
  }
  if (!labelled) {
    double identical;
    say_choice(&b, "smallest", any.qualified, "smaller than the original");
    say_size(&b, f, &any.best);
    buf_puts(&b, "; accuracy unknown without labels");
    if (record_number(any.best.model, "against_base.identical_rate", &identical)) {
      buf_printf(&b, ", %.2f %% of the answers are the original's", 100 * identical);
    }
    add(out, "size", any.best.model, &b);
    return;
  }
  if (good.qualified == 0) {
    buf_printf(&b, "every smaller candidate is measurably less accurate; the smallest, %s: ",
               record_model_name(any.best.model));
    if (any.best.has_accuracy) {
      say_accuracy(&b, f, &any.best);
    } else {
      buf_printf(&b, "accuracy unknown: %s", record_reason(any.best.model, "against_base.accuracy_delta"));
    }
    add(out, "size", f->base, &b);
    return;
  }
  say_choice(&b, "smallest", good.qualified, "smaller and not measurably less accurate");
  say_size(&b, f, &good.best);
  buf_puts(&b, "; ");
  say_accuracy(&b, f, &good.best);
  add(out, "size", good.best.model, &b);
}

static void recommend_accuracy(const struct field *f, json_t *out) {
  struct buf b = {0};
  struct choice better = choose(f, is_better, by_accuracy), highest = choose(f, is_measured, by_accuracy);
  if (better.qualified) {
    say_choice(&b, "most accurate", better.qualified, "measurably more accurate than the original");
    say_accuracy(&b, f, &better.best);
    add(out, "accuracy", better.best.model, &b);
    return;
  }
  buf_printf(&b, "no candidate is measurably more accurate than the original; the highest, %s: ",
             record_model_name(highest.best.model));
  say_accuracy(&b, f, &highest.best);
  add(out, "accuracy", f->base, &b);
}

static void recommend_speed(const struct field *f, json_t *out) {
  struct buf b = {0};
  struct choice fast = choose(f, is_faster, by_speed), any_fast = choose(f, is_faster_at_all, by_speed);
  struct choice any = choose(f, has_speed, by_speed);
  if (any.qualified == 0) return; // the record cannot answer
  if (fast.qualified) {
    say_choice(&b, "fastest", fast.qualified, "measurably faster and not measurably less accurate");
    say_speed(&b, &fast.best);
    buf_puts(&b, "; ");
    say_accuracy(&b, f, &fast.best);
    if (!fast.best.smaller) buf_puts(&b, "; it is not smaller than the original");
    add(out, "speed", fast.best.model, &b);
  } else if (any_fast.qualified) {
    buf_printf(&b, "every faster candidate is measurably less accurate; the fastest, %s: ",
               record_model_name(any_fast.best.model));
    say_speed(&b, &any_fast.best);
    add(out, "speed", f->base, &b);
  } else {
    buf_printf(&b, "no candidate is measurably faster than the original; the fastest, %s: ",
               record_model_name(any.best.model));
    say_speed(&b, &any.best);
    add(out, "speed", f->base, &b);
  }
}

static void recommend_overall(const struct field *f, json_t *out) {
  struct buf b = {0};
  struct choice good = choose(f, is_overall, by_size), sound = choose(f, is_not_worse, by_size);
  if (good.qualified) {
    say_choice(&b, "smallest", good.qualified, "smaller and neither measurably less accurate nor measurably slower");
    say_size(&b, f, &good.best);
    buf_puts(&b, "; ");
    say_accuracy(&b, f, &good.best);
    buf_puts(&b, "; ");
    say_speed(&b, &good.best);
    add(out, "overall", good.best.model, &b);
    return;
  }
  buf_puts(&b, sound.qualified ? "every candidate that keeps the accuracy is not smaller or measurably slower"
                               : "every candidate is measurably less accurate");
  add(out, "overall", f->base, &b);
}

json_t *recommend_build(const json_t *record) {
  json_t *out = json_array();
  struct field f = {.record = record, .base = record_model(record, 0)};
  f.count = record_model_count(record);
  if (f.count < 2) return out; // nothing to choose between
  f.count--;
  record_number(f.base, "size_bytes", &f.base_size);
  bool labelled =
      record_number(f.base, "accuracy.value", &f.base_accuracy) && choose(&f, is_measured, by_accuracy).qualified;
  recommend_size(&f, labelled, out);
  if (labelled) {
    recommend_accuracy(&f, out);
    recommend_speed(&f, out);
    recommend_overall(&f, out);
  }
  return out;
}

enum pare_status report_recommend(json_t *record, struct pare_error *err) {
  return json_object_set_new(record, "recommendations", recommend_build(record)) ? error_no_memory(err) : PARE_OK;
}
