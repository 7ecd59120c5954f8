// derive_costs.c - money and the composite score. The prices are the author's, the arithmetic is ours and is printed.
//
// Serving: an instance that answers one request at a time at the original's median latency answers `speedup` times as
// many with the candidate, so ceil(instances / speedup) serve the same load. Counted only when the speedup's interval
// lies wholly above 1, and at the interval's lower end.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "study/derive.h"
#include "study/sentence.h"

static double input(const json_t *costs, const char *key) {
  return json_number_value(json_object_get(costs, key));
}

static void add_line(json_t *lines, const char *what, double amount, struct buf *how) {
  char *text = buf_take(how);
  json_array_append_new(lines, json_pack("{s:s, s:f, s:s}", "what", what, "amount", amount, "how", text ? text : ""));
  free(text);
}

static double serving(const struct study_view *v, const json_t *costs, json_t *lines) {
  double instances = input(costs, "instances"), price = input(costs, "instance_price_month"), ends[2];
  struct buf b = {0};
  if (instances <= 0 || price <= 0) return 0;
  double saved = 0;
  if (!record_interval(v->model, "against_base.speedup.ci95", ends)) {
    buf_puts(&b, "no interval of the speedup: nothing is counted");
  } else if (ends[0] <= 1) {
    buf_printf(&b, "the speedup's interval (%.2f to %.2f) does not lie above 1: nothing is counted", ends[0], ends[1]);
  } else {
    double needed = ceil(instances / ends[0]);
    saved = (instances - needed) * price * 12;
    buf_printf(&b, "%.0f instances become ceil(%.0f / %.2f) = %.0f (lower end of the speedup); x %.2f a month x 12",
               instances, instances, ends[0], needed, price);
  }
  add_line(lines, "Serving, a year", saved, &b);
  return saved;
}

static double storage(const struct study_view *v, const json_t *costs, json_t *lines) {
  double base, size, total = 0;
  struct buf b = {0};
  if (!record_number(v->base, "size_bytes", &base) || !record_number(v->model, "size_bytes", &size)) return 0;
  double gb = (base - size) / 1e9, copies = input(costs, "copies"), price = input(costs, "storage_price_gb_month");
  if (copies > 0 && price > 0) {
    double saved = gb * copies * price * 12;
    buf_printf(&b, "%.6f GB x %.0f copies x %.4f a GB and month x 12", gb, copies, price);
    add_line(lines, "Storage, a year", saved, &b);
    total += saved;
  }
  double downloads = input(costs, "downloads_month"), transfer = input(costs, "transfer_price_gb");
  if (downloads > 0 && transfer > 0) {
    double saved = gb * downloads * 12 * transfer;
    buf_printf(&b, "%.6f GB x %.0f downloads a month x 12 x %.4f a GB", gb, downloads, transfer);
    add_line(lines, "Transfer, a year", saved, &b);
    total += saved;
  }
  return total;
}

static void instances_per_server(const struct study_view *v, const json_t *costs, json_t *out) {
  double memory = input(costs, "instance_memory_mb") * 1e6, base, model;
  if (memory <= 0 || !record_number(v->base, "rss_bytes", &base) || !record_number(v->model, "rss_bytes", &model))
    return;
  json_object_set_new(out, "models_per_instance",
                      json_pack("{s:f, s:f}", "original", floor(memory / base), "quantized", floor(memory / model)));
}

// ROI a year and months to payback of a yearly return on the investment; null without both.
static json_t *returns(const char *name, double yearly, double investment) {
  bool pays = yearly > 0 && investment > 0;
  return json_pack("{s:s, s:f, s:o, s:o}", "name", name, "yearly", yearly, "roi_percent",
                   investment > 0 ? json_real(100 * yearly / investment) : json_null(), "payback_months",
                   pays ? json_real(12 * investment / yearly) : json_null());
}

enum pare_status derive_costs(const json_t *study, json_t *derived, struct pare_error *err) {
  const json_t *costs = record_get(study, "config.costs");
  if (!costs) return PARE_OK;
  struct study_view v;
  if (!study_view_find(study, record_string(costs, "part"), record_string(costs, "model"), &v))
    return error_set(err, PARE_DATA, "costs: the study has no such part or model");
  json_t *lines = json_array(), *out = json_object(), *sheet = json_array();
  double measured = serving(&v, costs, lines) + storage(&v, costs, lines);
  double other = input(costs, "other_value_year"), investment = input(costs, "investment");
  json_array_append_new(sheet, returns("measured savings alone", measured, investment));
  if (other != 0) json_array_append_new(sheet, returns("with the author's estimate", measured + other, investment));
  json_object_set(out, "currency", json_object_get(costs, "currency"));
  json_object_set_new(out, "model", json_string(record_model_name(v.model)));
  json_object_set_new(out, "lines", lines);
  json_object_set_new(out, "savings_year", json_real(measured));
  json_object_set_new(out, "investment", json_real(investment));
  json_object_set_new(out, "returns", sheet);
  instances_per_server(&v, costs, out);
  return json_object_set_new(derived, "costs", out) ? error_no_memory(err) : PARE_OK;
}

// ---- composite score ----

static double clamp01(double x) {
  return x < 0 ? 0 : x > 1 ? 1 : x;
}

// score = 100 x sum(weight x clamp((value - zero) / (full - zero), 0, 1)) / sum(weight). A component the record cannot
// give counts nothing and keeps its weight.
enum pare_status derive_composite(const json_t *study, json_t *derived, struct pare_error *err) {
  const json_t *composite = record_get(study, "config.composite"), *list = json_object_get(composite, "components");
  if (!composite) return PARE_OK;
  json_t *rows = json_array();
  double sum = 0, weights = 0;
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *c = json_array_get(list, i);
    const struct study_metric *m = study_metric_find(record_string(c, "metric"));
    double zero = input(c, "zero"), full = input(c, "full"), weight = input(c, "weight");
    struct study_view view;
    struct study_value v;
    const char *reason;
    if (weight <= 0 || zero == full) {
      json_decref(rows);
      return error_set(err, PARE_DATA, "composite: %s: expected a weight above 0 and zero unlike full", m->name);
    }
    bool known = study_view_find(study, record_string(c, "part"), record_string(c, "model"), &view) &&
                 study_metric_get(m, &view, &v, &reason);
    double share = known ? clamp01((v.value - zero) / (full - zero)) : 0;
    sum += weight * share;
    weights += weight;
    json_array_append_new(rows, json_pack("{s:s, s:o, s:f, s:f, s:f, s:f}", "metric", m->name, "value",
                                          known ? json_real(v.value) : json_null(), "zero", zero, "full", full,
                                          "weight", weight, "points", weight * share));
  }
  double score = 100 * sum / weights, best = -INFINITY;
  const char *verdict = NULL;
  const json_t *bands = json_object_get(composite, "bands");
  for (size_t i = 0; i < json_array_size(bands); i++) {
    const json_t *b = json_array_get(bands, i);
    double from = input(b, "from");
    if (score < from || from <= best) continue;
    best = from;
    verdict = record_string(b, "verdict");
  }
  json_t *out =
      json_pack("{s:f, s:s?, s:f, s:o}", "score", score, "verdict", verdict, "weights", weights, "components", rows);
  return !out || json_object_set_new(derived, "composite", out) ? error_no_memory(err) : PARE_OK;
}
