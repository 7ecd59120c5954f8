// generation_config.c - any bytes as generation_config.json: refused with the file's name, or numbers a search can use.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "task/generation_config.h"

static void require(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}

static void check_ids(const struct id_list *list, size_t V) {
  for (size_t i = 0; i < list->count; i++) require(list->ids[i] < V, "ids of the vocabulary");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  json_t *json = json_loadb(len ? (const char *)bytes : "", len, JSON_REJECT_DUPLICATES, NULL);
  pare_model m = {.config = {.V = 300, .start_id = 2, .task = ARCH_SEQ2SEQ}};
  struct generation_config c;
  struct pare_error err = {0};
  if (json_is_object(json)) {
    enum pare_status s = generation_config_parse(&m, json, "fuzz", &c, &err);
    if (s) {
      require(s == PARE_DATA || s == PARE_UNAVAILABLE, "a status for bad data");
      require(strncmp(err.text, "fuzz: ", 6) == 0, "a refusal with its reason");
    } else {
      require(c.beams >= 1 && c.beams <= GENERATION_MAX_BEAMS, "beams in range");
      require(c.start_id < 300 && c.forced_bos < 300, "ids in range");
      require(isfinite(c.length_penalty) && c.repetition_penalty > 0, "penalties that are numbers");
      check_ids(&c.eos, 300);
      check_ids(&c.forced_eos, 300);
      check_ids(&c.suppress, 300);
      check_ids(&c.begin_suppress, 300);
    }
    generation_config_free(&c);
  }
  json_decref(json);
  return 0;
}
