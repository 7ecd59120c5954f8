// listing_train.c - the record of `pare train` as text.
#include "base/error.h"
#include "report/listing.h"
#include "report/record.h"
#include "report/table.h"

enum { WIDTH_DEFAULT = 100 };

static void cell_accuracy(struct table *t, const json_t *row) {
  double value, ends[2];
  if (record_number(row, "accuracy.value", &value) && record_interval(row, "accuracy.ci95", ends)) {
    table_cell(t, TONE_PLAIN, "%.2f %% (%.2f–%.2f)", 100 * value, 100 * ends[0], 100 * ends[1]);
  } else {
    table_text(t, TONE_MUTED, "–");
  }
}

enum pare_status listing_train(const json_t *tree, struct report_text_options options, struct buf *out,
                               struct pare_error *err) {
  struct table t = {0};
  table_column(&t, 0, "Bits");
  table_column(&t, COLUMN_TEXT, "Encoding");
  table_column(&t, 0, "Bytes");
  table_column(&t, 0, "Accuracy (95 %)");
  const json_t *list = record_get(tree, "candidates");
  size_t held_out = 0, rows = 0, features = 0, weights = 0, bytes = 0;
  record_count(tree, "held_out", &held_out);
  record_count(tree, "rows", &rows);
  record_count(tree, "features", &features);
  record_count(tree, "weights", &weights);
  record_count(tree, "bytes", &bytes);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *row = json_array_get(list, i);
    size_t precision = 0, size = 0;
    record_count(row, "precision", &precision);
    record_count(row, "bytes", &size);
    table_cell(&t, TONE_PLAIN, "%zu", precision);
    table_text(&t, TONE_PLAIN, record_string(row, "encoding"));
    table_cell(&t, TONE_PLAIN, "%zu", size);
    cell_accuracy(&t, row);
  }
  table_note(&t, "Accuracy is of %zu texts that were not learnt from.", held_out);
  bool failed = t.failed;
  if (!failed && table_rows(&t)) table_draw_text(&t, options.width ? options.width : WIDTH_DEFAULT, options.color, out);
  table_free(&t);
  buf_printf(out, "\nkept: %s\n", record_string(tree, "because"));
  buf_printf(out, "written: %zu bytes, %zu features, %zu weights, %zu labels, learnt from %zu texts\n", bytes, features,
             weights, json_array_size(record_get(tree, "labels")), rows);
  return failed || out->failed ? error_no_memory(err) : PARE_OK;
}
