// session.h - activations of one stream of requests: one arena whose size is computed from config, batch and length.
#ifndef PARE_MODEL_SESSION_H
#define PARE_MODEL_SESSION_H

#include "model/model.h"

struct pare_session {
  pare_model *model;
  struct arena arena;
  struct nn_ctx ctx;
  size_t batch_tokens; // most rows in one forward pass
  size_t pass_rows;    // most rows of several sequences in one, at most batch_tokens
  uint64_t *seen;      // of linear classifiers: a bit per feature, all zero between calls
  uint32_t *ids;       // and room for the features of one text, (config.P)
};

enum { SESSION_MAX_TOKENS = 1 << 24 }; // keeps every size of the arena far from overflow

// batch_tokens 0: the model's longest sequence; when smaller than that, no longer sequence is taken. PARE_USAGE beyond
// SESSION_MAX_TOKENS.
enum pare_status session_open(pare_model *model, size_t batch_tokens, pare_session **out, struct pare_error *err);
// From now on it computes on the calling thread, without the pool.
void session_leave_pool(pare_session *s);
void session_close(pare_session *s);

// Rows of logits for one sequence of len tokens: 1 for classifiers, len otherwise; columns are session_columns. An
// encoder-decoder given no decoder ids answers with one row.
size_t session_rows(const pare_model *m, size_t len);
// The same of a sequence that may have decoder ids.
size_t session_sequence_rows(const pare_model *m, const struct pare_sequence *q);
size_t session_columns(const pare_model *m);
// Linear classifiers: the logits (N) of one text, read and computed in one pass without a list of ids outside the
// session. The same bits as model_tokenize and session_logits give.
enum pare_status session_text_logits(pare_session *s, const struct pare_text *text, size_t max_tokens, float *logits,
                                     struct pare_error *err);
// See pare_session_logits. Checks lengths, ids and types (PARE_DATA, PARE_USAGE); computing itself cannot fail.
enum pare_status session_logits(pare_session *s, const struct pare_sequence *sequences, size_t n, float *logits,
                                struct pare_error *err);

#endif
