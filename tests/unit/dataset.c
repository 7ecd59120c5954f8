// dataset.c - eval/dataset.h: every format, quoting, and files that are out to break the reader.
#include "eval/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/file.h"

static enum pare_status parse_len(enum dataset_kind kind, const char *text, size_t len,
                                  const struct pare_dataset_options *options, pare_dataset **d,
                                  struct pare_error *err) {
  char *block = malloc(len + 1); // exactly what is promised: sanitizers see one byte more
  assert_non_null(block);
  memcpy(block, text, len);
  return dataset_parse("data", kind, block, len, options, d, err);
}

static pare_dataset *parse(enum dataset_kind kind, const char *text, const struct pare_dataset_options *options) {
  pare_dataset *d;
  struct pare_error err = {0};
  enum pare_status status = parse_len(kind, text, strlen(text), options, &d, &err);
  if (status != PARE_OK) fail_msg("%s", err.text);
  return d;
}

static void refuse_with(enum dataset_kind kind, const char *text, size_t len,
                        const struct pare_dataset_options *options, const char *said) {
  pare_dataset *d = (pare_dataset *)1;
  struct pare_error err = {0};
  assert_int_equal(parse_len(kind, text, len, options, &d, &err), PARE_DATA);
  assert_null(d);
  if (strcmp(err.text, said) != 0) fail_msg("said \"%s\", expected \"%s\"", err.text, said);
}

static void refuse(enum dataset_kind kind, const char *text, const char *said) {
  refuse_with(kind, text, strlen(text), NULL, said);
}

static void expect_row(const pare_dataset *d, size_t i, const char *text, const char *pair, const char *label,
                       size_t line) {
  assert_true(i < d->count);
  const struct dataset_row *r = &d->rows[i];
  assert_string_equal(r->text, text);
  assert_int_equal(r->len, strlen(text));
  assert_int_equal(r->pair != NULL, pair != NULL);
  if (pair) assert_string_equal(r->pair, pair);
  if (pair) assert_int_equal(r->pair_len, strlen(pair));
  assert_int_equal(r->label != NULL, label != NULL);
  if (label) assert_string_equal(r->label, label);
  assert_int_equal(r->line, line);
}

static void lines_are_texts(void **state) {
  (void)state;
  pare_dataset *d = parse(DATASET_TEXT, "\xEF\xBB\xBFone\r\n\r\ntwo, \"three\"\n", NULL);
  assert_int_equal(d->count, 3);
  expect_row(d, 0, "one", NULL, NULL, 1);
  expect_row(d, 1, "", NULL, NULL, 2); // answers line up with lines
  expect_row(d, 2, "two, \"three\"", NULL, NULL, 3);
  assert_int_equal(d->labelled, 0);
  dataset_close(d);
  d = parse(DATASET_TEXT, "no line break", NULL);
  assert_int_equal(d->count, 1);
  expect_row(d, 0, "no line break", NULL, NULL, 1);
  dataset_close(d);
}

static void csv_is_rfc_4180(void **state) {
  (void)state;
  const char *text =
      "\xEF\xBB\xBFid,label,\"text\",pair\r\n"
      "1,World,plain,\r\n"
      "2,\"Sci/Tech\",\"a, \"\"quoted\"\"\r\nbreak\",second\r\n"
      "\r\n"
      "3,,in \"the\" middle,\"\"\r\n"
      "4,\"\",\"\"\"\",x";
  pare_dataset *d = parse(DATASET_CSV, text, NULL);
  assert_int_equal(d->count, 4);
  expect_row(d, 0, "plain", NULL, "World", 2);
  expect_row(d, 1, "a, \"quoted\"\r\nbreak", "second", "Sci/Tech", 3);
  expect_row(d, 2, "in \"the\" middle", NULL, NULL, 6); // a break inside a field and a blank line were counted
  expect_row(d, 3, "\"", "x", NULL, 7);
  assert_int_equal(d->labelled, 2);
  dataset_close(d);
}

static void expect_reference(const pare_dataset *d, size_t row, const char *reference) {
  const struct dataset_row *r = &d->rows[row];
  if (!reference) {
    assert_null(r->reference);
    return;
  }
  assert_non_null(r->reference);
  assert_string_equal(r->reference, reference);
  assert_int_equal(r->reference_len, strlen(reference));
}

static void references_have_usual_names(void **state) {
  (void)state;
  static const char *const headers[] = {"text,reference,summary", "text,x,reference", "text,x,summary",
                                        "reference,label,text", "text,x,y"};
  static const char *const expected[] = {"b", "c", "c", "a", NULL};
  for (size_t i = 0; i < 5; i++) {
    char csv[64];
    snprintf(csv, sizeof csv, "%s\na,b,c\n", headers[i]);
    pare_dataset *d = parse(DATASET_CSV, csv, NULL);
    expect_reference(d, 0, expected[i]);
    assert_int_equal(d->references, expected[i] != NULL);
    dataset_close(d);
  }
  pare_dataset *d = parse(DATASET_JSONL,
                          "{\"text\": \"a\", \"summary\": \"b\", \"reference\": \"c\"}\n"
                          "{\"text\": \"a\", \"summary\": \"b\"}\n{\"text\": \"a\", \"summary\": [1]}\n",
                          NULL);
  expect_reference(d, 0, "c");
  expect_reference(d, 1, "b");
  expect_reference(d, 2, NULL); // data for another task
  assert_int_equal(d->references, 2);
  dataset_close(d);
}

static void references_can_be_asked_for(void **state) {
  (void)state;
  struct pare_dataset_options options = {.reference_column = "title"}, same = {.reference_column = "text"};
  const char *csv = "text,summary,title\na,b,c\n", *none = "text,summary\na,b\n";
  pare_dataset *d = parse(DATASET_CSV, csv, &options);
  expect_reference(d, 0, "c");
  dataset_close(d);
  refuse_with(DATASET_CSV, none, strlen(none), &options,
              "data line 1: expected a column 'title', found the columns text, summary");
  const char *json = "{\"text\": \"a\"}\n", *number = "{\"text\": \"a\", \"title\": 3}\n";
  refuse_with(DATASET_JSONL, json, strlen(json), &options,
              "data line 1: expected a field 'title', found the fields text");
  refuse_with(DATASET_JSONL, number, strlen(number), &options,
              "data line 1: expected a string as 'title', found an integer");
  pare_dataset *out;
  struct pare_error err = {0};
  assert_int_equal(parse_len(DATASET_CSV, csv, strlen(csv), &same, &out, &err), PARE_USAGE);
}

static void csv_columns_are_chosen_by_name(void **state) {
  (void)state;
  struct pare_dataset_options options = {.text_column = "pair", .label_column = "y"};
  pare_dataset *d = parse(DATASET_CSV, "text,pair,y\nno,yes,1\n", &options);
  expect_row(d, 0, "yes", NULL, "1", 2);
  dataset_close(d);
  const char *text = "a,b\nx,y\n";
  struct pare_dataset_options missing = {.text_column = "a", .label_column = "label"};
  refuse_with(DATASET_CSV, text, strlen(text), &missing,
              "data line 1: expected a column 'label', found the columns a, b");
  refuse(DATASET_CSV, text, "data line 1: expected a column 'text', found the columns a, b");
  refuse(DATASET_CSV, "text,text\nx,y\n", "data line 1: expected one column 'text', found two");
  struct pare_dataset_options same = {.text_column = "label"};
  pare_dataset *none;
  struct pare_error err = {0};
  assert_int_equal(parse_len(DATASET_CSV, text, strlen(text), &same, &none, &err), PARE_USAGE);
}

static void tsv_has_no_quoting(void **state) {
  (void)state;
  pare_dataset *d = parse(DATASET_TSV, "text\tlabel\r\n\"half quoted\t1\r\na, b\t2\r\n", NULL);
  assert_int_equal(d->count, 2);
  expect_row(d, 0, "\"half quoted", NULL, "1", 2);
  expect_row(d, 1, "a, b", NULL, "2", 3);
  dataset_close(d);
}

static void jsonl_rows_are_objects(void **state) {
  (void)state;
  const char *text =
      "{\"text\": \"caf\\u00e9 \\ud83d\\ude00 \\\"q\\\"\", \"label\": 2, \"more\": [1, {}]}\n"
      "\n"
      "{\"pair\":\"b\",\"text\":\"a\",\"label\":\"x\"}\r\n"
      "{\"text\":\"c\",\"label\":null,\"pair\":null}";
  pare_dataset *d = parse(DATASET_JSONL, text, NULL);
  assert_int_equal(d->count, 3);
  expect_row(d, 0, "caf\xC3\xA9 \xF0\x9F\x98\x80 \"q\"", NULL, "2", 1);
  expect_row(d, 1, "a", "b", "x", 3);
  expect_row(d, 2, "c", NULL, NULL, 4);
  dataset_close(d);
}

// The tightest line there is: what is kept must fit into the bytes it came from.
static void jsonl_decodes_in_place(void **state) {
  (void)state;
  struct pare_dataset_options options = {.text_column = "", .label_column = "l"};
  pare_dataset *d = parse(DATASET_JSONL, "{\"\":\"t\",\"l\":-7,\"pair\":\"p\"}", &options);
  expect_row(d, 0, "t", "p", "-7", 1);
  dataset_close(d);
}

static void hostile_files_are_refused_by_line(void **state) {
  (void)state;
  refuse(DATASET_CSV, "", "data: expected a header line, found an empty file");
  refuse(DATASET_CSV, "text\n", "data: expected rows of text, found none");
  refuse(DATASET_TEXT, "", "data: expected rows of text, found none");
  refuse(DATASET_JSONL, "\n \n", "data: expected rows of text, found none");
  refuse(DATASET_CSV, "text,label\na,b\n\"c\nd\n",
         "data line 3: expected a closing quotation mark, found the end of the file");
  refuse(DATASET_CSV, "text\n\"", "data line 2: expected a closing quotation mark, found the end of the file");
  refuse(DATASET_CSV, "text\n\"a\"b\n",
         "data line 2: expected a delimiter or line break after the closing quotation mark, found 'b'");
  refuse(DATASET_CSV, "text,label\na,b\nc\n", "data line 3: expected 2 fields as in the header, found 1");
  refuse(DATASET_CSV, "text,label\na,b,c\n", "data line 2: expected 2 fields as in the header, found 3");
  refuse(DATASET_CSV, "text,label\n,b\n", "data line 2: expected text, found an empty field");
  refuse(DATASET_TSV, "text\n\"a\nb\tc\n", "data line 3: expected 1 fields as in the header, found 2");
  refuse(DATASET_TEXT, "good\nbad \xFF\n", "data line 2: expected UTF-8 text, found byte 0xff");
  refuse(DATASET_TEXT, "good\ncut \xE2\x82", "data line 2: expected UTF-8 text, found byte 0xe2");
  refuse_with(DATASET_TEXT, "a\nb\0c\n", 6, NULL, "data line 2: expected text, found a NUL byte");
  refuse(DATASET_JSONL, "[1]\n", "data line 1: expected a JSON object, found an array");
  refuse(DATASET_JSONL, "{\"text\":\"a\"}\n{\"text\":1}\n", "data line 2: expected text as 'text', found an integer");
  refuse(DATASET_JSONL, "{\"text\":\"\"}\n", "data line 1: expected text as 'text', found an empty string");
  refuse(DATASET_JSONL, "{\"b\":1,\"a\":2}\n", "data line 1: expected a field 'text', found the fields b, a");
  refuse(DATASET_JSONL, "{\"text\":\"a\",\"label\":1.5}\n",
         "data line 1: expected a string or an integer as 'label', found a fraction");
  refuse(DATASET_JSONL, "{\"text\":\"a\",\"pair\":[]}\n", "data line 1: expected a string as 'pair', found an array");
}

static void broken_json_is_refused(void **state) {
  (void)state;
  static const char *const lines[] = {
      "{\"text\":\"a\"",        "{\"text\":\"a\"} x",    "nonsense", "{\"text\":\"a\",\"text\":\"b\"}",
      "{\"text\":\"\\u0000\"}", "{\"text\":\"\\ud800\"}"};
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
    pare_dataset *d;
    struct pare_error err = {0};
    assert_int_equal(parse_len(DATASET_JSONL, lines[i], strlen(lines[i]), NULL, &d, &err), PARE_DATA);
    assert_non_null(strstr(err.text, "data line 1: expected a JSON object, found invalid JSON"));
  }
  // Nesting is bounded by the parser, not by the stack.
  size_t deep = 100000;
  char *text = malloc(deep);
  memset(text, '[', deep);
  pare_dataset *d;
  assert_int_equal(parse_len(DATASET_JSONL, text, deep, NULL, &d, NULL), PARE_DATA);
  free(text);
}

static void limit_stops_reading(void **state) {
  (void)state;
  struct pare_dataset_options options = {.limit = 2};
  pare_dataset *d = parse(DATASET_CSV, "text\na\nb\n\"never closed", &options);
  assert_int_equal(d->count, 2);
  dataset_close(d);
  d = parse(DATASET_JSONL, "{\"text\":\"a\"}\n{\"text\":\"b\"}\nbroken", &options);
  assert_int_equal(d->count, 2);
  dataset_close(d);
  d = parse(DATASET_TEXT, "a\nb\nc\n", &options);
  assert_int_equal(d->count, 2);
  dataset_close(d);
}

static void one_line_may_be_long(void **state) {
  (void)state;
  size_t len = 100u << 20;
  char *block = malloc(len + 1);
  assert_non_null(block);
  memset(block, 'x', len);
  pare_dataset *d;
  assert_int_equal(dataset_parse("data", DATASET_TEXT, block, len, NULL, &d, NULL), PARE_OK);
  assert_int_equal(d->count, 1);
  assert_int_equal(d->rows[0].len, len);
  dataset_close(d);
}

static void every_prefix_is_answered(void **state) {
  (void)state;
  static const char *const texts[] = {"text,label\n\"a\"\"b\",\"c\"\r\nd,e\n", "text\tlabel\r\na\tb\n",
                                      "{\"text\":\"\\u00e9\",\"label\":3}\n{\"text\":\"b\"}\n", "a\r\nb\xC3\xA9\n"};
  static const enum dataset_kind kinds[] = {DATASET_CSV, DATASET_TSV, DATASET_JSONL, DATASET_TEXT};
  for (size_t i = 0; i < 4; i++) {
    for (size_t len = 0; len <= strlen(texts[i]); len++) {
      pare_dataset *d;
      struct pare_error err = {0};
      enum pare_status status = parse_len(kinds[i], texts[i], len, NULL, &d, &err);
      assert_true(status == PARE_OK ? d != NULL && d->count > 0 : status == PARE_DATA && err.text[0]);
      dataset_close(d);
    }
  }
}

static void files_are_known_by_extension(void **state) {
  (void)state;
  struct outdir dir;
  struct pare_error err = {0};
  assert_int_equal(dir_create_temp(&dir, &err), PARE_OK);
  char *csv = path_join(dir.temp, "a.CSV"), *other = path_join(dir.temp, "a.json"),
       *none = path_join(dir.temp, "none.csv");
  const char *bytes = "text,label\nhello,1\n";
  assert_int_equal(file_write_all(csv, bytes, strlen(bytes), &err), PARE_OK);
  assert_int_equal(file_write_all(other, bytes, strlen(bytes), &err), PARE_OK);
  pare_dataset *d;
  assert_int_equal(dataset_open(csv, NULL, &d, &err), PARE_OK);
  expect_row(d, 0, "hello", NULL, "1", 2);
  char hash[65];
  bytes_sha256(bytes, strlen(bytes), hash);
  assert_string_equal(d->sha256, hash); // of the file, not of what decoding left of it
  assert_string_equal(d->path, csv);
  dataset_close(d);
  assert_int_equal(dataset_open(other, NULL, &d, &err), PARE_DATA);
  assert_non_null(strstr(err.text, ".jsonl"));
  assert_int_equal(dataset_open(none, NULL, &d, &err), PARE_NOFILE);
  assert_int_equal(dataset_open(dir.temp, NULL, &d, &err), PARE_DATA);
  free(csv);
  free(other);
  free(none);
  dir_discard(&dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_texts),
      cmocka_unit_test(csv_is_rfc_4180),
      cmocka_unit_test(csv_columns_are_chosen_by_name),
      cmocka_unit_test(references_have_usual_names),
      cmocka_unit_test(references_can_be_asked_for),
      cmocka_unit_test(tsv_has_no_quoting),
      cmocka_unit_test(jsonl_rows_are_objects),
      cmocka_unit_test(jsonl_decodes_in_place),
      cmocka_unit_test(hostile_files_are_refused_by_line),
      cmocka_unit_test(broken_json_is_refused),
      cmocka_unit_test(limit_stops_reading),
      cmocka_unit_test(one_line_may_be_long),
      cmocka_unit_test(every_prefix_is_answered),
      cmocka_unit_test(files_are_known_by_extension),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
