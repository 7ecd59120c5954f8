// tables_more.c - see tables.h: recommendations, gate, disagreements, coverage, and what was measured where.
#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "report/tables.h"

const char *const tables_methods[] = {
    "Rates (accuracy, flips) carry Wilson score intervals; the difference of two accuracies on the same items carries "
    "Newcombe's "
    "paired score interval (1998, method 10). McNemar's p is exact.",
    "F1 is averaged over all classes, a class without items counting 0; its differences carry paired bootstrap "
    "intervals.",
    "Latency runs of all models are interleaved; the speedup is the ratio of medians (original / candidate) with a "
    "bootstrap "
    "interval over rounds.",
    "A percentile is given only when its number of runs makes it a statement at 95 %: 29 for p90, 59 for p95, 299 for "
    "p99.",
    "A difference whose interval spans zero is no measurable change. With several candidates, the best of many is "
    "partly luck.",
    "KL is the mean Kullback-Leibler divergence of the candidate's distribution over classes from the original's, in "
    "nats. "
    "ECE uses 15 bins of equal mass; Brier runs from 0 to 2; NLL is in nats.",
    "For models that write text: intervals of perplexity, same next token, KL, ROUGE and lengths are bootstraps over "
    "rows. "
    "ROUGE is computed in lower case without stemming; the likeness of characters is 1 less the edit distance over the "
    "longer length.",
    "Sizes are complete weight files. Compression is the original's file over the candidate's; per cent is of f32, 4 "
    "bytes per "
    "parameter.",
    NULL,
};

static const char *or_missing(const char *text) {
  return text ? text : "n/a";
}

static const char *label_of(const json_t *record, const char *name) {
  size_t i = name ? record_find_model(record, name) : record_model_count(record);
  return i < record_model_count(record) ? record_model_label(record_model(record, i)) : or_missing(name);
}

void tables_headline(const json_t *record, struct buf *out) {
  double n;
  size_t models = record_model_count(record);
  if (models > 1) {
    buf_printf(out, "%s against %zu candidate%s", record_model_label(record_model(record, 0)), models - 1,
               models > 2 ? "s" : "");
  } else {
    buf_puts(out, record_model_label(record_model(record, 0)));
  }
  const char *data = record_string(record, "dataset.path");
  if (record_number(record, "dataset.n", &n)) buf_printf(out, ", %.0f item%s", n, n == 1 ? "" : "s");
  if (data) buf_printf(out, " of %s", data);
}

void tables_recommendations(const json_t *record, struct table *t) {
  const json_t *rows = record_get(record, "recommendations");
  t->title = "Recommendations";
  table_column(t, COLUMN_TEXT, "Priority");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT | COLUMN_WRAP, "Because");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    table_text(t, TONE_PLAIN, or_missing(record_string(row, "priority")));
    table_text(t, TONE_GOOD, label_of(record, record_string(row, "model")));
    table_text(t, TONE_PLAIN, or_missing(record_string(row, "because")));
  }
}

static void cell_or_dash(struct table *t, const json_t *row, const char *key) {
  double x;
  if (record_number(row, key, &x)) {
    table_cell(t, TONE_PLAIN, "%.5g", x);
  } else {
    table_text(t, TONE_MUTED, "–");
  }
}

static void ends_text(const json_t *row, char *out, size_t size) {
  const json_t *ends = record_get(row, "interval");
  double low, high;
  char a[32] = "−∞", b[32] = "∞"; // a bound the sample cannot give
  if (record_number(ends, "0", &low)) snprintf(a, sizeof a, "%.4g", low);
  if (record_number(ends, "1", &high)) snprintf(b, sizeof b, "%.4g", high);
  if (ends) {
    snprintf(out, size, "%s to %s", a, b);
  } else {
    snprintf(out, size, "–");
  }
}

static void gate_columns(struct table *t, bool brief) {
  t->title = "Gate";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT, "Check");
  table_column(t, 0, "Limit");
  table_column(t, 0, "Value");
  if (!brief) table_column(t, 0, "Interval");
  if (!brief) table_column(t, 0, "n");
  table_column(t, COLUMN_TEXT, "Status");
  table_column(t, COLUMN_TEXT | COLUMN_WRAP, brief ? "Interval, or why not" : "Reason");
}

// A terminal shows every check of a short list, of a long one those that do not pass.
enum { GATE_BRIEF_MAX = 12 };

static void gate_rows(const json_t *record, struct table *t, bool brief) {
  const json_t *rows = record_get(record, "gate.checks");
  size_t passed = 0;
  gate_columns(t, brief);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    const char *status = or_missing(record_string(row, "status")), *reason = or_missing(record_string(row, "reason"));
    bool pass = strcmp(status, "PASS") == 0;
    enum tone tone = pass ? TONE_GOOD : strcmp(status, "FAIL") == 0 ? TONE_BAD : TONE_UNSURE;
    char ends[80];
    passed += pass;
    if (pass && brief && json_array_size(rows) > GATE_BRIEF_MAX) continue;
    ends_text(row, ends, sizeof ends);
    table_text(t, TONE_PLAIN, label_of(record, record_string(row, "model")));
    table_text(t, TONE_PLAIN, or_missing(record_string(row, "name")));
    cell_or_dash(t, row, "threshold");
    cell_or_dash(t, row, "value");
    if (!brief) table_text(t, TONE_PLAIN, ends);
    if (!brief) cell_or_dash(t, row, "n");
    table_text(t, tone, status);
    if (!brief) {
      table_text(t, TONE_PLAIN, reason);
    } else if (!record_get(row, "interval")) {
      table_text(t, TONE_PLAIN, reason);
    } else {
      table_cell(t, TONE_PLAIN, "%s%s%s", ends, pass ? "" : ": ", pass ? "" : reason);
    }
  }
  table_note(t, "%zu of %zu checks pass.", passed, json_array_size(rows));
}

void tables_gate(const json_t *record, struct table *t) {
  gate_rows(record, t, false);
}

void tables_gate_brief(const json_t *record, struct table *t) {
  gate_rows(record, t, true);
}

// "✓ Sports 0.913"
static void cell_answer(struct table *t, const json_t *row, const char *said, const char *label,
                        const char *score_key) {
  bool right = said && label && strcmp(said, label) == 0;
  const char *mark = !said || !label ? "" : right ? "✓ " : "✗ ";
  double score;
  enum tone tone = !*mark ? TONE_PLAIN : right ? TONE_GOOD : TONE_BAD;
  if (record_number(row, score_key, &score)) {
    table_cell(t, tone, "%s%s %.3f", mark, or_missing(said), score);
  } else {
    table_cell(t, tone, "%s%s", mark, or_missing(said));
  }
}

void tables_examples(const json_t *record, struct table *t) {
  t->title = "Disagreements";
  table_column(t, 0, "Row");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT | COLUMN_USER | COLUMN_WRAP, "Text");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Label");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Original said");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Candidate said");
  for (size_t i = 1; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i), *rows = record_get(m, "flip_examples");
    for (size_t k = 0; k < json_array_size(rows); k++) {
      const json_t *row = json_array_get(rows, k);
      const char *label = record_string(row, "label"), *base = record_string(row, "base"),
                 *said = record_string(row, "candidate");
      double at;
      table_cell(t, TONE_PLAIN, "%.0f", record_number(row, "row", &at) ? at : -1);
      table_text(t, TONE_PLAIN, record_model_label(m));
      table_text(t, TONE_PLAIN, or_missing(record_string(row, "text")));
      table_text(t, TONE_PLAIN, label ? label : "–");
      cell_answer(t, row, base, label, "base_score");
      cell_answer(t, row, said, label, "score");
    }
  }
}

void tables_coverage(const json_t *record, struct table *t) {
  struct size_unit unit = record_size_unit(record);
  t->title = "Encodings";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT, "Encoding");
  table_column(t, 0, "Tensors");
  table_column(t, 0, unit.name);
  table_column(t, 0, "% of the file");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i), *rows = record_get(m, "coverage");
    for (size_t k = 0; k < json_array_size(rows); k++) {
      const json_t *row = json_array_get(rows, k);
      double bytes, size, tensors;
      table_text(t, TONE_PLAIN, record_model_label(m));
      table_text(t, TONE_PLAIN, or_missing(record_string(row, "encoding")));
      table_cell(t, TONE_PLAIN, "%.0f", record_number(row, "tensors", &tensors) ? tensors : 0);
      bool known = record_number(row, "bytes", &bytes);
      table_cell(t, TONE_PLAIN, "%.2f", known ? bytes / unit.bytes : 0);
      if (known && record_number(m, "size_bytes", &size) && size > 0) {
        table_cell(t, TONE_PLAIN, "%.1f", 100 * bytes / size);
      } else {
        table_text(t, TONE_MUTED, "–");
      }
    }
  }
}

static void context_text(struct table *t, const json_t *record, const char *what, const char *path) {
  const char *text = record_string(record, path);
  if (!text) return;
  table_text(t, TONE_PLAIN, what);
  table_text(t, TONE_PLAIN, text);
}

static void context_number(struct table *t, const json_t *record, const char *what, const char *path,
                           const char *format, double scale) {
  double x;
  char text[64];
  if (!record_number(record, path, &x)) return;
  snprintf(text, sizeof text, format, x * scale);
  table_text(t, TONE_PLAIN, what);
  table_text(t, TONE_PLAIN, text);
}

void tables_context(const json_t *record, struct table *t) {
  t->title = "What was measured, and where";
  table_column(t, COLUMN_TEXT, "What");
  table_column(t, COLUMN_TEXT | COLUMN_USER | COLUMN_WRAP, "Value");
  context_text(t, record, "Task", "task");
  context_text(t, record, "Architecture", "arch");
  context_number(t, record, "Parameters", "parameters", "%.0f", 1);
  bool small = record_size_unit(record).bytes < 1e6;
  context_number(t, record, "f32 size", "f32_bytes", small ? "%.2f kB" : "%.2f MB", small ? 1e-3 : 1e-6);
  context_text(t, record, "Data", "dataset.path");
  context_text(t, record, "Data SHA-256", "dataset.sha256");
  context_number(t, record, "Items", "dataset.n", "%.0f", 1);
  context_number(t, record, "Items with a label", "dataset.labelled", "%.0f", 1);
  context_number(t, record, "Limit on items", "dataset.limit", "%.0f", 1);
  context_number(t, record, "Items cut to the longest input", "dataset.truncated", "%.0f", 1);
  context_text(t, record, "CPU", "machine.cpu");
  context_text(t, record, "Instruction set", "machine.isa");
  context_number(t, record, "Threads", "machine.threads", "%.0f", 1);
  context_number(t, record, "Cores", "machine.cores", "%.0f", 1);
  context_number(t, record, "Memory", "machine.memory_bytes", "%.1f GB", 1e-9);
  context_text(t, record, "Compiler", "machine.compiler");
  context_text(t, record, "pare version", "pare_version");
  context_text(t, record, "Created", "created");
  context_number(t, record, "Seed", "seed", "%.0f", 1);
  context_text(t, record, "Command", "command");
}
