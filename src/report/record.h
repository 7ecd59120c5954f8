// record.h - reading a record: the JSON tree that `pare compare` and `pare eval` fill and every report is computed
// from.
//
// Shape: the `compare` JSON of docs (task, dataset, machine, models[], recommendations[], gate). models[0] is the
// original; its against_base is null. Rates, accuracies and deltas are fractions, a delta is candidate minus original,
// flips are counts.
//
// A value that cannot be known is null, and a sibling "<name>_reason" holds one sentence saying why:
//   "p99": null, "p99_reason": "n too small: 100 runs, 299 needed"
// An interval stands beside its value: {"value": v, "ci95": [low, high]}, or "<name>_ci95" for a plain number.
// A percentile's <name>_ci95 holds two one-sided 95 % bounds (order statistics); either may be null.
//
// Fields beside the contract's:
// - top level: pare_version, created (ISO 8601), command, f32_bytes (4 x parameters), parameters, labels[], arch, seed
// - machine: cpu, isa, threads, cores, memory_bytes, compiler
// - dataset: path, sha256, n (items evaluated), labelled, limit, truncated (items cut to the model's longest input)
// - models[]: label (display name; name when absent), size_percent_of_f32, coverage[{encoding, tensors, bytes}],
//   confusion[[counts of answers] per label], nll, brier, ece, confidence.mean_ci95, latency_samples_ms[] (in order
//   measured), latency_ms.{p90, p95, p99}_ci95, throughput (items per second), throughput_ci95,
//   errors{value, ci95, count, n}, perplexity{value, ci95, tokens},
//   flip_examples[{row, text, label, base, candidate, base_score, score}]
// - against_base: n (items compared), relative_accuracy{value, ci95}, flips.{wrong_to_other_wrong, changed},
//   f1_macro_delta{value, ci95}, per_class_f1_delta[{label, value, ci95}], confidence_delta_mean_ci95, kl_mean_ci95,
//   kl_p99, kl_max, perplexity_ratio{value, ci95}, same_top{value, ci95, n}, rougeL_rel{value, ci95},
//   len_ratio{value, ci95}
// speedup.value is the ratio of the two latency_ms.median. Other fields are kept and not read.
#ifndef PARE_REPORT_RECORD_H
#define PARE_REPORT_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// Paths are dotted: "models.0.accuracy.value". A step of digits indexes an array.

// The node, or NULL when absent or JSON null. Borrowed.
const json_t *record_get(const json_t *record, const char *path);
bool record_number(const json_t *record, const char *path, double *out);     // integer or real, finite
bool record_count(const json_t *record, const char *path, size_t *out);      // integer >= 0
const char *record_string(const json_t *record, const char *path);           // NULL when absent; borrowed
bool record_interval(const json_t *record, const char *path, double out[2]); // [low, high], both finite, low <= high
// Why the value at path is null: its "_reason", or "not in the record". Never NULL; borrowed.
const char *record_reason(const json_t *record, const char *path);

// Sets object[key] = null and object[key_reason] = the formatted sentence. Returns 0, or -1 when out of memory.
int record_set_null(json_t *object, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Models that write text; else classifiers.
bool record_is_text(const json_t *record);
size_t record_model_count(const json_t *record);
const json_t *record_model(const json_t *record, size_t i); // NULL past the end
const char *record_model_name(const json_t *model);         // "name", or "?"
const char *record_model_label(const json_t *model);        // display name: "label", else "name"
// What sizes of weight files are written in: kB where the original's is below 1 MB, else MB.
struct size_unit {
  const char *name;
  double bytes;
};
struct size_unit record_size_unit(const json_t *record);
size_t record_find_model(const json_t *record, const char *name); // index, or record_model_count when absent

#endif
