// llama_logits.c - the logits llama.cpp gives after the last of some ids, one per line: llama-bench only times, and a
// time says nothing of a file that computes something else.
// Usage: llama_logits FILE.gguf THREADS ID ...
#include <stdio.h>
#include <stdlib.h>

#include "llama.h"

static void quiet(enum ggml_log_level level, const char *text, void *context) {
  (void)context;
  if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: llama_logits FILE.gguf THREADS ID ...\n");
    return 64;
  }
  int n = argc - 3;
  llama_token *ids = malloc((size_t)n * sizeof *ids);
  for (int i = 0; ids && i < n; i++) ids[i] = atoi(argv[i + 3]);
  llama_log_set(quiet, NULL);
  llama_backend_init();
  struct llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
  struct llama_context_params options = llama_context_default_params();
  options.n_ctx = 512;
  options.n_threads = options.n_threads_batch = atoi(argv[2]);
  struct llama_context *context = model ? llama_init_from_model(model, options) : NULL;
  if (!ids || !context || llama_decode(context, llama_batch_get_one(ids, n))) {
    fprintf(stderr, "llama_logits: %s cannot be read\n", argv[1]);
    return 65;
  }
  const float *logits = llama_get_logits_ith(context, -1);
  int columns = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (int i = 0; i < columns; i++) printf("%.9g\n", (double)logits[i]);
  llama_free(context);
  llama_model_free(model);
  free(ids);
  return 0;
}
