// listing_perplexity.c - the record of `pare perplexity` as text, under the names llama.cpp's users know.
#include <stdio.h>

#include "base/error.h"
#include "report/listing.h"
#include "report/record.h"

static void line(struct buf *out, const json_t *tree, const char *what, const char *key, const char *ci, double scale,
                 const char *format, const char *unit) {
  double x, low, high;
  char path[64];
  if (!record_number(tree, key, &x)) return;
  buf_printf(out, "%-27s", what);
  buf_printf(out, format, x * scale);
  buf_puts(out, unit);
  if (ci) {
    snprintf(path, sizeof path, "%s.0", ci);
    bool known = record_number(tree, path, &low);
    snprintf(path, sizeof path, "%s.1", ci);
    if (known && record_number(tree, path, &high)) {
      buf_puts(out, "  (95 %: ");
      buf_printf(out, format, low * scale);
      buf_puts(out, " to ");
      buf_printf(out, format, high * scale);
      buf_puts(out, ")");
    }
  }
  buf_puts(out, "\n");
}

enum pare_status listing_perplexity(const json_t *tree, struct buf *out, struct pare_error *err) {
  double tokens = 0, context = 0, stride = 0;
  record_number(tree, "tokens", &tokens);
  record_number(tree, "context", &context);
  record_number(tree, "stride", &stride);
  buf_printf(out, "%-27s%.0f, windows of %.0f moving by %.0f\n", "tokens scored", tokens, context, stride);
  line(out, tree, "PPL(Q)", "perplexity", "ci95", 1, "%.4f", "");
  line(out, tree, "bits per byte", "bits_per_byte", NULL, 1, "%.4f", "");
  line(out, tree, "PPL(base)", "base_perplexity", "base_ci95", 1, "%.4f", "");
  line(out, tree, "Mean ln(PPL(Q)/PPL(base))", "ln_ratio_mean", "ln_ratio_ci95", 1, "%.6f", "");
  line(out, tree, "Mean KLD", "kl_mean", "kl_mean_ci95", 1, "%.6f", "");
  line(out, tree, "Median KLD", "kl_median", NULL, 1, "%.6f", "");
  line(out, tree, "99 % KLD", "kl_p99", NULL, 1, "%.6f", "");
  line(out, tree, "Maximum KLD", "kl_max", NULL, 1, "%.6f", "");
  line(out, tree, "Same top p", "same_top", NULL, 100, "%.3f", " %");
  return out->failed ? error_no_memory(err) : PARE_OK;
}
