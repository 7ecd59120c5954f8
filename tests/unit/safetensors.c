// safetensors.c - the reader of one file against well-formed and hostile bytes.
#include <stdarg.h>
#include <stddef.h>
// cmocka.h wants the two above and the two below first.
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/rng.h"
#include "format/format.h"

static const char file_name[] = "some/model.safetensors";

// A file in a block of exactly its size, so that a sanitizer sees any read beyond it.
struct bytes {
  uint8_t *p;
  size_t len;
};

static struct bytes make_file_len(uint64_t declared, const char *header, size_t header_len, size_t data_len) {
  struct bytes b = {.len = 8 + header_len + data_len};
  b.p = malloc(b.len);
  assert_non_null(b.p);
  for (int i = 0; i < 8; i++) b.p[i] = (uint8_t)(declared >> (8 * i));
  memcpy(b.p + 8, header, header_len);
  for (size_t i = 0; i < data_len; i++) b.p[8 + header_len + i] = (uint8_t)(i + 1);
  return b;
}

static struct bytes make_file(const char *header, size_t data_len) {
  return make_file_len(strlen(header), header, strlen(header), data_len);
}

static void assert_zeroed(const struct tensors *t) {
  static const struct tensors zero;
  assert_memory_equal(t, &zero, sizeof zero);
}

// The file is refused with PARE_DATA, and the message names the file and says `needle`.
static void assert_refused(struct bytes b, const char *needle) {
  struct tensors t;
  struct pare_error err = {0};
  memset(&t, 0xA5, sizeof t);
  enum pare_status status = safetensors_parse(b.p, b.len, file_name, &t, &err);
  if (status != PARE_DATA) fail_msg("status %d, refusal for '%s' expected", status, needle);
  assert_int_equal(err.code, PARE_DATA);
  if (!strstr(err.text, file_name) || !strstr(err.text, needle)) fail_msg("'%s' lacks '%s'", err.text, needle);
  assert_zeroed(&t);
  assert_int_equal(safetensors_parse(b.p, b.len, file_name, &t, NULL), PARE_DATA);
  free(b.p);
}

static void refuse(const char *header, size_t data_len, const char *needle) {
  assert_refused(make_file(header, data_len), needle);
}

static const char small_header[] =
    "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
    "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}   ";

static void small_file_is_read(void **state) {
  (void)state;
  struct bytes b = make_file(small_header, 16);
  struct tensors t;
  assert_int_equal(safetensors_parse(b.p, b.len, file_name, &t, NULL), PARE_OK);
  assert_int_equal(t.count, 2);
  assert_string_equal(t.list[0].name, "b");
  const struct tensor *w = tensors_find(&t, "w");
  assert_ptr_equal(w, &t.list[1]);
  assert_int_equal(w->dtype, DTYPE_F16);
  assert_int_equal(w->rank, 2);
  assert_int_equal(w->shape[0], 2);
  assert_int_equal(w->shape[1], 3);
  assert_int_equal(w->bytes, 12);
  assert_ptr_equal(w->data, b.p + b.len - 12);
  assert_string_equal(w->file, file_name);
  assert_null(tensors_find(&t, "absent"));
  assert_int_equal(t.meta_count, 1);
  assert_string_equal(t.meta[0], "format");
  assert_string_equal(t.meta[1], "pt");
  assert_int_equal(t.file_bytes, b.len);
  tensors_close(&t);
  assert_zeroed(&t);
  tensors_close(&t);
  free(b.p);
}

static void every_truncation_is_refused(void **state) {
  (void)state;
  struct bytes whole = make_file(small_header, 16);
  for (size_t len = 0; len < whole.len; len++) {
    struct bytes cut = {malloc(len), len};
    if (len) memcpy(cut.p, whole.p, len);
    assert_refused(cut, "");
  }
  assert_refused((struct bytes){NULL, 0}, "0 bytes");
  free(whole.p);
}

static void random_damage_is_refused_or_harmless(void **state) {
  (void)state;
  struct rng r;
  rng_seed(&r, 1);
  struct bytes whole = make_file(small_header, 16), b = make_file(small_header, 16);
  size_t refused = 0;
  for (int round = 0; round < 20000; round++) {
    memcpy(b.p, whole.p, b.len);
    for (size_t n = 1 + rng_below(&r, 3); n > 0; n--) b.p[rng_below(&r, b.len)] = (uint8_t)rng_next(&r);
    struct tensors t;
    struct pare_error err = {0};
    enum pare_status status = safetensors_parse(b.p, b.len, file_name, &t, &err);
    if (status == PARE_OK) {
      for (size_t i = 0; i < t.count; i++) assert_true(t.list[i].data + t.list[i].bytes <= b.p + b.len);
      tensors_close(&t);
    } else {
      assert_int_equal(status, PARE_DATA);
      assert_non_null(strstr(err.text, file_name));
      assert_zeroed(&t);
      refused++;
    }
  }
  assert_true(refused > 10000);
  free(whole.p);
  free(b.p);
}

static void header_lengths_beyond_the_file(void **state) {
  (void)state;
  static const uint64_t lengths[] = {3, 100000000, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    assert_refused(make_file_len(lengths[i], "{}", 2, 0), "header length");
  }
  assert_refused(make_file_len(100000001, "{}", 2, 0), "at most 100000000");
  assert_refused(make_file_len(0, "{}", 2, 0), "byte 8");
  assert_refused(make_file_len(1, "{}", 2, 0), "JSON");
}

static void header_is_not_an_object(void **state) {
  (void)state;
  refuse("[]", 0, "byte 8");
  refuse("\"x\"", 0, "byte 8");
  refuse("1", 0, "byte 8");
  refuse(" {}", 0, "byte 8");
  refuse("{} x", 0, "JSON");
  refuse("{}{}", 0, "JSON");
  refuse("{", 0, "JSON");
  refuse("{\"w\":", 0, "JSON");
  assert_refused(make_file_len(4, "{}\0\0", 4, 0), "JSON");
}

static void deep_json(void **state) {
  (void)state;
  struct buf b = {0};
  buf_puts(&b, "{\"w\":");
  for (int i = 0; i < 500000; i++) buf_puts(&b, i % 2 ? "{\"a\":" : "[");
  refuse(b.data, 0, "JSON");
  buf_free(&b);
}

static void bad_names(void **state) {
  (void)state;
#define BODY "{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}"
  refuse("{\"\":" BODY "}", 1, "empty name");
  refuse("{\"\xff\":" BODY "}", 1, "JSON");
  refuse("{\"\xc0\xaf\":" BODY "}", 1, "JSON");
  refuse("{\"\xed\xa0\x80\":" BODY "}", 1, "JSON");
  refuse("{\"\\ud800\":" BODY "}", 1, "JSON");
  refuse("{\"a\\u0000b\":" BODY "}", 1, "JSON");
  refuse("{\"twin\":" BODY ",\"twin\":" BODY "}", 1, "twin");
  refuse("{\"twin\":" BODY ",\"tw\\u0069n\":" BODY "}", 1, "duplicate");
  char header[1024];
  for (int len = 511; len <= 512; len++) {
    snprintf(header, sizeof header, "{\"%0*d\":%s}", len, 0, BODY);
    if (len == 512) {
      refuse(header, 1, "512 bytes");
      continue;
    }
    struct bytes b = make_file(header, 1);
    struct tensors t;
    assert_int_equal(safetensors_parse(b.p, b.len, file_name, &t, NULL), PARE_OK);
    assert_int_equal(strlen(t.list[0].name), 511);
    tensors_close(&t);
    free(b.p);
  }
#undef BODY
}

// {"layer.w": {<fields>}} with data_len bytes of data is refused, naming the tensor and saying needle.
static void refuse_tensor(const char *fields, size_t data_len, const char *needle) {
  char header[512];
  snprintf(header, sizeof header, "{\"layer.w\":{%s}}", fields);
  refuse(header, data_len, "tensor 'layer.w'");
  refuse(header, data_len, needle);
}

static void bad_tensor_entries(void **state) {
  (void)state;
  refuse("{\"layer.w\":1}", 0, "tensor 'layer.w'");
  refuse("{\"layer.w\":null}", 0, "tensor 'layer.w'");
  refuse("{\"layer.w\":[]}", 0, "tensor 'layer.w'");
  refuse_tensor("", 0, "dtype");
  refuse_tensor("\"shape\":[1],\"data_offsets\":[0,1]", 1, "dtype");
  refuse_tensor("\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,1]", 1, "dtype");
  refuse_tensor("\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]", 1, "'F8_E4M3' found");
  refuse_tensor("\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]", 4, "'f32' found");
  refuse_tensor("\"dtype\":\"U8\",\"data_offsets\":[0,1]", 1, "shape");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":{},\"data_offsets\":[0,1]", 1, "shape");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[-1],\"data_offsets\":[0,1]", 1, "integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1.0],\"data_offsets\":[0,1]", 1, "integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[\"1\"],\"data_offsets\":[0,1]", 1, "integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,1]", 1, "5 dimensions");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]", 0, "product");
  refuse_tensor("\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]", 0, "product");
  refuse_tensor("\"dtype\":\"F64\",\"shape\":[9223372036854775807,2,0],\"data_offsets\":[0,0]", 0, "product");
  refuse("{\"w\":{\"dtype\":\"U8\",\"shape\":[18446744073709551616],\"data_offsets\":[0,0]}}", 0, "JSON");
}

static void bad_offsets(void **state) {
  (void)state;
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1]", 1, "data_offsets");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[-1,0]", 1, "two integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0.0,1.0]", 1, "two integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1e0]", 1, "two integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]", 1, "two integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]", 2, "two integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":{\"0\":0,\"1\":1}", 1, "two integers >= 0");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,0]", 1, "[1, 0]");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]", 1, "the 1 bytes");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9223372036854775806,9223372036854775807]", 1,
                "within");
  refuse_tensor("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]", 4, "span 4 bytes, shape and dtype need 8");
  refuse_tensor("\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,0]", 0, "need 4");
  refuse_tensor("\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,1]", 1, "need 0");
}

#define TWO(a, b)                                                 \
  "{\"one\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" a \
  "]},"                                                           \
  "\"two\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[" b "]}}"

static void overlaps_and_holes(void **state) {
  (void)state;
  refuse(TWO("0,4", "0,4"), 4, "overlap");
  refuse(TWO("0,4", "3,7"), 7, "tensor 'two': data begins at offset 3, 4 expected: tensors overlap");
  refuse(TWO("3,7", "0,4"), 7, "tensor 'one'");
  refuse(TWO("0,4", "5,9"), 9, "tensor 'two': data begins at offset 5, 4 expected: bytes that belong to no tensor");
  refuse(TWO("1,5", "5,9"), 9, "tensor 'one'");
  refuse(TWO("0,4", "4,8"), 9, "the tensors end at 8");
  refuse("{}", 1, "the tensors end at 0");
  refuse(
      "{\"one\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
      "\"none\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[2,2]}}",
      4, "overlap");
}

static void bad_metadata(void **state) {
  (void)state;
  refuse("{\"__metadata__\":1}", 0, "__metadata__");
  refuse("{\"__metadata__\":null}", 0, "__metadata__");
  refuse("{\"__metadata__\":[\"a\"]}", 0, "__metadata__");
  refuse("{\"__metadata__\":{\"ok\":\"x\",\"step\":5}}", 0, "'step'");
  refuse("{\"__metadata__\":{\"step\":{\"deep\":\"x\"}}}", 0, "'step'");
  refuse("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate");
}

static void hostile_names_are_harmless_in_messages(void **state) {
  (void)state;
  struct bytes b = make_file("{\"\\u001b[2J%s%n\":{}}", 0);
  struct tensors t;
  struct pare_error err = {0};
  assert_int_equal(safetensors_parse(b.p, b.len, file_name, &t, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "'?[2J%s%n'"));
  free(b.p);
}

static void odd_but_well_formed_files(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data_len, count;
  } files[] = {
      {"{}", 0, 0},
      {"{\"__metadata__\":{}}", 0, 0},
      {"{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, 1},
      {"{\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, 1},
      {"{\"e\":{\"dtype\":\"F32\",\"shape\":[5,0],\"data_offsets\":[4,4]},"
       "\"f\":{\"dtype\":\"I8\",\"shape\":[0],\"data_offsets\":[4,4]},"
       "\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
       "\"z\":{\"dtype\":\"I8\",\"shape\":[1,1,1,2],\"data_offsets\":[4,6]}}",
       6, 4},
      {"{\"later\":{\"extra\":[1],\"data_offsets\":[0,1],\"shape\":[1],\"dtype\":\"BOOL\"}}", 1, 1},
      {TWO("4,8", "0,4"), 8, 2},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    struct bytes b = make_file(files[i].header, files[i].data_len);
    struct tensors t;
    struct pare_error err = {0};
    if (safetensors_parse(b.p, b.len, file_name, &t, &err) != PARE_OK) fail_msg("%s: %s", files[i].header, err.text);
    assert_int_equal(t.count, files[i].count);
    assert_null(tensors_find(&t, "absent"));
    tensors_close(&t);
    free(b.p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(small_file_is_read),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(random_damage_is_refused_or_harmless),
      cmocka_unit_test(header_lengths_beyond_the_file),
      cmocka_unit_test(header_is_not_an_object),
      cmocka_unit_test(deep_json),
      cmocka_unit_test(bad_names),
      cmocka_unit_test(bad_tensor_entries),
      cmocka_unit_test(bad_offsets),
      cmocka_unit_test(overlaps_and_holes),
      cmocka_unit_test(bad_metadata),
      cmocka_unit_test(hostile_names_are_harmless_in_messages),
      cmocka_unit_test(odd_but_well_formed_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
