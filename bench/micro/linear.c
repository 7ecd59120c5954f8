// linear.c - how many texts a second a linear classifier answers: one at a time, one thread, through pare_classify.
// Usage: micro_linear MODEL FILE [TEXT-COLUMN [LABEL-COLUMN]]. Prints one JSON object: items per second (best and
// median of rounds over all texts; also per second of this process's own time, which other programs disturb less),
// nanoseconds a text, accuracy where there are labels, and the time to load.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "pare.h"

enum { ROUNDS = 21 };

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static size_t best_of(const float *scores, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (scores[i] > scores[best]) best = i;
  return best;
}

static int measure(pare_model *model, pare_session *session, const pare_dataset *data, double open_ms) {
  size_t n = pare_dataset_rows(data), labels = pare_model_label_count(model), right = 0, labelled = 0;
  float *scores = malloc(labels * sizeof *scores);
  double rate[ROUNDS], cpu[ROUNDS];
  for (size_t round = 0; scores && round < ROUNDS; round++) {
    right = labelled = 0;
    uint64_t start = clock_ns();
    clock_t own = clock();
    for (size_t i = 0; i < n; i++) {
      struct pare_text text = pare_dataset_text(data, i);
      struct pare_error err;
      if (pare_classify(session, &text, 1, NULL, scores, NULL, &err) != PARE_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
      }
      const char *label = pare_dataset_label(data, i);
      labelled += label != NULL;
      right += label && strcmp(label, pare_model_label(model, best_of(scores, labels))) == 0;
    }
    cpu[round] = (double)n / ((double)(clock() - own) / CLOCKS_PER_SEC);
    rate[round] = (double)n / ((double)(clock_ns() - start) * 1e-9);
  }
  qsort(rate, ROUNDS, sizeof *rate, by_value);
  qsort(cpu, ROUNDS, sizeof *cpu, by_value);
  printf(
      "{\"texts\": %zu, \"items_per_s\": %.0f, \"best_items_per_s\": %.0f, \"cpu_items_per_s\": %.0f, \"ns\": %.0f, "
      "\"accuracy\": %.4f, "
      "\"load_ms\": %.3f, \"open_ms\": %.3f}\n",
      n, rate[ROUNDS / 2], rate[ROUNDS - 1], cpu[ROUNDS / 2], 1e9 / rate[ROUNDS / 2],
      labelled ? (double)right / (double)labelled : 0, pare_model_load_ms(model), open_ms);
  free(scores);
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: micro_linear MODEL FILE [TEXT-COLUMN [LABEL-COLUMN]]\n");
    return 64;
  }
  pare_engine *engine = NULL;
  pare_model *model = NULL;
  pare_session *session = NULL;
  pare_dataset *data = NULL;
  struct pare_error err;
  struct pare_dataset_options columns = {.text_column = argc > 3 ? argv[3] : NULL,
                                         .label_column = argc > 4 ? argv[4] : NULL};
  enum pare_status s = pare_engine_open(&(struct pare_engine_options){.threads = 1}, &engine, &err);
  uint64_t start = clock_ns();
  if (!s) s = pare_model_open(engine, argv[1], &model, &err);
  double open_ms = (double)(clock_ns() - start) * 1e-6;
  if (!s) s = pare_session_open(model, NULL, &session, &err);
  if (!s) s = pare_dataset_open(argv[2], &columns, &data, &err);
  if (s) fprintf(stderr, "%s\n", err.text);
  int failed = s ? (int)s : measure(model, session, data, open_ms);
  pare_dataset_close(data);
  pare_session_close(session);
  pare_model_close(model);
  pare_engine_close(engine);
  return failed;
}
