// load_answer.c - cmd/load_answer.h: events of a stream wherever it is cut, and what is no stream.
#include "cmd/load_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

static void feed(struct load_answer *a, const char *stream) {
  load_answer_reset(a);
  load_answer_event_bytes(a, stream, strlen(stream), 5);
}

static const char openai[] =
    ": a comment\r\n\r\n"
    "event: message\ndata: {\"choices\":[{\"text\":\" oil\"}],\"usage\":null}\n\n"
    "data:{\"choices\":[{\"text\":\"\"}]}\n\n"
    "data: {\"choices\":[{\"text\":\"cy\"}]}\r\n\r\n"
    "data: {\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n\n"
    "data: [DONE]\n\n";

// The clock tells which piece an event ended in.
static void any_cut_gives_the_same(void **state) {
  (void)state;
  struct load_answer a = {.chunks = 0};
  for (size_t i = 0; i < sizeof openai; i++) {
    for (size_t j = i; j < sizeof openai; j++) {
      load_answer_reset(&a);
      load_answer_event_bytes(&a, openai, i, 1);
      load_answer_event_bytes(&a, openai + i, j - i, 2);
      load_answer_event_bytes(&a, openai + j, sizeof openai - 1 - j, 3);
      assert_false(a.failed);
      assert_int_equal(a.chunks, 2);
      assert_int_equal(a.usage, 7);
      assert_int_equal(load_answer_tokens(&a), 7);
      assert_true(a.first_ns >= 1 && a.first_ns <= a.last_ns && a.last_ns <= 3);
    }
  }
  load_answer_reset(&a);
  size_t first = (size_t)(strstr(openai, "data:{") - openai);
  load_answer_event_bytes(&a, openai, first, 10);
  load_answer_event_bytes(&a, openai + first, strlen(openai) - first, 20);
  assert_int_equal(a.first_ns, 10);
  assert_int_equal(a.last_ns, 20);
  buf_free(&a.text);
}

static void each_protocol_is_known(void **state) {
  (void)state;
  struct load_answer a = {.chunks = 0};
  feed(&a,
       "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: "
       "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n");
  assert_int_equal(load_answer_tokens(&a), 1);
  feed(&a, "data: {\"model_name\":\"m\",\"text_output\":\"a\"}\n\ndata: {\"text_output\":\"b\"}\n\n");
  assert_int_equal(load_answer_tokens(&a), 2);
  feed(&a,
       "data: {\"token\":{\"text\":\"a\"}}\n\ndata: "
       "{\"token\":{\"text\":\"\"},\"details\":{\"generated_tokens\":9}}\n\n");
  assert_int_equal(a.chunks, 1);
  assert_int_equal(load_answer_tokens(&a), 9);
  assert_false(a.failed);
  buf_free(&a.text);
}

static void what_is_no_stream(void **state) {
  (void)state;
  static const char *const failing[] = {"data: {\"error\":{\"message\":\"busy\"}}\n\n", "data: {\"choices\":[\n\n",
                                        "data: [1]\n\n", "data: \n\n", "data: x\n\n"};
  static const char *const silent[] = {"",
                                       "\n\n\n",
                                       "data: {\"choices\":[{\"text\":\"cut\"}]}",
                                       "{\"choices\":[{\"text\":\"a\"}]}\n",
                                       "data: {\"choices\":{\"text\":1},\"usage\":7}\n",
                                       "data: {\"usage\":{\"completion_tokens\":-3}}\n"};
  struct load_answer a = {.chunks = 0};
  for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++) {
    feed(&a, failing[i]);
    assert_true(a.failed);
  }
  for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
    feed(&a, silent[i]);
    assert_false(a.failed);
    assert_int_equal(load_answer_tokens(&a), 0);
  }
  buf_free(&a.text);
}

// A line without an end is not kept for ever.
static void an_endless_line_fails(void **state) {
  (void)state;
  struct load_answer a = {.chunks = 0};
  static char piece[1 << 16];
  memset(piece, 'x', sizeof piece);
  for (size_t i = 0; i < 200; i++) load_answer_event_bytes(&a, piece, sizeof piece, 1);
  assert_true(a.failed);
  assert_true(a.text.len <= (4 << 20));
  load_answer_reset(&a);
  for (size_t i = 0; i < 200; i++) load_answer_body_bytes(&a, piece, sizeof piece);
  load_answer_body_end(&a);
  assert_true(a.text.len <= (4 << 20));
  assert_int_equal(load_answer_tokens(&a), 0);
  buf_free(&a.text);
}

static void usage_of_a_whole_body(void **state) {
  (void)state;
  static const char *const bodies[] = {"{\"usage\":{\"completion_tokens\":7}}",
                                       "{\"details\":{\"generated_tokens\":7}}"};
  struct load_answer a = {.chunks = 0};
  for (size_t i = 0; i < 2; i++) {
    load_answer_reset(&a);
    load_answer_body_bytes(&a, bodies[i], 10);
    load_answer_body_bytes(&a, bodies[i] + 10, strlen(bodies[i]) - 10);
    load_answer_body_end(&a);
    assert_int_equal(load_answer_tokens(&a), 7);
  }
  load_answer_reset(&a);
  load_answer_body_end(&a);
  load_answer_body_bytes(&a, "<html>", 6);
  load_answer_body_end(&a);
  assert_int_equal(load_answer_tokens(&a), 0);
  assert_false(a.failed);
  buf_free(&a.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_cut_gives_the_same), cmocka_unit_test(each_protocol_is_known),
      cmocka_unit_test(what_is_no_stream),      cmocka_unit_test(an_endless_line_fails),
      cmocka_unit_test(usage_of_a_whole_body),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
