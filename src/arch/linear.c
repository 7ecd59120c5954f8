// linear.c - multinomial logistic regression over a set of text features (hashed n-grams, text/ngram.h), as `pare
// train` makes it:
//   logits = bias + sum of the weights of the text's features / sqrt(their number)      (normalize "l2")
//   logits = bias + sum                                                                  (normalize "none")
// Two labels have one row of weights z, and the logits -z / 2 and z / 2: what softmax sees is their difference.
#include <math.h>

#include "arch/config.h"

enum { WEIGHT, BIAS, ROWS };
static const struct arch_row rows[ROWS] = {
    [WEIGHT] = {.name = "classifier.weight", .role = ROLE_BAG, .n = D_C, .k = D_V},
    [BIAS] = {.name = "classifier.bias", .role = ROLE_BIAS, .n = D_C},
};

enum { MAX_FEATURES = 1 << 24, LONGEST = 1 << 16 }; // features of a model; of one text

static enum pare_status read_config(const struct json_t *json, const char *file, struct config *out,
                                    struct pare_error *err) {
  static const struct config_classes names = {.classify = "LinearForTextClassification"};
  const struct config_reader r = {json, file, err};
  *out = (struct config){0};
  enum pare_status s = config_common(&r, &names, out);
  if (!s) s = config_size(&r, "vocab_size", NULL, CONFIG_REQUIRED, MAX_FEATURES, &out->V);
  if (!s) s = config_bool(&r, "normalize", true, &out->unit);
  if (s) return s;
  if (out->task != ARCH_CLASSIFY || out->regression || out->N < 2)
    return error_set(err, PARE_DATA, "%s: expected a classifier (LinearForTextClassification) of at least two labels",
                     file);
  out->C = out->N == 2 ? 1 : out->N;
  out->P = out->V < LONGEST ? out->V : LONGEST;
  return PARE_OK;
}

// The sum is scaled by a division and the bias added by one addition, whatever the number of labels.
static void forward(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                    float *out) {
  const float *bias = weight_at(w, BIAS)->vector;
  for (size_t b = 0; b < s->B; b++, out += c->N) {
    size_t n = s->offsets[b + 1] - s->offsets[b];
    nn_bag(ctx, &weight_at(w, WEIGHT)->bag, s->ids + s->offsets[b], n, out);
    float length = c->unit && n ? sqrtf((float)n) : 1;
    ctx->kernels->div(out, c->C, length);
    ctx->kernels->add(out, bias, c->C);
    if (c->C == c->N) continue;
    out[1] = out[0] / 2;
    out[0] = -out[1];
  }
}

static size_t scratch_bytes(const struct kernels *k, const struct config *c, size_t count, size_t B, size_t longest,
                            size_t threads) {
  (void)k, (void)c, (void)count, (void)B, (void)longest, (void)threads;
  return 0;
}

static const char *const prefixes[] = {"", NULL};
const struct arch arch_linear = {.name = "linear",
                                 .prefixes = prefixes,
                                 .rows = rows,
                                 .row_count = ROWS,
                                 .read_config = read_config,
                                 .forward = forward,
                                 .scratch_bytes = scratch_bytes,
                                 .ours = true,
                                 .bag = true};
