// recommend.c - recommendations by priority, computed from intervals. Quality is the accuracy of a classifier; of a
// model that writes text it is ROUGE-L where the data has references, else perplexity. The rules, in full:
//   a candidate is "not measurably worse" when the interval of its quality's difference reaches 0 or more; of
//   perplexity, whose intervals are narrow, when it reaches 1 % above the original's;
//   size      the smallest such candidate that is smaller than the original;
//   accuracy  (of text: quality) the best candidate among those measurably better, else the original;
//   speed     the fastest such candidate whose speedup interval lies above 1, else the original;
//   overall   the smallest such candidate that is smaller than the original and not measurably slower.
// Where no candidate qualifies the original is named, with the reason. Without labels nothing is known about accuracy,
// and only sizes are compared.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/recommend.h"
#include "report/record.h"

// What is called quality, and how it is spoken of.
struct quality {
  const char *priority, *name, *less, *more, *most;
  const char *value, *delta; // paths within a model
  double worse_by;           // still called not worse
  bool is_ratio;             // delta is candidate over original, and less is better
};
static const struct quality accuracy_quality = {"accuracy",
                                                "accuracy",
                                                "less accurate",
                                                "more accurate",
                                                "most accurate",
                                                "accuracy.value",
                                                "against_base.accuracy_delta",
                                                0,
                                                false};
static const struct quality rouge_quality = {"quality",
                                             "ROUGE-L",
                                             "worse by ROUGE-L",
                                             "better by ROUGE-L",
                                             "best",
                                             "rouge.rougeL.value",
                                             "against_base.rouge_delta.rougeL",
                                             0,
                                             false};
static const struct quality perplexity_quality = {
    "quality", "perplexity",       "worse by perplexity",           "better by perplexity",
    "best",    "perplexity.value", "against_base.perplexity_ratio", 0.01,
    true};

struct candidate {
  const json_t *model;
  double size, quality, change, delta[2], speedup, speed[2]; // change and delta: above 0 is better
  bool has_quality, has_speed;
  bool smaller, not_worse, better, faster, slower; // each measured, never assumed
};

struct field {
  const json_t *record, *base;
  const struct quality *quality;
  double base_size, base_quality;
  size_t count; // candidates
};

static bool read_quality(const struct field *f, struct candidate *c) {
  char value[96], interval[96];
  snprintf(value, sizeof value, "%s.value", f->quality->delta);
  snprintf(interval, sizeof interval, "%s.ci95", f->quality->delta);
  if (!record_number(c->model, f->quality->value, &c->quality)) return false;
  if (!record_interval(c->model, interval, c->delta)) return false;
  c->change = c->quality - f->base_quality;
  if (f->quality->is_ratio) {
    if (!record_number(c->model, value, &c->change)) return false;
    double high = 1 - c->delta[0];
    c->change = 1 - c->change;
    c->delta[0] = 1 - c->delta[1];
    c->delta[1] = high;
  }
  return true;
}

static struct candidate candidate_read(const struct field *f, size_t i) {
  struct candidate c = {.model = record_model(f->record, i + 1)};
  bool sized = record_number(c.model, "size_bytes", &c.size);
  c.smaller = sized && f->base_size > 0 && c.size < f->base_size;
  c.has_quality = read_quality(f, &c);
  c.not_worse = c.has_quality && c.delta[1] >= -f->quality->worse_by;
  c.better = c.has_quality && c.delta[0] > 0;
  c.has_speed = record_number(c.model, "against_base.speedup.value", &c.speedup) &&
                record_interval(c.model, "against_base.speedup.ci95", c.speed);
  c.faster = c.has_speed && c.speed[0] > 1;
  c.slower = c.has_speed && c.speed[1] < 1;
  return c;
}

static void say_size(struct buf *b, const struct field *f, const struct candidate *c) {
  double f32;
  struct size_unit unit = record_size_unit(f->record);
  buf_printf(b, "%.2f %s, %.2f times smaller than the original's file", c->size / unit.bytes, unit.name,
             f->base_size / c->size);
  if (record_number(f->record, "f32_bytes", &f32) && f32 > 0) buf_printf(b, ", %.1f %% of f32", 100 * c->size / f32);
}

static void say_quality(struct buf *b, const struct field *f, const struct candidate *c) {
  const char *name = f->quality->name;
  double n = 0;
  if (f->quality->is_ratio) {
    buf_printf(b, "%s %.2f against %.2f, difference %+.2f %% (95 %% interval %+.2f to %+.2f)", name, c->quality,
               f->base_quality, -100 * c->change, -100 * c->delta[1], -100 * c->delta[0]);
  } else {
    if (!record_number(c->model, "accuracy.n", &n)) record_number(c->model, "rouge.n", &n);
    buf_printf(b, "%s %.2f %% against %.2f %%, difference %+.2f points (95 %% interval %+.2f to %+.2f, n = %.0f)", name,
               100 * c->quality, 100 * f->base_quality, 100 * (c->quality - f->base_quality), 100 * c->delta[0],
               100 * c->delta[1], n);
  }
  bool spans = c->delta[0] <= 0 && c->delta[1] >= 0;
  buf_puts(b, c->better      ? ": measurably better"
              : spans        ? ": no measurable change"
              : c->not_worse ? ": within 1 %"
                             : ": measurably worse");
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
  return c->has_quality;
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
static bool by_quality(const struct candidate *a, const struct candidate *b) {
  return a->change > b->change;
}
static bool by_speed(const struct candidate *a, const struct candidate *b) {
  return a->speedup > b->speedup;
}

// "the smallest of the 3 candidates that are ...": what, with "%s" for the word of quality.
static void say_choice(struct buf *b, const char *superlative, size_t qualified, const char *what, const char *word) {
  if (qualified == 1) {
    buf_puts(b, "the only candidate that is ");
  } else {
    buf_printf(b, "the %s of %zu candidates that are ", superlative, qualified);
  }
  const char *at = strstr(what, "%s");
  buf_add(b, what, at ? (size_t)(at - what) : strlen(what));
  if (at) buf_printf(b, "%s%s", word, at + 2);
  buf_puts(b, ": ");
}

static void recommend_size(const struct field *f, bool known, json_t *out) {
  struct buf b = {0};
  struct choice any = choose(f, is_smaller, by_size), good = choose(f, is_small_enough, by_size);
  if (any.qualified == 0) {
    buf_puts(&b, "no candidate is smaller than the original's file");
    add(out, "size", f->base, &b);
    return;
  }
  if (!known) {
    double identical;
    say_choice(&b, "smallest", any.qualified, "smaller than the original", "");
    say_size(&b, f, &any.best);
    buf_puts(&b, record_is_text(f->record) ? "; quality unknown" : "; accuracy unknown without labels");
    if (record_number(any.best.model, "against_base.identical_rate", &identical)) {
      buf_printf(&b, ", %.2f %% of the answers are the original's", 100 * identical);
    }
    add(out, "size", any.best.model, &b);
    return;
  }
  if (good.qualified == 0) {
    buf_printf(&b, "every smaller candidate is measurably %s; the smallest, %s: ", f->quality->less,
               record_model_name(any.best.model));
    if (any.best.has_quality) {
      say_quality(&b, f, &any.best);
    } else {
      buf_printf(&b, "%s unknown: %s", f->quality->name, record_reason(any.best.model, f->quality->delta));
    }
    add(out, "size", f->base, &b);
    return;
  }
  say_choice(&b, "smallest", good.qualified, "smaller and not measurably %s", f->quality->less);
  say_size(&b, f, &good.best);
  buf_puts(&b, "; ");
  say_quality(&b, f, &good.best);
  add(out, "size", good.best.model, &b);
}

static void recommend_quality(const struct field *f, json_t *out) {
  struct buf b = {0};
  struct choice better = choose(f, is_better, by_quality), highest = choose(f, is_measured, by_quality);
  if (better.qualified) {
    say_choice(&b, f->quality->most, better.qualified, "measurably %s than the original", f->quality->more);
    say_quality(&b, f, &better.best);
    add(out, f->quality->priority, better.best.model, &b);
    return;
  }
  buf_printf(&b, "no candidate is measurably %s than the original; the %s, %s: ", f->quality->more,
             f->quality->is_ratio ? "best" : "highest", record_model_name(highest.best.model));
  say_quality(&b, f, &highest.best);
  add(out, f->quality->priority, f->base, &b);
}

static void recommend_speed(const struct field *f, json_t *out) {
  struct buf b = {0};
  struct choice fast = choose(f, is_faster, by_speed), any_fast = choose(f, is_faster_at_all, by_speed);
  struct choice any = choose(f, has_speed, by_speed);
  if (any.qualified == 0) return; // the record cannot answer
  if (fast.qualified) {
    say_choice(&b, "fastest", fast.qualified, "measurably faster and not measurably %s", f->quality->less);
    say_speed(&b, &fast.best);
    buf_puts(&b, "; ");
    say_quality(&b, f, &fast.best);
    if (!fast.best.smaller) buf_puts(&b, "; it is not smaller than the original");
    add(out, "speed", fast.best.model, &b);
  } else if (any_fast.qualified) {
    buf_printf(&b, "every faster candidate is measurably %s; the fastest, %s: ", f->quality->less,
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
    say_choice(&b, "smallest", good.qualified, "smaller and neither measurably %s nor measurably slower",
               f->quality->less);
    say_size(&b, f, &good.best);
    buf_puts(&b, "; ");
    say_quality(&b, f, &good.best);
    buf_puts(&b, "; ");
    say_speed(&b, &good.best);
    add(out, "overall", good.best.model, &b);
    return;
  }
  if (sound.qualified) {
    buf_printf(&b, "every candidate that keeps the %s is not smaller or measurably slower", f->quality->name);
  } else {
    buf_printf(&b, "every candidate is measurably %s", f->quality->less);
  }
  add(out, "overall", f->base, &b);
}

static const struct quality *choose_quality(const json_t *record, const json_t *base) {
  if (!record_is_text(record)) return &accuracy_quality;
  return record_get(base, "rouge") ? &rouge_quality : &perplexity_quality;
}

json_t *recommend_build(const json_t *record) {
  json_t *out = json_array();
  struct field f = {.record = record, .base = record_model(record, 0)};
  f.count = record_model_count(record);
  if (f.count < 2) return out; // nothing to choose between
  f.count--;
  f.quality = choose_quality(record, f.base);
  record_number(f.base, "size_bytes", &f.base_size);
  bool known =
      record_number(f.base, f.quality->value, &f.base_quality) && choose(&f, is_measured, by_quality).qualified;
  recommend_size(&f, known, out);
  if (known) {
    recommend_quality(&f, out);
    recommend_speed(&f, out);
    recommend_overall(&f, out);
  }
  return out;
}

enum pare_status report_recommend(json_t *record, struct pare_error *err) {
  return json_object_set_new(record, "recommendations", recommend_build(record)) ? error_no_memory(err) : PARE_OK;
}
