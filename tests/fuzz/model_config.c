// model_config.c - libFuzzer on every architecture's reading of config.json: it refuses with a message that names the
// file, or every size is within the range that the rest of the program multiplies without looking.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken promise: %s\n", what);
  abort();
}

static void check_rows(const struct arch *a, const struct config *c) {
  for (size_t i = 0; i < a->row_count; i++) {
    if (!arch_row_used(&a->rows[i], c)) continue;
    for (size_t l = 0; l < arch_row_layers(&a->rows[i], c); l++) {
      size_t n, k, bytes;
      arch_row_shape(&a->rows[i], c, l, &n, &k);
      require(n > 0 && k > 0, "no empty weights");
      require(!__builtin_mul_overflow(n, k, &bytes) && !__builtin_mul_overflow(bytes, 1024 * 8, &bytes),
              "sizes far from overflow");
      if (a->rows[i].role != ROLE_EMBEDDING) require(k <= ARCH_MAX_K, "sums of int8 products that fit 32 bits");
    }
  }
}

static void check_arch(const struct arch *a, const json_t *json) {
  struct config c;
  struct pare_error err = {0};
  enum pare_status status = a->read_config(json, "fuzz", &c, &err);
  if (status != PARE_OK) {
    require(status == PARE_DATA || status == PARE_UNAVAILABLE, "a status for bad data");
    require(err.code == status && strncmp(err.text, "fuzz: ", 6) == 0, "a refusal with its reason");
    return;
  }
  require(c.C % c.H == 0 && c.C / c.H >= 1, "whole heads");
  require(c.L >= 1 && c.L <= 1024 && c.P >= 1 && c.P <= 1 << 20 && c.V >= 1, "sizes in range");
  require((c.N > 0) == (c.task == ARCH_CLASSIFY), "labels of classifiers only");
  require(c.eps >= 0 && c.eps <= 1, "a small epsilon");
  require(!(c.multi_label && c.regression), "one kind of problem");
  check_rows(a, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  json_t *json = json_loadb(len ? (const char *)bytes : "", len, JSON_REJECT_DUPLICATES, NULL);
  size_t count;
  const struct arch *const *all = archs_all(&count);
  for (size_t i = 0; json_is_object(json) && i < count; i++) check_arch(all[i], json);
  json_decref(json);
  return 0;
}
