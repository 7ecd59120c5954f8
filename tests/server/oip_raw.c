// oip_raw.c - tensors as raw bytes behind the JSON (binary tensor data), in and out, and what is refused.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "oip_case.h"

// A request of that JSON and the raw bytes after it. lie: added to the true length in the header.
static struct exchange *ask_raw(const char *model, const char *json, const void *raw, size_t raw_len, long lie) {
  char value[32], *body = malloc(strlen(json) + raw_len + 1);
  memcpy(body, json, strlen(json));
  memcpy(body + strlen(json), raw, raw_len);
  snprintf(value, sizeof value, "%ld", (long)strlen(json) + lie);
  binary_header = value;
  struct exchange *x = ask_bytes("POST", infer, model, NULL, body, strlen(json) + raw_len);
  binary_header = NULL;
  x->body = NULL;
  free(body); // a job keeps nothing of it
  return x;
}

#define RAW(name, type, shape, size) \
  "{\"name\":\"" name "\",\"datatype\":\"" type "\",\"shape\":" shape ",\"parameters\":{\"binary_data_size\":" size "}}"

static void raw_texts(void **state) {
  (void)state;
  static const char two[] = "\4\0\0\0good\3\0\0\0b\0d";
  struct exchange *x =
      ask_raw("sentiment", "{\"id\":\"7\",\"inputs\":[" RAW("text", "BYTES", "[2]", "15") "],"
              "\"parameters\":{\"binary_data_output\":true}}", two, 15, 0);
  struct job *job = expect_job(x);
  assert_int_equal(job->items[0].text.len, 4);
  assert_memory_equal(job->items[0].text.text, "good", 4);
  assert_memory_equal(job->items[1].text.text, "b\0d", 3);
  static const float scores[] = {0.25f, 0.75f, 1, 0};
  fill_scores(job, scores);
  x->answer->whole(x);
  assert_string_equal(x->content_type, "application/octet-stream");
  size_t json_len = (size_t)strtoul(answer_header(x, "Inference-Header-Content-Length"), NULL, 10);
  json_t
      *head = json_loadb(x->out.data, json_len, 0, NULL),
      *expected = json_loads(
          "{\"model_name\": \"sentiment\", \"model_version\": \"1\", \"id\": \"7\", \"outputs\": ["
          "{\"name\": \"logits\", \"datatype\": \"FP32\", \"shape\": [2, 2], \"parameters\": {\"binary_data_size\": "
          "16}},"
          "{\"name\": \"label\", \"datatype\": \"BYTES\", \"shape\": [2], \"parameters\": {\"binary_data_size\": 24}},"
          "{\"name\": \"score\", \"datatype\": \"FP32\", \"shape\": [2], \"parameters\": {\"binary_data_size\": 8}},"
          "{\"name\": \"scores\", \"datatype\": \"FP32\", \"shape\": [2, 2], \"parameters\": {\"binary_data_size\": "
          "16}}]}",
          0, NULL);
  assert_true(json_equal(head, expected));
  json_decref(head);
  json_decref(expected);
  static const unsigned char bytes[] =
      "\0\0\0\xc0\0\0\0\x40\0\0\x80\x40\0\0\x80\xc0" // -2 2 4 -4
      "\10\0\0\0positive\10\0\0\0negative"
      "\0\0\x40\x3f\0\0\x80\x3f"                      // 0.75 1
      "\0\0\x80\x3e\0\0\x40\x3f\0\0\x80\x3f\0\0\0\0"; // 0.25 0.75 1 0
  assert_int_equal(x->out.len - json_len, sizeof bytes - 1);
  assert_memory_equal(x->out.data + json_len, bytes, sizeof bytes - 1);
  free_exchange(x);
}

static void some_outputs_raw(void **state) {
  (void)state;
  struct exchange *x =
      ask("POST", infer, "sentiment",
          ONE
          ", \"outputs\": [{\"name\": \"score\", \"parameters\": {\"binary_data\": false}}, {\"name\": \"scores\","
          "\"parameters\": {\"classification\": 1}}], \"parameters\": {\"binary_data_output\": true}}");
  static const float scores[] = {0.25f, 0.75f};
  fill_scores(expect_job(x), scores);
  x->answer->whole(x);
  size_t json_len = (size_t)strtoul(answer_header(x, "Inference-Header-Content-Length"), NULL, 10);
  static const char expected[] =
      "{\"model_name\":\"sentiment\",\"model_version\":\"1\",\"outputs\":["
      "{\"name\":\"score\",\"datatype\":\"FP32\",\"shape\":[1],\"data\":[0.75]},"
      "{\"name\":\"scores\",\"datatype\":\"BYTES\",\"shape\":[1,1],\"parameters\":{\"binary_data_size\":19}}]}"
      "\17\0\0\0"
      "0.75:1:positive";
  assert_int_equal(x->out.len, sizeof expected - 1);
  assert_memory_equal(x->out.data, expected, sizeof expected - 1);
  assert_int_equal(json_len, sizeof expected - 1 - 19);
  free_exchange(x);
}

static void raw_ids(void **state) {
  (void)state;
  static const unsigned char raw[] =
      "\x65\0\0\0\0\0\0\0\x66\0\0\0\0\0\0\0" // INT64
      "\1\0\0\0\0\0\0\0";                    // INT32
  struct exchange *x = ask_raw(
      "nli",
      "{\"inputs\":[" RAW("input_ids", "INT64", "[1,2]", "16") "," RAW("attention_mask", "INT32", "[1,2]", "8") "]}",
      raw, 24, 0);
  expect_ids(&expect_job(x)->items[0], 1, (uint32_t[]){101}, (uint8_t[]){0});
  free_exchange(x);
  static const unsigned char minus[] = "\xff\xff\xff\xff";
  expect_refusal(ask_raw("nli", "{\"inputs\":[" RAW("input_ids", "INT32", "[1,1]", "4") "]}", minus, 4, 0), 400,
                 "found -1");
}

static void raw_refused(void **state) {
  (void)state;
  static const char text[] = "\1\0\0\0a";
  static const char one[] = "{\"inputs\":[" RAW("text", "BYTES", "[1]", "5") "]}";
  expect_refusal(ask_raw("sentiment", one, text, 4, 0), 400, "binary_data_size is 5, found 4 bytes");
  expect_refusal(ask_raw("sentiment", one, "\1\0\0\0aa", 6, 0), 400, "1 bytes behind the last input");
  expect_refusal(ask_raw("sentiment", one, "\2\0\0\0a", 5, 0), 400, "element 0: longer than");
  expect_refusal(ask_raw("sentiment", one,
                         "\xff\xff\xff\xff"
                         "a",
                         5, 0),
                 400, "longer than");
  expect_refusal(ask_raw("sentiment", one, "\0\0\0\0a", 5, 0), 400, "expected nothing more");
  expect_refusal(ask_raw("sentiment", one, "\1\0\0\0\xe9", 5, 0), 400, "element 0: expected UTF-8");
  expect_refusal(ask_raw("sentiment", one, text, 5, 6), 400, "expected a length of at most");
  expect_refusal(ask_raw("sentiment", one, text, 5, -1), 400, "not JSON");
  expect_refusal(ask_raw("sentiment", one, text, 5, -1000), 400, "expected a length");
  expect_refusal(ask_raw("sentiment", "{\"inputs\":[" RAW("text", "BYTES", "[2]", "5") "]}", text, 5, 0), 400,
                 "takes 2 elements, found 5 bytes of BYTES");
  expect_refusal(ask_raw("sentiment", "{\"inputs\":[" RAW("text", "BYTES", "[2]", "9") "]}", "\1\0\0\0a\1\0\0\0", 9, 0),
                 400, "element 1: longer than");
  expect_refusal(ask_raw("sentiment", "{\"inputs\":[" RAW("text", "BYTES", "[1]", "-5") "]}", text, 5, 0), 400,
                 "expected a number of bytes");
  expect_refusal(
      ask_raw("sentiment", "{\"inputs\":[" RAW("text", "BYTES", "[1]", "9223372036854775807") "]}", text, 5, 0), 400,
      "found 5 bytes");
  expect_refusal(
      ask_raw("sentiment", "{\"inputs\":[" RAW("text", "BYTES", "[4611686018427387904]", "5") "]}", text, 5, 0), 400,
      "found 5 bytes");
  expect_refusal(ask_raw("nli", "{\"inputs\":[" RAW("input_ids", "INT64", "[1,1]", "5") "]}", text, 5, 0), 400,
                 "takes 1 elements, found 5 bytes of INT64");
  static const char *const headers[] = {"", "x", "1x", "-1", "99999999999999999999999", " 5"};
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    binary_header = headers[i];
    expect_refusal(ask("POST", infer, "sentiment", ONE "}"), 400, "expected a length of at most");
  }
  binary_header = "0";
  expect_refusal(ask("POST", infer, "sentiment", ONE "}"), 400, "found none");
  binary_header = NULL;
}

static int open_all(void **state) {
  if (open_models(state)) return -1;
  load_model("sentiment", "sentiment-linear");
  load_model("nli", "nli-minilm");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(raw_texts),
      cmocka_unit_test(some_outputs_raw),
      cmocka_unit_test(raw_ids),
      cmocka_unit_test(raw_refused),
  };
  return cmocka_run_group_tests(tests, open_all, close_models);
}
