// oip_infer.c - tensors in and out of the Open Inference Protocol as JSON, and what is refused. (oip_raw.c: raw bytes.)
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/clock.h"
#include "oip_case.h"

#define TEXTS(shape, data) "{\"name\":\"text\",\"shape\":" shape ",\"datatype\":\"BYTES\",\"data\":" data "}"
#define IDS(name, shape, data) "{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"INT64\",\"data\":" data "}"

static void texts_as_json(void **state) {
  (void)state;
  struct exchange *x = ask(
      "POST", infer, "sentiment",
      "{\"id\": \"q1\", \"inputs\": [" TEXTS("[2]", "[\"good\", \"b\\u0000d\"]") "], \"parameters\": {\"other\": 1}}");
  struct job *job = expect_job(x);
  assert_int_equal(job->op, JOB_CLASSIFY);
  assert_int_equal(job->count, 2);
  assert_int_equal(job->deadline_ns, 0);
  assert_memory_equal(job->items[0].text.text, "good", 4);
  assert_int_equal(job->items[1].text.len, 3);
  assert_memory_equal(job->items[1].text.text, "b\0d", 3);
  assert_null(job->items[0].text.pair);
  static const float scores[] = {0.25f, 0.75f, 0.5f, 0.5f};
  fill_scores(job, scores);
  x->answer->whole(x);
  expect_json(x, 200,
              "{\"model_name\": \"sentiment\", \"model_version\": \"1\", \"id\": \"q1\", \"outputs\": ["
              "{\"name\": \"logits\", \"datatype\": \"FP32\", \"shape\": [2, 2], \"data\": [-2.0, 2.0, 0.0, 0.0]},"
              "{\"name\": \"label\", \"datatype\": \"BYTES\", \"shape\": [2], \"data\": [\"positive\", \"negative\"]},"
              "{\"name\": \"score\", \"datatype\": \"FP32\", \"shape\": [2], \"data\": [0.75, 0.5]},"
              "{\"name\": \"scores\", \"datatype\": \"FP32\", \"shape\": [2, 2], \"data\": [0.25, 0.75, 0.5, 0.5]}]}");
  assert_string_equal(x->content_type, "application/json");
  assert_null(answer_header(x, "Inference-Header-Content-Length"));
  free_exchange(x);
}

static void a_column_of_texts(void **state) {
  (void)state;
  static const char *const bodies[] = {"{\"inputs\": [" TEXTS("[2,1]", "[\"a\", \"b\"]") "]}",
                                       "{\"inputs\": [" TEXTS("[2,1]", "[[\"a\"], [\"b\"]]") "]}"};
  for (size_t i = 0; i < 2; i++) {
    struct exchange *x = ask("POST", infer, "sentiment", bodies[i]);
    assert_int_equal(expect_job(x)->count, 2);
    assert_memory_equal(x->job->items[1].text.text, "b", 1);
    free_exchange(x);
  }
}

static void chosen_outputs(void **state) {
  (void)state;
  struct exchange *x =
      ask("POST", infer, "sentiment",
          ONE
          ", \"outputs\": [{\"name\": \"score\"}, {\"name\": \"scores\", \"parameters\":"
          "{\"classification\": 5}}, {\"name\": \"logits\", \"parameters\": {\"classification\": 1}}]}");
  static const float scores[] = {0.25f, 0.75f};
  fill_scores(expect_job(x), scores);
  x->answer->whole(x);
  expect_json(x, 200,
              "{\"model_name\": \"sentiment\", \"model_version\": \"1\", \"outputs\": ["
              "{\"name\": \"score\", \"datatype\": \"FP32\", \"shape\": [1], \"data\": [0.75]},"
              "{\"name\": \"scores\", \"datatype\": \"BYTES\", \"shape\": [1, 2],"
              "\"data\": [\"0.75:1:positive\", \"0.25:0:negative\"]},"
              "{\"name\": \"logits\", \"datatype\": \"BYTES\", \"shape\": [1, 1], \"data\": [\"2:1:positive\"]}]}");
  free_exchange(x);
}

static void ties_in_label_order(void **state) {
  (void)state;
  struct exchange *x = ask("POST", infer, "intent",
                           ONE ", \"outputs\": [{\"name\": \"scores\", \"parameters\": {\"classification\": 3}}]}");
  struct job *job = expect_job(x);
  size_t n = job_labels(job);
  float *scores = calloc(n, sizeof *scores);
  scores[7] = 0.5f;
  fill_scores(job, scores);
  free(scores);
  x->answer->whole(x);
  json_t *answer = answer_json(x), *out = json_array_get(json_object_get(answer, "outputs"), 0),
         *data = json_object_get(out, "data");
  assert_int_equal(json_array_size(data), 3);
  assert_int_equal(strncmp(json_string_value(json_array_get(data, 0)), "0.5:7:", 6), 0);
  assert_int_equal(strncmp(json_string_value(json_array_get(data, 1)), "0:0:", 4), 0);
  assert_int_equal(strncmp(json_string_value(json_array_get(data, 2)), "0:1:", 4), 0);
  json_decref(answer);
  free_exchange(x);
}

static void answers_that_are_no_numbers(void **state) {
  (void)state;
  static const float scores[] = {NAN, NAN};
  static const char *const bodies[] = {
      ONE ", \"outputs\": [{\"name\": \"logits\", \"parameters\": {\"classification\": 2}}]}",
      ONE ", \"outputs\": [{\"name\": \"score\"}]}"};
  for (size_t i = 0; i < 2; i++) {
    struct exchange *x = ask("POST", infer, "sentiment", bodies[i]);
    fill_scores(expect_job(x), scores);
    x->answer->whole(x);
    assert_int_equal(x->status, 500);
    free_exchange(x);
  }
}

// ---- ids ------------------------------------------------------------------------------------------------------------

static void ids_and_masks(void **state) {
  (void)state;
  struct exchange *x =
      ask("POST", infer, "nli",
          "{\"inputs\": [" IDS("input_ids", "[3, 4]", "[[101, 7, 102, 0], [0, 101, 8, 102], [101, 9, 9, 102]]") "," IDS(
              "attention_mask", "[3, 4]",
              "[1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1]") "," IDS("token_type_ids", "[3, 4]",
                                                              "[0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0]") "]}");
  struct job *job = expect_job(x);
  assert_int_equal(job->count, 3);
  expect_ids(&job->items[0], 3, (uint32_t[]){101, 7, 102}, (uint8_t[]){0, 0, 1});
  expect_ids(&job->items[1], 3, (uint32_t[]){101, 8, 102}, (uint8_t[]){0, 1, 1});
  expect_ids(&job->items[2], 4, (uint32_t[]){101, 9, 9, 102}, (uint8_t[]){0, 0, 0, 0});
  free_exchange(x);
  x = ask(
      "POST", infer, "nli",
      "{\"inputs\": [{\"name\": \"input_ids\", \"shape\": [1, 2], \"datatype\": \"INT32\", \"data\": [101, 102]}]}");
  expect_ids(&expect_job(x)->items[0], 2, (uint32_t[]){101, 102}, (uint8_t[]){0, 0});
  free_exchange(x);
}

static void refuse_ids(const char *inputs, const char *words) {
  char body[1024];
  snprintf(body, sizeof body, "{\"inputs\": [%s]}", inputs);
  expect_refusal(ask("POST", infer, "nli", body), 400, words);
}

static void ids_refused(void **state) {
  (void)state;
  refuse_ids(IDS("input_ids", "[1,2]", "[101, -1]"), "row 0: expected 0 to 30521, found -1");
  refuse_ids(IDS("input_ids", "[1,2]", "[101, 30522]"), "found 30522");
  refuse_ids(IDS("input_ids", "[1,2]", "[101, 4294967397]"), "found 4294967397");
  refuse_ids(IDS("input_ids", "[1,2]", "[101, 1.0]"), "element 1: expected a whole number");
  refuse_ids(IDS("input_ids", "[2]", "[101, 102]"), "expected two sizes");
  refuse_ids(IDS("input_ids", "[1,2]", "[1,2]") "," IDS("attention_mask", "[1,2]", "[0,0]"), "found none");
  refuse_ids(IDS("input_ids", "[1,3]", "[1,2,3]") "," IDS("attention_mask", "[1,3]", "[1,0,1]"), "found gaps");
  refuse_ids(IDS("input_ids", "[1,2]", "[1,2]") "," IDS("attention_mask", "[1,2]", "[1,2]"), "0 or 1, found 2");
  refuse_ids(IDS("input_ids", "[1,2]", "[1,2]") "," IDS("attention_mask", "[2,1]", "[1,1]"), "same as input_ids");
  refuse_ids(IDS("input_ids", "[1,2]", "[1,2]") "," IDS("token_type_ids", "[1,2]", "[0,256]"), "0 to 255, found 256");
  refuse_ids(IDS("attention_mask", "[1,2]", "[1,1]"), "expected text");
  refuse_ids(IDS("input_ids", "[1,2]", "[1,2]") "," TEXTS("[1]", "[\"a\"]"), "not both");
  refuse_ids(IDS("input_ids", "[1,1]", "[1]") "," IDS("input_ids", "[1,1]", "[1]"), "twice");
  refuse_ids(IDS("token_ids", "[1,2]", "[1,2]"), "'token_ids': expected text");
  refuse_ids(TEXTS("[1]", "[1]"), "element 0: expected a text");
  refuse_ids(IDS("text", "[1]", "[1]"), "expected BYTES, found INT64");
  expect_refusal(ask("POST", infer, "sentiment", "{\"inputs\": [" IDS("input_ids", "[1,2]", "[1,2]") "]}"), 400,
                 "takes texts");
  // One token more than the model takes, and as many as it takes.
  for (size_t n = 512; n <= 513; n++) {
    struct buf b = {0};
    buf_printf(&b, "{\"inputs\":[{\"name\":\"input_ids\",\"datatype\":\"INT64\",\"shape\":[1,%zu],\"data\":[1", n);
    for (size_t i = 1; i < n; i++) buf_puts(&b, ",1");
    buf_puts(&b, "]}]}");
    struct exchange *x = ask("POST", infer, "nli", b.data);
    if (n == 512) {
      assert_int_equal(expect_job(x)->items[0].id_count, 512);
      free_exchange(x);
    } else {
      expect_refusal(x, 400, "at most 512 tokens, found 513");
    }
    buf_free(&b);
  }
}

static void pairs(void **state) {
  (void)state;
#define PAIR "{\"name\":\"text_pair\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"pp\"]}"
  struct exchange *x = ask("POST", infer, "nli", "{\"inputs\": [" TEXTS("[1]", "[\"a\"]") "," PAIR "]}");
  assert_memory_equal(expect_job(x)->items[0].text.pair, "pp", 2);
  assert_int_equal(x->job->items[0].text.pair_len, 2);
  free_exchange(x);
  expect_refusal(ask("POST", infer, "nli", "{\"inputs\": [" TEXTS("[2]", "[\"a\",\"b\"]") "," PAIR "]}"), 400,
                 "'text_pair': expected shape [2]");
  expect_refusal(ask("POST", infer, "sentiment", "{\"inputs\": [" TEXTS("[1]", "[\"a\"]") "," PAIR "]}"), 400,
                 "takes one text");
  expect_refusal(ask("POST", infer, "nli", "{\"inputs\": [" PAIR "]}"), 400, "expected text");
#undef PAIR
}

// ---- parameters -----------------------------------------------------------------------------------------------------

static void candidate_labels(void **state) {
  (void)state;
  struct exchange *x = ask("POST", infer, "nli",
                           ONE
                           ", \"parameters\": {\"candidate_labels\": \" sport ,world news,\\tmoney\","
                           "\"hypothesis_template\": \"About {}.\", \"multi_label\": true}}");
  const struct pare_classify_options *o = &expect_job(x)->classify;
  assert_int_equal(o->label_count, 3);
  assert_string_equal(o->labels[0], "sport");
  assert_string_equal(o->labels[1], "world news");
  assert_string_equal(o->labels[2], "money");
  assert_string_equal(o->template_text, "About {}.");
  assert_true(o->multi_label);
  static const float scores[] = {0.25f, 0.75f, 0.5f};
  fill_scores(x->job, scores);
  x->answer->whole(x);
  json_t *answer = answer_json(x), *label = json_array_get(json_object_get(answer, "outputs"), 1);
  assert_string_equal(json_string_value(json_array_get(json_object_get(label, "data"), 0)), "world news");
  json_decref(answer);
  free_exchange(x);
  x = ask("POST", infer, "nli", ONE ", \"parameters\": {\"candidate_labels\": [\"a, b\", \"c\"]}}");
  assert_int_equal(expect_job(x)->classify.label_count, 2);
  assert_string_equal(x->job->classify.labels[0], "a, b");
  assert_null(x->job->classify.template_text);
  free_exchange(x);
  expect_refusal(ask("POST", infer, "nli", ONE ", \"parameters\": {\"candidate_labels\": \" , \"}}"), 400,
                 "that are not empty");
  expect_refusal(ask("POST", infer, "nli", ONE ", \"parameters\": {\"candidate_labels\": 3}}"), 400,
                 "parameters.candidate_labels: expected a text, or a list");
  expect_refusal(ask("POST", infer, "nli", ONE ", \"parameters\": {\"candidate_labels\": []}}"), 400,
                 "1 to 1000 texts, found a list of 0");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"parameters\": {\"candidate_labels\": \"a\"}}"), 400,
                 "only its own labels");
  expect_refusal(ask("POST", infer, "nli",
                     ONE ", \"parameters\": {\"candidate_labels\": \"a\", \"hypothesis_template\": \"no hole\"}}"),
                 400, "with {} where the label goes");
  expect_refusal(
      ask("POST", infer, "nli",
          "{\"inputs\": [" IDS("input_ids", "[1,1]", "[1]") "], \"parameters\": {\"candidate_labels\": \"a\"}}"),
      400, "not together");
}

static void deadlines(void **state) {
  (void)state;
  uint64_t before = clock_ns();
  struct exchange *x = ask("POST", infer, "sentiment", ONE ", \"parameters\": {\"timeout\": 2000000}}");
  uint64_t after = clock_ns(), deadline = expect_job(x)->deadline_ns;
  assert_true(deadline >= before + 2000000000 && deadline <= after + 2000000000);
  free_exchange(x);
  x = ask("POST", infer, "sentiment", ONE ", \"parameters\": {\"timeout\": 3600000000}}");
  assert_true(expect_job(x)->deadline_ns <= clock_ns() + 60000000000); // never beyond the server's own
  free_exchange(x);
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"parameters\": {\"timeout\": -1}}"), 400,
                 "parameters.timeout");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"parameters\": {\"timeout\": 1e300}}"), 400,
                 "parameters.timeout");
}

static void requests_refused(void **state) {
  (void)state;
  expect_refusal(ask("POST", infer, "sentiment", ""), 400, "found none");
  expect_refusal(ask("POST", infer, "sentiment", "{\"inputs\": [}"), 400, "not JSON");
  expect_refusal(ask("POST", infer, "sentiment", "[]"), 400, "inputs: expected a list");
  expect_refusal(ask("POST", infer, "sentiment", "{\"inputs\": []}"), 400, "inputs: expected a list of 1 to 8");
  expect_refusal(ask("POST", infer, "sentiment", "{\"inputs\": [1]}"), 400, "objects with a name");
  expect_refusal(ask("POST", infer, "absent", ONE "}"), 404, "absent");
  expect_refusal(ask("POST", infer, "news", ONE "}"), 400, "/v2/models/news/generate");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"id\": 7}"), 400, "id: expected a text");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"outputs\": {}}"), 400, "outputs: expected a list");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"outputs\": [{}]}"), 400, "no name");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"outputs\": [{\"name\": \"embedding\"}]}"), 400,
                 "expected logits, label, score or scores, found embedding");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"outputs\": [{\"name\": \"label\"}, {\"name\": \"label\"}]}"),
                 400, "twice");
  expect_refusal(ask("POST", infer, "sentiment",
                     ONE ", \"outputs\": [{\"name\": \"label\", \"parameters\": {\"classification\": 1}}]}"),
                 400, "classification");
  expect_refusal(ask("POST", infer, "sentiment",
                     ONE ", \"outputs\": [{\"name\": \"score\", \"parameters\": {\"shared_memory_region\": \"r\"}}]}"),
                 400, "not offered");
  expect_refusal(ask("POST", infer, "sentiment", ONE ", \"parameters\": {\"binary_data_output\": 1}}"), 400,
                 "true or false");
}

static void compressed_bodies(void **state) {
  (void)state;
  coding_header = "gzip";
  expect_refusal(ask("POST", infer, "sentiment", ONE "}"), 415, "found 'gzip'");
  coding_header = "identity";
  struct exchange *x = ask("POST", infer, "sentiment", ONE "}");
  assert_int_equal(expect_job(x)->count, 1);
  free_exchange(x);
  coding_header = NULL;
}

static void refuse_text(const char *rest, const char *words) {
  char body[512];
  snprintf(body, sizeof body, "{\"inputs\":[{\"name\":\"text\",%s}]}", rest);
  expect_refusal(ask("POST", infer, "sentiment", body), 400, words);
}

static void shapes_refused(void **state) {
  (void)state;
  refuse_text("\"datatype\":\"BYTES\",\"data\":[\"a\"]", "shape: expected a list");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[],\"data\":[\"a\"]", "shape: expected a list of one or two");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1,1,1],\"data\":[\"a\"]", "one or two");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[-1],\"data\":[\"a\"]", "each at least 1");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[0],\"data\":[]", "each at least 1");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1.0],\"data\":[\"a\"]", "each at least 1");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[4611686018427387904,4],\"data\":[\"a\"]", "can be counted");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[9223372036854775807],\"data\":[\"a\"]", "found 1");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[9223372036854775808],\"data\":[\"a\"]", "not JSON");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"a\"]", "takes 2 elements, found 1");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"a\",\"b\"]", "takes 1 elements, found 2");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":\"a\"", "data: expected a list");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[2,2],\"data\":[[\"a\",\"b\"],[\"c\"]]", "1 in row 1, which has 2");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[2,2],\"data\":[[\"a\",\"b\"],\"c\"]", "0 in row 1");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[2,1],\"data\":[\"a\",[\"b\"]]", "element 1: expected a text");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[2,2],\"data\":[[\"a\",\"b\"]]", "1 rows for 2");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1,2],\"data\":[\"a\",\"b\"]", "expected shape [1]");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[9],\"data\":[1,2,3,4,5,6,7,8,9]", "at most 8 texts");
  refuse_text("\"datatype\":\"FP16\",\"shape\":[1],\"data\":[1]", "found FP16");
  refuse_text("\"shape\":[1],\"data\":[1]", "datatype: expected BYTES, INT64 or INT32");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1]", "found neither");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1],\"data\":[\"a\"],\"parameters\":{\"binary_data_size\":5}", "both");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{\"shared_memory_region\":\"r\"}", "shared memory");
  refuse_text("\"datatype\":\"BYTES\",\"shape\":[1],\"parameters\":{\"binary_data_size\":5}", "found 0 bytes behind");
}

// ---- embeddings -----------------------------------------------------------------------------------------------------

static char encoder[] = "/tmp/oip-encoder-XXXXXX";

// The golden BERT without its head.
static void make_encoder(void) {
  const char from[] = TEST_DIR "/golden/data/models/bert";
  char path[512], target[512];
  assert_non_null(mkdtemp(encoder));
  snprintf(path, sizeof path, "%s/config.json", from);
  json_t *c = json_load_file(path, 0, NULL);
  json_object_set_new(c, "architectures", json_pack("[s]", "BertModel"));
  snprintf(path, sizeof path, "%s/config.json", encoder);
  assert_int_equal(json_dump_file(c, path, 0), 0);
  json_decref(c);
  snprintf(target, sizeof target, "%s/model.safetensors", from);
  snprintf(path, sizeof path, "%s/model.safetensors", encoder);
  assert_int_equal(symlink(target, path), 0);
}

static void remove_encoder(void) {
  char path[512];
  snprintf(path, sizeof path, "%s/config.json", encoder);
  unlink(path);
  snprintf(path, sizeof path, "%s/model.safetensors", encoder);
  unlink(path);
  rmdir(encoder);
}

static void embeddings(void **state) {
  (void)state;
  struct exchange *x = ask("GET", "/v2/models/{*}", "encoder", NULL);
  json_t *answer = answer_json(x),
         *expected = json_loads("[{\"name\": \"embedding\", \"datatype\": \"FP32\", \"shape\": [-1, 36]}]", 0, NULL);
  assert_true(json_equal(json_object_get(answer, "outputs"), expected));
  json_decref(expected);
  json_decref(answer);
  free_exchange(x);
  x = ask("POST", infer, "encoder", "{\"inputs\": [" TEXTS("[2]", "[\"a\", \"b\"]") "]}");
  struct job *job = expect_job(x);
  assert_int_equal(job->op, JOB_EMBED);
  assert_false(job->raw);
  for (size_t i = 0; i < 2; i++) {
    job->items[i].vector = job_alloc(job, 36 * sizeof(float));
    for (size_t k = 0; k < 36; k++) job->items[i].vector[k] = (float)(100 * i + k) / 8;
  }
  x->answer->whole(x);
  answer = answer_json(x);
  const json_t *out = json_array_get(json_object_get(answer, "outputs"), 0), *data = json_object_get(out, "data");
  assert_int_equal(json_array_size(json_object_get(answer, "outputs")), 1);
  assert_string_equal(json_string_value(json_object_get(out, "name")), "embedding");
  assert_int_equal(json_integer_value(json_array_get(json_object_get(out, "shape"), 1)), 36);
  assert_int_equal(json_array_size(data), 72);
  assert_true(json_real_value(json_array_get(data, 35)) == 4.375);
  assert_true(json_real_value(json_array_get(data, 36)) == 12.5);
  json_decref(answer);
  free_exchange(x);
  x = ask("POST", infer, "encoder",
          "{\"inputs\": [" IDS("input_ids", "[1,1]", "[42]") "], \"parameters\": {\"normalize\": false}}");
  assert_true(expect_job(x)->raw);
  free_exchange(x);
  // A BERT has as many token types as its configuration says; a DistilBERT has none and looks at none.
  expect_refusal(ask("POST", infer, "encoder",
                     "{\"inputs\": [" IDS("input_ids", "[1,1]", "[42]") "," IDS("token_type_ids", "[1,1]", "[2]") "]}"),
                 400, "'token_type_ids', row 0: expected 0 to 1, found 2");
  expect_refusal(ask("POST", infer, "encoder", ONE ", \"outputs\": [{\"name\": \"logits\"}]}"), 400,
                 "expected embedding, found logits");
}

static int open_all(void **state) {
  if (open_models(state)) return -1;
  make_encoder();
  load_model("encoder", encoder);
  load_model("sentiment", "sentiment-linear");
  load_model("intent", "intent-linear");
  load_model("nli", "nli-minilm");
  load_model("news", "news-gpt2");
  return 0;
}

static int close_all(void **state) {
  remove_encoder();
  return close_models(state);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_as_json),
      cmocka_unit_test(a_column_of_texts),
      cmocka_unit_test(chosen_outputs),
      cmocka_unit_test(ties_in_label_order),
      cmocka_unit_test(answers_that_are_no_numbers),
      cmocka_unit_test(ids_and_masks),
      cmocka_unit_test(ids_refused),
      cmocka_unit_test(pairs),
      cmocka_unit_test(candidate_labels),
      cmocka_unit_test(deadlines),
      cmocka_unit_test(requests_refused),
      cmocka_unit_test(compressed_bodies),
      cmocka_unit_test(shapes_refused),
      cmocka_unit_test(embeddings),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
