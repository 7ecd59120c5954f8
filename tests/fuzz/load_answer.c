// load_answer.c - cmd/load_answer.h: what a server sends as an answer. Cut anywhere, a stream reads the same.
#include "cmd/load_answer.h"

#include <stdio.h>
#include <stdlib.h>

static void require(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct load_answer whole = {.chunks = 0}, cut = {.chunks = 0}, body = {.chunks = 0};
  const char *bytes = (const char *)data;
  size_t at = size ? data[0] % size : 0;
  load_answer_event_bytes(&whole, bytes, size, 1);
  load_answer_event_bytes(&cut, bytes, at, 1);
  load_answer_event_bytes(&cut, bytes + at, size - at, 1);
  load_answer_body_bytes(&body, bytes, size);
  load_answer_body_end(&body);
  require(whole.chunks == cut.chunks && whole.usage == cut.usage && whole.failed == cut.failed, "the same events");
  require(whole.text.len == cut.text.len && whole.text.len <= size, "the same rest");
  buf_free(&whole.text);
  buf_free(&cut.text);
  buf_free(&body.text);
  return 0;
}
