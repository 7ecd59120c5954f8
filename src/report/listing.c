// listing.c - see listing.h.
#include "report/listing.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "report/record.h"
#include "report/table.h"
#include "report/text_draw.h"

enum { WIDTH_DEFAULT = 100, WIDTH_MIN = 40 };

static size_t width_of(struct report_text_options o) {
  return o.width == 0 ? WIDTH_DEFAULT : size_max(o.width, WIDTH_MIN);
}

static enum pare_status draw(struct table *t, struct report_text_options o, struct buf *out, struct pare_error *err) {
  bool failed = t->failed;
  if (!failed && table_rows(t)) table_draw_text(t, width_of(o), o.color, out);
  table_free(t);
  return failed || out->failed ? error_no_memory(err) : PARE_OK;
}

// ---- cells ----

static void cell_string(struct table *t, const json_t *row, const char *path) {
  const char *text = record_string(row, path);
  table_text(t, text ? TONE_PLAIN : TONE_MUTED, text ? text : "–");
}

static void cell_number(struct table *t, const json_t *row, const char *path, double scale, int digits) {
  double x;
  if (record_number(row, path, &x)) {
    table_cell(t, TONE_PLAIN, "%.*f", digits, x * scale);
  } else {
    table_text(t, TONE_MUTED, "–");
  }
}

static void cell_bool(struct table *t, const json_t *row, const char *path, const char *yes, const char *no) {
  bool is = json_is_true(record_get(row, path));
  table_text(t, is ? TONE_PLAIN : TONE_MUTED, is ? yes : no);
}

// "[768, 3072]", "hf, gguf": the elements of an array.
static void cell_list(struct table *t, const json_t *row, const char *path) {
  const json_t *list = record_get(row, path);
  struct buf b = {0};
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *x = json_array_get(list, i);
    if (i) buf_puts(&b, ", ");
    if (json_is_string(x)) {
      buf_puts(&b, json_string_value(x));
    } else {
      buf_printf(&b, "%.0f", json_number_value(x));
    }
  }
  table_text(t, b.len ? TONE_PLAIN : TONE_MUTED, b.len ? b.data : "–");
  t->failed |= b.failed;
  buf_free(&b);
}

// ---- lines of "what: value" ----

static void line_string(struct buf *out, const json_t *tree, const char *what, const char *path) {
  const char *text = record_string(tree, path);
  if (!text) return;
  buf_printf(out, "%-14s", what);
  text_add_clean(out, text, strlen(text), 400);
  buf_puts(out, "\n");
}

static void line_count(struct buf *out, const json_t *tree, const char *what, const char *path) {
  size_t n;
  if (record_count(tree, path, &n)) buf_printf(out, "%-14s%zu\n", what, n);
}

// Megabytes, or bytes where megabytes would be all zeros.
enum { SIZE_TEXT = 48 };
static const char *size_text(double bytes, char out[SIZE_TEXT]) {
  snprintf(out, SIZE_TEXT, bytes < 1e5 ? "%.0f bytes" : "%.2f MB", bytes < 1e5 ? bytes : bytes / 1e6);
  return out;
}

static void line_bytes(struct buf *out, const json_t *tree, const char *what, const char *path) {
  size_t n, f32;
  if (!record_count(tree, path, &n)) return;
  char size[SIZE_TEXT];
  buf_printf(out, "%-14s%s", what, size_text((double)n, size));
  if (record_count(tree, "f32_bytes", &f32) && f32)
    buf_printf(out, ", %.1f %% of f32", 100.0 * (double)n / (double)f32);
  buf_puts(out, "\n");
}

static void line_labels(struct buf *out, const json_t *tree, size_t width) {
  const json_t *labels = record_get(tree, "labels");
  if (json_array_size(labels) == 0) return;
  struct buf b = {0};
  buf_printf(&b, "%-14s", "labels");
  for (size_t i = 0; i < json_array_size(labels); i++) {
    buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(json_array_get(labels, i)));
  }
  if (!b.failed) text_add_wrapped(out, b.data, width, 14);
  out->failed |= b.failed;
  buf_free(&b);
}

// ---- records ----

enum pare_status listing_models(const json_t *tree, struct report_text_options options, struct buf *out,
                                struct pare_error *err) {
  struct table t = {0};
  table_column(&t, COLUMN_TEXT | COLUMN_USER, "Name");
  table_column(&t, COLUMN_TEXT, "Architecture");
  table_column(&t, COLUMN_TEXT, "Task");
  table_column(&t, 0, "Parameters");
  table_column(&t, 0, "MB");
  table_column(&t, COLUMN_TEXT | COLUMN_USER | COLUMN_WRAP, "Path");
  for (size_t i = 0; i < json_array_size(tree); i++) {
    const json_t *row = json_array_get(tree, i);
    cell_string(&t, row, "name");
    cell_string(&t, row, "arch");
    cell_string(&t, row, "task");
    cell_number(&t, row, "parameters", 1, 0);
    size_t bytes = 0;
    record_count(row, "size_bytes", &bytes);
    cell_number(&t, row, "size_bytes", 1e-6, bytes < 100000 ? 4 : 2);
    cell_string(&t, row, "path");
  }
  if (json_array_size(tree) == 0) buf_puts(out, "no models found\n");
  return draw(&t, options, out, err);
}

enum pare_status listing_schemes(const json_t *tree, struct report_text_options options, struct buf *out,
                                 struct pare_error *err) {
  struct table t = {0};
  table_column(&t, COLUMN_TEXT, "Scheme");
  table_column(&t, 0, "Bits/weight");
  table_column(&t, COLUMN_TEXT, "Encoding");
  table_column(&t, COLUMN_TEXT, "Method");
  table_column(&t, COLUMN_TEXT, "Calibrated");
  table_column(&t, COLUMN_TEXT, "Saved as");
  table_column(&t, COLUMN_TEXT, "Built");
  for (size_t i = 0; i < json_array_size(tree); i++) {
    const json_t *row = json_array_get(tree, i);
    cell_string(&t, row, "name");
    cell_number(&t, row, "bits_per_weight", 1, 2);
    cell_string(&t, row, "encoding");
    cell_string(&t, row, "method");
    cell_bool(&t, row, "calibrated", "yes", "no");
    cell_list(&t, row, "formats");
    cell_bool(&t, row, "available", "yes", "not yet");
  }
  table_note(
      &t,
      "+prune=0.3 after a name sets the three tenths of smallest magnitude of each linear layer's weights to 0 first.");
  return draw(&t, options, out, err);
}

enum pare_status listing_info(const json_t *tree, struct report_text_options options, struct buf *out,
                              struct pare_error *err) {
  line_string(out, tree, "name", "name");
  line_string(out, tree, "path", "path");
  line_string(out, tree, "architecture", "arch");
  line_string(out, tree, "task", "task");
  line_string(out, tree, "scheme", "scheme");
  line_count(out, tree, "parameters", "parameters");
  line_bytes(out, tree, "weight files", "size_bytes");
  line_count(out, tree, "max tokens", "max_tokens");
  line_labels(out, tree, width_of(options));
  line_string(out, tree, "made from", "provenance.source.0.file");
  line_string(out, tree, "  SHA-256", "provenance.source.0.sha256");
  line_string(out, tree, "  by", "provenance.command");
  buf_puts(out, "\n");
  struct table t = {0};
  table_column(&t, COLUMN_TEXT, "Tensor"); // names differ at their ends: never cut
  table_column(&t, 0, "Shape");
  table_column(&t, COLUMN_TEXT, "Encoding");
  table_column(&t, 0, "Bytes");
  const json_t *tensors = record_get(tree, "tensors");
  for (size_t i = 0; i < json_array_size(tensors); i++) {
    const json_t *row = json_array_get(tensors, i);
    cell_string(&t, row, "name");
    cell_list(&t, row, "shape");
    cell_string(&t, row, "encoding");
    cell_number(&t, row, "bytes", 1, 0);
  }
  return draw(&t, options, out, err);
}

static void preparation(struct buf *out, const json_t *tree) {
  double clipped, rows, share, sparsity;
  const char *method = record_string(tree, "calibration.method"), *file = record_string(tree, "calibration.file");
  if (method && file && record_number(tree, "calibration.rows", &rows) &&
      record_number(tree, "calibration.clipped", &clipped))
    buf_printf(out, "calibrated on %.0f texts of %s, %s: %.4f %% of the values lie outside the ranges\n", rows, file,
               method, 100 * clipped);
  if (record_number(tree, "pruning.share", &share) && record_number(tree, "pruning.sparsity", &sparsity))
    buf_printf(
        out,
        "pruned %.1f %% of the linear layers' weights, %.1f %% are 0 now: stored like any other value, so neither "
        "size nor speed gains\n",
        100 * share, 100 * sparsity);
}

enum pare_status listing_quantize(const json_t *tree, struct report_text_options options, struct buf *out,
                                  struct pare_error *err) {
  struct table t = {0};
  table_column(&t, COLUMN_TEXT, "Tensor"); // names differ at their ends: never cut
  table_column(&t, COLUMN_TEXT, "Encoding");
  table_column(&t, COLUMN_TEXT, "Method");
  table_column(&t, 0, "Bytes");
  table_column(&t, 0, "SQNR dB");
  table_column(&t, 0, "Cosine");
  const json_t *tensors = record_get(tree, "tensors");
  for (size_t i = 0; i < json_array_size(tensors); i++) {
    const json_t *row = json_array_get(tensors, i);
    cell_string(&t, row, "name");
    cell_string(&t, row, "encoding");
    cell_string(&t, row, "method");
    cell_number(&t, row, "bytes", 1, 0);
    cell_number(&t, row, "sqnr_db", 1, 1);
    cell_number(&t, row, "cosine", 1, 6);
  }
  enum pare_status status = draw(&t, options, out, err);
  double before, after;
  if (record_number(tree, "bytes_before", &before) && record_number(tree, "bytes_after", &after) && after > 0) {
    const char *scheme = record_string(tree, "scheme");
    char sizes[2][SIZE_TEXT];
    buf_printf(out, "\n%s: %s -> %s (%.2fx smaller)%s\n", scheme ? scheme : "", size_text(before, sizes[0]),
               size_text(after, sizes[1]), before / after,
               json_is_true(record_get(tree, "dry_run")) ? ", not written: dry run" : "");
  }
  preparation(out, tree);
  line_string(out, tree, "SHA-256", "sha256");
  return out->failed ? error_no_memory(err) : status;
}

static bool is_generation(const json_t *row) {
  return record_get(row, "shape.streams") != NULL;
}

static void bench_cells(struct table *t, const json_t *row, bool generation) {
  cell_string(t, row, "model");
  cell_string(t, row, "scheme");
  if (generation) {
    cell_number(t, row, "first_token_ms.median", 1, 2);
    cell_number(t, row, "token_ms.median", 1, 3);
    cell_number(t, row, "token_ms.p95", 1, 3);
    cell_number(t, row, "prefill.tokens_per_s", 1, 0);
    cell_number(t, row, "decode.tokens_per_s", 1, 1);
    cell_number(t, row, "decode.gb_per_s", 1, 1);
  } else {
    cell_number(t, row, "latency_ms.median", 1, 2);
    cell_number(t, row, "latency_ms.p95", 1, 2);
    cell_number(t, row, "tokens_per_s", 1, 0);
    cell_number(t, row, "gops", 1, 1);
    cell_number(t, row, "gb_per_s", 1, 1);
  }
  cell_number(t, row, "rss_bytes", 1e-6, 1);
  cell_number(t, row, "load_ms", 1, 1);
}

static void cell_ratio(struct table *t, const json_t *row, const char *key) {
  char path[2][48];
  snprintf(path[0], sizeof path[0], "against.%s.value", key);
  snprintf(path[1], sizeof path[1], "against.%s.ci95", key);
  double value, ends[2];
  if (record_number(row, path[0], &value) && record_interval(row, path[1], ends)) {
    table_cell(t,
               ends[0] > 1   ? TONE_GOOD
               : ends[1] < 1 ? TONE_BAD
                             : TONE_PLAIN,
               "%.2f× (%.2f–%.2f)", value, ends[0], ends[1]);
    table_note(t, "Ratio: median time of the other model over this one's; above 1 this one is faster.");
  } else {
    table_text(t, TONE_MUTED, "–");
  }
}

static void cell_shape(struct table *t, const json_t *row) {
  size_t n[3] = {0};
  if (is_generation(row)) {
    record_count(row, "shape.streams", &n[0]);
    record_count(row, "shape.prompt", &n[1]);
    record_count(row, "shape.generate", &n[2]);
    table_cell(t, TONE_PLAIN, "%zu×(%zu+%zu)", n[0], n[1], n[2]);
    table_note(t,
               "Shape: streams × (tokens of the prompt + new tokens). First: until each stream has its first new "
               "token; token: each one after it; GB/s: weights read while decoding.");
  } else if (record_count(row, "shape.texts", &n[0])) {
    record_count(row, "shape.tokens", &n[1]);
    record_count(row, "shape.longest", &n[2]);
    table_cell(t, TONE_PLAIN, "%zu texts", n[0]);
    table_note(t, "Shape: the texts as one batch, %zu tokens, the longest text %zu.", n[1], n[2]);
  } else {
    record_count(row, "shape.batch", &n[0]);
    record_count(row, "shape.length", &n[1]);
    table_cell(t, TONE_PLAIN, "%zu×%zu", n[0], n[1]);
    table_note(t, "Shape: sequences × tokens of each.");
  }
}

static void bench_columns(struct table *t, bool generation, bool two) {
  static const char *const batches[] = {"ms", "p95 ms", "Tokens/s", "Gop/s", "GB/s", "RSS MB", "Load ms", NULL};
  static const char *const streams[] = {"First ms", "Token ms", "p95 ms",  "Prefill/s", "Decode/s",
                                        "GB/s",     "RSS MB",   "Load ms", NULL};
  table_column(t, 0, "Shape");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT, "Scheme");
  for (const char *const *head = generation ? streams : batches; *head; head++) table_column(t, 0, *head);
  if (two) table_column(t, 0, generation ? "Prefill ratio (95 %)" : "Ratio (95 %)");
  if (two && generation) table_column(t, 0, "Decode ratio (95 %)");
}

enum pare_status listing_bench(const json_t *tree, struct report_text_options options, struct buf *out,
                               struct pare_error *err) {
  struct table t = {0};
  const json_t *rows = record_get(tree, "rows");
  bool two = record_get(tree, "against") != NULL, generation = is_generation(json_array_get(rows, 0));
  bench_columns(&t, generation, two);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i), *against = record_get(row, "against");
    cell_shape(&t, row);
    bench_cells(&t, row, generation);
    if (two) cell_ratio(&t, row, generation ? "prefill_ratio" : "ratio");
    if (two && generation) cell_ratio(&t, row, "decode_ratio");
    if (!against) continue;
    table_text(&t, TONE_PLAIN, "");
    bench_cells(&t, against, generation);
    for (int k = 0; k < (generation ? 2 : 1); k++) table_text(&t, TONE_PLAIN, "");
  }
  table_note(&t, "ms is the median. %s, no tokenization; %s, %.0f threads.",
             record_get(tree, "dataset") ? "Texts read beforehand" : "Random token ids",
             record_string(tree, "machine.isa") ? record_string(tree, "machine.isa") : "?",
             json_number_value(record_get(tree, "machine.threads")));
  return draw(&t, options, out, err);
}
