// tables_text.c - see tables.h: tables of models that write text. All are empty for classifiers.
#include "report/tables_text.h"

#include <stdio.h>

#include "report/record.h"
#include "report/rouge.h"
#include "report/tables.h"
#include "report/tables_cells.h"

static bool has_references(const json_t *record) {
  return record_get(record_model(record, 0), "rouge") != NULL;
}

// Shown in per cent of the original's.
static void cell_perplexity_change(struct table *t, const json_t *model, bool original) {
  struct judging how = {.original = original, .lower_is_better = true, .zero = 1, .scale = 100, .offset = 1};
  cell_judged(t, model, "against_base.perplexity_ratio", "Perplexity difference", &how);
}

static void cell_rouge_delta(struct table *t, const json_t *model, bool original) {
  struct judging how = {.original = original, .scale = 100};
  cell_judged(t, model, "against_base.rouge_delta.rougeL", "ROUGE-L difference", &how);
}

void text_columns_brief(const json_t *record, struct table *t) {
  column_against(t, record, "Same answer %");
  if (has_references(record)) {
    table_column(t, 0, "ROUGE-L");
    column_against(t, record, "Δ points (95 %)");
  } else {
    table_column(t, 0, "Perplexity");
    column_against(t, record, "Δ % (95 %)");
  }
}

void text_cells_brief(const json_t *record, size_t i, struct table *t) {
  const json_t *m = record_model(record, i);
  bool compared = record_model_count(record) > 1, references = has_references(record);
  if (compared) cell_against(t, m, i == 0, "similarity.exact.value", "Same answer", "%.2f", 100);
  if (references) {
    cell_number(t, m, "rouge.rougeL.value", "ROUGE-L", 100, 2);
    if (compared) cell_rouge_delta(t, m, i == 0);
  } else {
    cell_number(t, m, "perplexity.value", "Perplexity", 1, 2);
    if (compared) cell_perplexity_change(t, m, i == 0);
  }
}

static void cell_spread(struct table *t, const json_t *model, bool original, const char *path, const char *what) {
  double mean, low, high;
  const json_t *node = record_get(model, path);
  if (original) {
    table_text(t, TONE_MUTED, "–");
  } else if (record_number(node, "mean", &mean) && record_number(node, "min", &low) &&
             record_number(node, "max", &high)) {
    table_cell(t, TONE_PLAIN, "%.1f (%.1f–%.1f)", 100 * mean, 100 * low, 100 * high);
  } else {
    cell_missing(t, model, path, what);
  }
}

static void cell_divergence(struct table *t, const json_t *model, bool original) {
  double median;
  if (original || (record_get(model, "similarity") && !record_get(model, "similarity.first_divergence"))) {
    table_text(t, TONE_MUTED, "–"); // no answer parts
  } else if (record_number(model, "similarity.first_divergence.median", &median)) {
    table_cell(t, TONE_PLAIN, "%.1f", median);
  } else {
    cell_missing(t, model, "similarity.first_divergence", "First difference");
  }
}

void tables_likeness(const json_t *record, struct table *t) {
  if (!record_is_text(record) || record_model_count(record) < 2) return;
  t->title = "Likeness to the original's answers";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, 0, "Same answer %");
  table_column(t, 0, "Characters %");
  table_column(t, 0, "Token sets %");
  table_column(t, 0, "Parts at token");
  table_column(t, 0, "Same next token %");
  table_column(t, 0, "KL mean");
  table_column(t, 0, "Length");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_against(t, m, i == 0, "similarity.exact.value", "Same answer", "%.2f", 100);
    cell_spread(t, m, i == 0, "similarity.char", "Characters");
    cell_spread(t, m, i == 0, "similarity.token_jaccard", "Token sets");
    cell_divergence(t, m, i == 0);
    cell_against(t, m, i == 0, "against_base.same_top.value", "Same next token", "%.2f", 100);
    cell_against(t, m, i == 0, "against_base.kl_mean", "KL", "%.2e", 1);
    cell_against(t, m, i == 0, "against_base.len_ratio.value", "Length", "%.3f", 1);
  }
  table_note(t, "Characters: 1 − edit distance / longer length; token sets: Jaccard index; mean (lowest–highest).");
  table_note(t,
             "Parts at token: median place of the first other token, of the answers that part. Same next token and KL: "
             "on the original's answers, token by token.");
}

void tables_perplexity(const json_t *record, struct table *t) {
  if (!record_is_text(record)) return;
  const char *of = record_string(record_model(record, 0), "perplexity.of");
  t->title = of && *of == 'r' ? "Perplexity of the references" : "Perplexity of the data's texts";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, 0, "Of all tokens (95 %)");
  column_against(t, record, "Δ % (95 %)");
  table_column(t, 0, "Mean over texts");
  table_column(t, 0, "± std");
  table_column(t, 0, "Tokens");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_interval(t, m, "perplexity", "Perplexity", 1);
    if (record_model_count(record) > 1) cell_perplexity_change(t, m, i == 0);
    cell_number(t, m, "perplexity.mean", "Perplexity", 1, 2);
    cell_number(t, m, "perplexity.std", "Perplexity", 1, 2);
    cell_number(t, m, "perplexity.tokens", "Perplexity", 1, 0);
  }
}

void tables_rouge(const json_t *record, struct table *t) {
  static const char *const heads[ROUGE_KINDS] = {"ROUGE-1", "ROUGE-2", "ROUGE-L (95 %)"};
  bool compared = record_model_count(record) > 1;
  if (!record_is_text(record) || !has_references(record)) return;
  t->title = "Answers against the references";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  for (size_t k = 0; k < ROUGE_KINDS; k++) table_column(t, 0, heads[k]);
  column_against(t, record, "Δ points (95 %)");
  column_against(t, record, "Rel. %");
  table_column(t, 0, "Length");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_number(t, m, "rouge.rouge1.value", "ROUGE", 100, 2);
    cell_number(t, m, "rouge.rouge2.value", "ROUGE", 100, 2);
    cell_interval(t, m, "rouge.rougeL", "ROUGE-L", 100);
    if (compared) cell_rouge_delta(t, m, i == 0);
    if (compared) cell_against(t, m, i == 0, "against_base.rougeL_rel.value", "Relative ROUGE-L", "%.2f", 100);
    cell_number(t, m, "length_ratio.value", "Length", 1, 3);
  }
  table_note(t, "F1 in per cent, lower case, no stemming. Length: all answers over all references, in characters.");
}

void tables_side_by_side(const json_t *record, struct table *t) {
  if (!record_is_text(record)) return;
  t->title = "Answers side by side";
  table_column(t, 0, "Row");
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT | COLUMN_USER | COLUMN_WRAP, "Text");
  table_column(t, COLUMN_TEXT | COLUMN_USER | COLUMN_WRAP, "Original wrote");
  table_column(t, COLUMN_TEXT | COLUMN_USER | COLUMN_WRAP, "Candidate wrote");
  table_column(t, 0, "Match %");
  table_column(t, COLUMN_TEXT, "Difference");
  for (size_t i = 1; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i), *rows = record_get(m, "examples");
    for (size_t k = 0; k < json_array_size(rows); k++) {
      const json_t *row = json_array_get(rows, k);
      static const char *const keys[] = {"text", "base", "candidate"};
      const char *kind = record_string(row, "difference");
      double at;
      table_cell(t, TONE_PLAIN, "%.0f", record_number(row, "row", &at) ? at : -1);
      table_text(t, TONE_PLAIN, record_model_label(m));
      for (size_t x = 0; x < 3; x++) {
        const char *text = record_string(row, keys[x]);
        table_text(t, TONE_PLAIN, text ? text : "n/a");
      }
      cell_number(t, row, "match", "Match", 100, 1);
      table_text(t, TONE_PLAIN, kind ? kind : "n/a");
    }
  }
  table_note(t,
             "The first rows of the data, then those least like the original's answer. Difference: the least that has "
             "to be left out for the two to be equal: spacing, then case, then punctuation; else words.");
}
