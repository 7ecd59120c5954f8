// metrics.c - see metrics.h. A registry is a list of families, each a list of series, and a table that finds a series
// by its labels. All of them only grow: who adds holds the lock and publishes the finished entry last, who reads takes
// no lock. Values are atomics: a double lives in the bits of a 64-bit integer and is added to by compare-and-swap.
#include "metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct metric {
  const struct metric_family *family;
  _Atomic(struct metric *) next;
  char *labels;           // as they are written, without braces: a="b",c="d"
  _Atomic uint64_t value; // a double's bits; a histogram's sum
  _Atomic uint64_t
      *counts; // histogram: (bound_count + 1) observations of each bucket alone, the last beyond all bounds
};

struct family {
  const struct metric_family *about;
  _Atomic(struct family *) next;
  _Atomic(struct metric *) first;
  struct metric *last; // the writers'
};

// A series under the labels it was asked for by.
struct entry {
  struct entry *next;
  const struct metric_family *about;
  struct metric *series;
  uint64_t hash;
  size_t count;
  char key[]; // name NUL value NUL ... of `count` labels
};
enum { BUCKETS = 1024 };

struct metrics {
  pthread_mutex_t lock; // of those who add
  _Atomic(struct family *) first;
  struct family *last;
  _Atomic(struct entry *) table[BUCKETS];
};

struct metrics *metrics_new(void) {
  struct metrics *m = calloc(1, sizeof *m);
  if (m) pthread_mutex_init(&m->lock, NULL);
  return m;
}

static void series_free(struct metric *s) {
  if (!s) return;
  free(s->labels);
  free((void *)s->counts);
  free(s);
}

void metrics_free(struct metrics *m) {
  if (!m) return;
  for (size_t i = 0; i < BUCKETS; i++)
    for (struct entry *e = m->table[i], *next; e; e = next) {
      next = e->next;
      free(e);
    }
  for (struct family *f = m->first, *next_family; f; f = next_family) {
    for (struct metric *s = f->first, *next; s; s = next) {
      next = s->next;
      series_free(s);
    }
    next_family = f->next;
    free(f);
  }
  pthread_mutex_destroy(&m->lock);
  free(m);
}

// The format knows three escapes: \\ and \n everywhere, \" in label values. What is not UTF-8 becomes U+FFFD, as a
// reader would refuse the whole page for it.
static void add_escaped(struct buf *b, const char *text, bool quote) {
  for (size_t left = strlen(text); left;) {
    size_t len = utf8_sequence_len((const unsigned char *)text, left);
    if (len == 0) {
      buf_puts(b, "\xef\xbf\xbd");
      len = 1;
    } else if (*text == '\n') {
      buf_puts(b, "\\n");
    } else {
      if (*text == '\\' || (quote && *text == '"')) buf_puts(b, "\\");
      buf_add(b, text, len);
    }
    text += len;
    left -= len;
  }
}

static void add_label(struct buf *b, const struct metric_label *label) {
  buf_printf(b, "%s=\"", label->name);
  add_escaped(b, label->value, true);
  buf_puts(b, "\"");
}

static struct metric *series_new(const struct metric_family *about, char *labels) {
  struct metric *s = calloc(1, sizeof *s);
  if (!s) {
    free(labels);
    return NULL;
  }
  s->family = about;
  s->labels = labels;
  if (about->kind == METRIC_HISTOGRAM) {
    s->counts = calloc(about->bound_count + 1, sizeof *s->counts);
    if (!s->counts) {
      series_free(s);
      return NULL;
    }
  }
  return s;
}

// Both with the lock held. What is added is whole before anybody can find it.
static struct family *family_of(struct metrics *m, const struct metric_family *about) {
  for (struct family *f = m->first; f; f = f->next)
    if (f->about == about || !strcmp(f->about->name, about->name)) {
      assert(f->about->kind == about->kind);
      return f;
    }
  struct family *f = calloc(1, sizeof *f);
  if (!f) return NULL;
  f->about = about;
  atomic_store(m->last ? &m->last->next : &m->first, f);
  return m->last = f;
}

static struct metric *series_of(struct family *f, const struct metric_family *about, char *labels) {
  for (struct metric *s = f->first; s; s = s->next)
    if (!strcmp(s->labels, labels)) {
      free(labels);
      return s;
    }
  struct metric *s = series_new(about, labels);
  if (!s) return NULL;
  atomic_store(f->last ? &f->last->next : &f->first, s);
  return f->last = s;
}

// ---- the table ----------------------------------------------------------------------------------------------------

// FNV-1a over the family and what key would hold.
static uint64_t hash_of(const struct metric_family *about, const struct metric_label *labels, size_t count) {
  const uint64_t PRIME = 0x100000001B3u;
  uint64_t h = (0xCBF29CE484222325u ^ (uint64_t)(uintptr_t)about) * PRIME;
  for (size_t i = 0; i < 2 * count; i++) {
    const char *c = i % 2 ? labels[i / 2].value : labels[i / 2].name;
    do h = (h ^ (unsigned char)*c) * PRIME;
    while (*c++);
  }
  return h ^ h >> 32;
}

static bool is_key(const struct entry *e, const struct metric_label *labels, size_t count) {
  const char *at = e->key;
  for (size_t i = 0; i < 2 * count; i++) {
    const char *text = i % 2 ? labels[i / 2].value : labels[i / 2].name;
    if (strcmp(at, text) != 0) return false;
    at += strlen(at) + 1;
  }
  return true;
}

// The hash tells families and counts of labels apart but for chance, so both are looked at as well.
static struct metric *known(struct metrics *m, uint64_t hash, const struct metric_family *about,
                            const struct metric_label *labels, size_t count) {
  for (const struct entry *e = atomic_load_explicit(&m->table[hash % BUCKETS], memory_order_acquire); e; e = e->next)
    if (e->hash == hash && e->about == about && e->count == count && is_key(e, labels, count)) return e->series;
  return NULL;
}

// With the lock held. Without memory the series is only found more slowly.
static void remember(struct metrics *m, uint64_t hash, const struct metric_family *about,
                     const struct metric_label *labels, size_t count, struct metric *series) {
  struct buf key = {0};
  for (size_t i = 0; i < count; i++) {
    buf_add(&key, labels[i].name, strlen(labels[i].name) + 1);
    buf_add(&key, labels[i].value, strlen(labels[i].value) + 1);
  }
  struct entry *e = key.failed ? NULL : malloc(sizeof *e + key.len);
  if (e) {
    _Atomic(struct entry *) *bucket = &m->table[hash % BUCKETS];
    *e = (struct entry){.next = *bucket, .about = about, .series = series, .hash = hash, .count = count};
    if (key.len) memcpy(e->key, key.data, key.len);
    atomic_store_explicit(bucket, e, memory_order_release);
  }
  buf_free(&key);
}

struct metric *metrics_series(struct metrics *m, const struct metric_family *family, const struct metric_label *labels,
                              size_t count) {
  if (!m) return NULL;
  uint64_t hash = hash_of(family, labels, count);
  struct metric *s = known(m, hash, family, labels, count);
  if (s) return s;
  struct buf text = {0};
  for (size_t i = 0; i < count; i++) {
    if (i) buf_puts(&text, ",");
    add_label(&text, &labels[i]);
  }
  char *rendered = buf_take(&text);
  if (!rendered) return NULL;
  pthread_mutex_lock(&m->lock);
  struct family *f = family_of(m, family);
  if (f)
    s = series_of(f, family, rendered);
  else
    free(rendered);
  if (s && !known(m, hash, family, labels, count)) remember(m, hash, family, labels, count, s);
  pthread_mutex_unlock(&m->lock);
  return s;
}

static uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Nothing is ordered by these values, so relaxed is enough.
static double load(const _Atomic uint64_t *from) {
  return double_of(atomic_load_explicit(from, memory_order_relaxed));
}

static void add(_Atomic uint64_t *to, double x) {
  uint64_t old = atomic_load_explicit(to, memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(to, &old, bits_of(double_of(old) + x), memory_order_relaxed,
                                                memory_order_relaxed)) {
  }
}

void metric_add(struct metric *m, double value) {
  if (!m) return;
  assert(m->family->kind != METRIC_HISTOGRAM && (m->family->kind == METRIC_GAUGE || value >= 0));
  add(&m->value, value);
}

void metric_set(struct metric *m, double value) {
  if (!m) return;
  assert(m->family->kind == METRIC_GAUGE);
  atomic_store_explicit(&m->value, bits_of(value), memory_order_relaxed);
}

void metric_raise(struct metric *m, double value) {
  if (!m) return;
  assert(m->family->kind == METRIC_COUNTER);
  uint64_t old = atomic_load_explicit(&m->value, memory_order_relaxed);
  while (double_of(old) < value && !atomic_compare_exchange_weak_explicit(&m->value, &old, bits_of(value),
                                                                          memory_order_relaxed, memory_order_relaxed)) {
  }
}

void metric_observe(struct metric *m, double value) {
  if (!m || isnan(value)) return;
  assert(m->family->kind == METRIC_HISTOGRAM);
  size_t bucket = 0;
  while (bucket < m->family->bound_count && value > m->family->bounds[bucket]) bucket++;
  atomic_fetch_add_explicit(&m->counts[bucket], 1, memory_order_relaxed);
  add(&m->value, value);
}

double metric_value(const struct metric *m) {
  return m ? load(&m->value) : 0;
}

// Whether `label`, name="value" as it is written, is one of the series' labels. No value holds a bare quote, so what
// begins after a comma or at the beginning and ends with a quote is a label whole.
static bool carries(const struct metric *s, const char *label) {
  const char *at = s->labels;
  while ((at = strstr(at, label)) && at != s->labels && at[-1] != ',') at++;
  return at != NULL;
}

double metrics_sum(struct metrics *m, const char *family, const struct metric_label *labels, size_t count) {
  if (!m) return 0;
  double sum = 0;
  const struct family *f = m->first;
  while (f && strcmp(f->about->name, family)) f = f->next;
  for (const struct metric *s = f ? f->first : NULL; s; s = s->next) {
    bool all = true;
    for (size_t i = 0; all && i < count; i++) {
      struct buf label = {0};
      add_label(&label, &labels[i]);
      all = !label.failed && carries(s, label.data);
      buf_free(&label);
    }
    if (all) sum += metric_value(s);
  }
  return sum;
}

static uint64_t bucket_count(const struct metric *m, size_t i) {
  return atomic_load_explicit(&m->counts[i], memory_order_relaxed);
}

uint64_t metric_count(const struct metric *m) {
  uint64_t n = 0;
  if (!m || !m->counts) return 0;
  for (size_t i = 0; i <= m->family->bound_count; i++) n += bucket_count(m, i);
  return n;
}

double metric_quantile(const struct metric *m, double q) {
  uint64_t n = metric_count(m);
  if (n == 0) return NAN;
  const struct metric_family *f = m->family;
  double rank = q * (double)n, below = 0;
  for (size_t i = 0; i < f->bound_count; i++) {
    double here = (double)bucket_count(m, i), high = f->bounds[i];
    if (here > 0 && below + here >= rank) {
      double low = i ? f->bounds[i - 1] : high > 0 ? 0 : high; // the first bucket begins at 0, as in Prometheus
      return low + (high - low) * fmax(0, rank - below) / here;
    }
    below += here;
  }
  return f->bound_count ? f->bounds[f->bound_count - 1] : NAN; // beyond all bounds: at least the last
}

// The fewest digits that read back as the same number.
static void add_number(struct buf *b, double x) {
  if (isnan(x))
    buf_puts(b, "NaN");
  else if (isinf(x))
    buf_puts(b, x > 0 ? "+Inf" : "-Inf");
  else {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
      snprintf(text, sizeof text, "%.*g", digits, x);
      if (strtod(text, NULL) == x) break;
    }
    buf_puts(b, text);
  }
}

// NAME[SUFFIX][{LABELS[,le="BOUND"]}]
static void add_name(struct buf *b, const struct metric *s, const char *suffix, const double *bound) {
  buf_printf(b, "%s%s", s->family->name, suffix);
  if (*s->labels || bound) {
    buf_printf(b, "{%s", s->labels);
    if (bound) {
      buf_printf(b, "%sle=\"", *s->labels ? "," : "");
      add_number(b, *bound);
      buf_puts(b, "\"");
    }
    buf_puts(b, "}");
  }
  buf_puts(b, " ");
}

// Each bucket is read once and the count is their total, so that a page never contradicts itself: buckets ascend and
// the last is the count. The sum may be a few observations ahead or behind.
static void write_histogram(const struct metric *s, struct buf *b) {
  uint64_t n = 0;
  for (size_t i = 0; i <= s->family->bound_count; i++) {
    double bound = i < s->family->bound_count ? s->family->bounds[i] : INFINITY;
    n += bucket_count(s, i);
    add_name(b, s, "_bucket", &bound);
    buf_printf(b, "%" PRIu64 "\n", n);
  }
  add_name(b, s, "_sum", NULL);
  add_number(b, load(&s->value));
  buf_puts(b, "\n");
  add_name(b, s, "_count", NULL);
  buf_printf(b, "%" PRIu64 "\n", n);
}

void metrics_write(struct metrics *m, struct buf *out) {
  static const char *const kinds[] = {
      [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
  for (const struct family *f = m->first; f; f = f->next) {
    buf_printf(out, "# HELP %s ", f->about->name);
    add_escaped(out, f->about->help, false);
    buf_printf(out, "\n# TYPE %s %s\n", f->about->name, kinds[f->about->kind]);
    for (const struct metric *s = f->first; s; s = s->next) {
      if (f->about->kind == METRIC_HISTOGRAM) {
        write_histogram(s, out);
        continue;
      }
      add_name(out, s, "", NULL);
      add_number(out, load(&s->value));
      buf_puts(out, "\n");
    }
  }
}
