// api_record.c - records as the public interface hands them out.
#include "api_record.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "format/format.h"
#include "report/listing.h"
#include "report/record.h"
#include "report/report.h"
#include "study/study.h"

enum pare_status record_new(enum record_kind kind, json_t *tree, pare_record **out, struct pare_error *err) {
  *out = tree ? malloc(sizeof **out) : NULL;
  if (!*out) {
    json_decref(tree);
    return error_no_memory(err);
  }
  **out = (struct pare_record){.kind = kind, .tree = tree};
  return PARE_OK;
}

enum pare_status record_wrap(enum record_kind kind, enum pare_status status, json_t *tree, pare_record **out,
                             struct pare_error *err) {
  if (status != PARE_OK && status != PARE_REFUSED && status != PARE_INCONCLUSIVE) return status;
  enum pare_status made = record_new(kind, tree, out, err);
  return made == PARE_OK ? status : made;
}

void pare_record_close(pare_record *record) {
  if (!record) return;
  json_decref(record->tree);
  free(record);
}

// ---- JSON lines ----

static enum pare_status add_line(const json_t *object, struct buf *out, struct pare_error *err) {
  enum pare_status status = report_json(object, false, out, err);
  if (status == PARE_OK && (out->len == 0 || out->data[out->len - 1] != '\n')) buf_puts(out, "\n");
  return status;
}

static enum pare_status add_rows(const json_t *rows, struct buf *out, struct pare_error *err) {
  size_t i;
  json_t *row;
  json_array_foreach(rows, i, row) {
    enum pare_status status = add_line(row, out, err);
    if (status != PARE_OK) return status;
  }
  return PARE_OK;
}

// One model was measured: its fields stand beside those of the whole.
static enum pare_status add_eval(const json_t *tree, struct buf *out, struct pare_error *err) {
  json_t *flat = json_copy((json_t *)tree);
  int bad = !flat || json_object_update(flat, json_array_get(json_object_get(tree, "models"), 0));
  json_object_del(flat, "models");
  json_object_del(flat, "recommendations"); // nothing to choose between
  enum pare_status status = bad ? error_no_memory(err) : add_line(flat, out, err);
  json_decref(flat);
  return status;
}

static enum pare_status render_lines(const pare_record *r, struct buf *out, struct pare_error *err) {
  switch (r->kind) {
    case RECORD_SCHEMES:
    case RECORD_MODELS: return add_rows(r->tree, out, err);
    case RECORD_BENCH: return add_rows(json_object_get(r->tree, "rows"), out, err);
    case RECORD_EVAL: return add_eval(r->tree, out, err);
    case RECORD_INFO:
    case RECORD_QUANTIZE:
    case RECORD_PERPLEXITY:
    case RECORD_STUDY:
    case RECORD_TRAIN:
    case RECORD_COMPARE: break;
  }
  return add_line(r->tree, out, err);
}

// ---- text ----

static enum pare_status render_text(const pare_record *r, const struct pare_render_options *o, struct buf *out,
                                    struct pare_error *err) {
  struct report_text_options text = {.width = o ? o->width : 0, .color = o && o->color};
  switch (r->kind) {
    case RECORD_INFO: return listing_info(r->tree, text, out, err);
    case RECORD_SCHEMES: return listing_schemes(r->tree, text, out, err);
    case RECORD_MODELS: return listing_models(r->tree, text, out, err);
    case RECORD_QUANTIZE: return listing_quantize(r->tree, text, out, err);
    case RECORD_BENCH: return listing_bench(r->tree, text, out, err);
    case RECORD_PERPLEXITY: return listing_perplexity(r->tree, out, err);
    case RECORD_STUDY: return study_report(r->tree, STUDY_PLAIN, text.width, out, err);
    case RECORD_TRAIN: return listing_train(r->tree, text, out, err);
    case RECORD_COMPARE:
    case RECORD_EVAL: break;
  }
  return report_text(r->tree, text, out, err);
}

static enum pare_status render(const pare_record *r, enum pare_format format, const struct pare_render_options *options,
                               struct buf *out, struct pare_error *err) {
  bool report = r->kind == RECORD_COMPARE || r->kind == RECORD_EVAL;
  switch (format) {
    case PARE_JSON: return report_json(r->tree, true, out, err);
    case PARE_JSON_LINES: return render_lines(r, out, err);
    case PARE_TEXT: return render_text(r, options, out, err);
    case PARE_MARKDOWN:
      if (r->kind == RECORD_STUDY) return study_report(r->tree, STUDY_MARKDOWN, 0, out, err);
      if (report) return report_markdown(r->tree, out, err);
      break;
    case PARE_HTML:
      if (r->kind == RECORD_STUDY) return study_report(r->tree, STUDY_HTML, 0, out, err);
      if (report) return report_html(r->tree, out, err);
      break;
  }
  return error_set(err, PARE_USAGE, "this record has no page: expected one of compare, eval or a study");
}

enum pare_status pare_record_render(const pare_record *record, enum pare_format format,
                                    const struct pare_render_options *options, char **out, struct pare_error *err) {
  struct buf b = {0};
  *out = NULL;
  enum pare_status status = render(record, format, options, &b, err);
  if (status == PARE_OK) {
    *out = buf_take(&b);
    if (!*out) status = error_no_memory(err);
  }
  buf_free(&b);
  return status;
}

enum pare_status pare_record_open(const char *path, pare_record **record, struct pare_error *err) {
  json_t *tree;
  *record = NULL;
  enum pare_status status = json_file_load(path, &tree, err);
  if (status) return status;
  const char *kind = record_string(tree, "kind");
  bool study = kind && !strcmp(kind, "study");
  if (!study && record_model_count(tree) == 0) {
    json_decref(tree);
    return error_set(err, PARE_DATA, "%s: expected a record of pare compare, eval or a study", path);
  }
  return record_new(study                          ? RECORD_STUDY
                    : record_model_count(tree) > 1 ? RECORD_COMPARE
                                                   : RECORD_EVAL,
                    tree, record, err);
}
