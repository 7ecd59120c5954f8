// tensors.c - model files on disk: what the writer writes the reader reads, shards, and paths that hold no safetensors.
#include <stdarg.h>
#include <stddef.h>
// cmocka.h wants the two above and the two below first.
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/format.h"

static void assert_zeroed(const struct tensors *t) {
  static const struct tensors zero;
  assert_memory_equal(t, &zero, sizeof zero);
}

// Each test works in a directory of its own, *state.

static int enter_dir(void **state) {
  struct outdir *d = malloc(sizeof *d);
  if (!d || dir_create_temp(d, NULL) != PARE_OK) return -1;
  *state = d;
  return chdir(d->temp);
}

static int leave_dir(void **state) {
  int failed = chdir("/");
  dir_discard(*state);
  free(*state);
  return failed;
}

static void put(const char *path, const char *text) {
  assert_int_equal(file_write_all(path, text, strlen(text), NULL), PARE_OK);
}

// header and data_len bytes 1, 2, ... behind it.
static void put_file(const char *path, const char *header, size_t data_len) {
  uint8_t bytes[1024] = {0};
  size_t header_len = strlen(header);
  assert_true(8 + header_len + data_len <= sizeof bytes && header_len < 0x10000);
  bytes[0] = (uint8_t)header_len;
  bytes[1] = (uint8_t)(header_len >> 8);
  memcpy(bytes + 8, header, header_len);
  for (size_t i = 0; i < data_len; i++) bytes[8 + header_len + i] = (uint8_t)(i + 1);
  assert_int_equal(file_write_all(path, bytes, 8 + header_len + data_len, NULL), PARE_OK);
}

static void assert_open_fails(const char *path, enum pare_status expected, const char *needle) {
  struct tensors t;
  struct pare_error err = {0};
  memset(&t, 0xA5, sizeof t);
  enum pare_status status = tensors_open(path, &t, &err);
  if (status != expected) fail_msg("%s: status %d, %d expected: %s", path, status, expected, err.text);
  if (!strstr(err.text, path) || !strstr(err.text, needle)) fail_msg("'%s' lacks '%s'", err.text, needle);
  assert_zeroed(&t);
}

// list in, the same tensors out.
static void assert_round_trip(const struct tensor *list, size_t count) {
  static const char *const meta[] = {"format", "pt", "note", "\xC3\xA9 \"quoted\"\n"};
  struct pare_error err = {0};
  if (safetensors_write("f.safetensors", list, count, meta, 2, &err) != PARE_OK) fail_msg("%s", err.text);
  struct tensors t;
  if (tensors_open("f.safetensors", &t, &err) != PARE_OK) fail_msg("%s", err.text);
  assert_int_equal(t.count, count);
  assert_int_equal(t.meta_count, 2);
  for (size_t i = 0; i < 4; i++) assert_string_equal(t.meta[i], meta[i]);
  const uint8_t *first = NULL;
  for (size_t i = 0; i < count; i++) {
    const struct tensor *got = tensors_find(&t, list[i].name);
    assert_non_null(got);
    assert_int_equal(got->dtype, list[i].dtype);
    assert_int_equal(got->rank, list[i].rank);
    assert_memory_equal(got->shape, list[i].shape, got->rank * sizeof *got->shape);
    assert_int_equal(got->bytes, list[i].bytes);
    if (got->bytes) assert_memory_equal(got->data, list[i].data, got->bytes);
    assert_int_equal((uintptr_t)got->data % dtype_bytes(got->dtype), 0);
    if (!first || got->data < first) first = got->data;
    if (i > 0) assert_true(strcmp(t.list[i - 1].name, t.list[i].name) < 0);
  }
  if (first) assert_int_equal((size_t)(first - t.maps[0].data) % 64, 0);
  assert_int_equal(t.file_bytes, t.maps[0].len);
  tensors_close(&t);
}

static void every_dtype_round_trips(void **state) {
  (void)state;
  uint8_t data[64];
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(200 + i);
  struct tensor list[DTYPE_COUNT];
  static const char *const names[DTYPE_COUNT] = {"j", "i", "h", "g", "f", "e\xC3\xA9", "d\"\n", "c", "b", "a"};
  for (size_t i = 0; i < DTYPE_COUNT; i++) {
    enum dtype d = (enum dtype)i;
    list[i] = (struct tensor){
        .name = names[i], .dtype = d, .rank = 2, .shape = {3, 1}, .data = data, .bytes = 3 * dtype_bytes(d)};
    assert_round_trip(&list[i], 1);
  }
  assert_round_trip(list, DTYPE_COUNT);
}

static void dtype_names_and_sizes(void **state) {
  (void)state;
  static const char *const names[DTYPE_COUNT] = {"F32", "F16", "BF16", "I8", "U8", "I16", "I32", "I64", "F64", "BOOL"};
  static const size_t sizes[DTYPE_COUNT] = {4, 2, 2, 1, 1, 2, 4, 8, 8, 1};
  for (size_t i = 0; i < DTYPE_COUNT; i++) {
    assert_string_equal(dtype_name((enum dtype)i), names[i]);
    assert_int_equal(dtype_bytes((enum dtype)i), sizes[i]);
  }
}

static void empty_and_scalar_tensors_round_trip(void **state) {
  (void)state;
  static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8};
  const struct tensor list[] = {
      {.name = "scalar", .dtype = DTYPE_F64, .data = data, .bytes = 8},
      {.name = "empty", .dtype = DTYPE_F32, .rank = 1},
      {.name = "flat", .dtype = DTYPE_I8, .rank = 4, .shape = {7, 0, 3, 2}},
      {.name = "bytes", .dtype = DTYPE_U8, .rank = 4, .shape = {1, 3, 1, 1}, .data = data, .bytes = 3},
  };
  assert_round_trip(list, 4);
  assert_round_trip(list + 1, 1);
  assert_round_trip(NULL, 0);
}

static void same_tensors_make_the_same_bytes(void **state) {
  (void)state;
  static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8};
  struct tensor list[] = {
      {.name = "b", .dtype = DTYPE_F16, .rank = 1, .shape = {4}, .data = data, .bytes = 8},
      {.name = "c", .dtype = DTYPE_I64, .rank = 1, .shape = {1}, .data = data, .bytes = 8},
      {.name = "a", .dtype = DTYPE_I8, .rank = 1, .shape = {3}, .data = data, .bytes = 3},
  };
  char sums[2][65];
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(safetensors_write("f", list, 3, NULL, 0, NULL), PARE_OK);
    assert_int_equal(file_sha256("f", sums[i], NULL), PARE_OK);
    struct tensor first = list[0];
    list[0] = list[2];
    list[2] = first;
  }
  assert_string_equal(sums[0], sums[1]);
  // The order of the safetensors library, and no metadata where none was given.
  struct mapping m;
  assert_int_equal(file_map("f", &m, NULL), PARE_OK);
  static const char expected[] =
      "{\"c\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[8,16]},"
      "\"a\":{\"dtype\":\"I8\",\"shape\":[3],\"data_offsets\":[16,19]}}";
  assert_memory_equal(m.data + 8, expected, sizeof expected - 1);
  file_unmap(&m);
}

static void writer_refuses_what_the_reader_would(void **state) {
  (void)state;
  static const uint8_t data[8];
  const struct tensor good = {.name = "w", .dtype = DTYPE_U8, .rank = 1, .shape = {8}, .data = data, .bytes = 8};
  struct tensor bad[] = {good, good, good, good, good, good};
  static char long_name[513];
  memset(long_name, 'x', 512);
  bad[0].bytes = 7;
  bad[1].name = "";
  bad[2].name = long_name;
  bad[3].name = "\xff";
  bad[4].name = "__metadata__";
  bad[5].rank = 5;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct pare_error err = {0};
    assert_int_equal(safetensors_write("f", &bad[i], 1, NULL, 0, &err), PARE_BUG);
    assert_non_null(strstr(err.text, "to f"));
  }
  const struct tensor twins[] = {good, good};
  assert_int_equal(safetensors_write("f", twins, 2, NULL, 0, NULL), PARE_BUG);
  static const char *const meta[] = {"k", "\xff", "k", "1", "k", "2"};
  assert_int_equal(safetensors_write("f", &good, 1, meta, 1, NULL), PARE_BUG);
  assert_int_equal(safetensors_write("f", &good, 1, meta + 2, 2, NULL), PARE_BUG);
  assert_int_equal(safetensors_write("absent/f", &good, 1, NULL, 0, NULL), PARE_IO);
  assert_false(file_exists("f"));
}

#define ONE(name) "{\"" name "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"

static void directories_without_safetensors(void **state) {
  (void)state;
  assert_open_fails("absent", PARE_NOFILE, "absent");
  assert_open_fails("absent.gguf", PARE_NOFILE, "absent.gguf");
  assert_int_equal(mkdir("m", 0755), 0);
  assert_open_fails("m", PARE_NOFILE, "neither model.safetensors nor pytorch_model.bin");
  put("m/config.json", "{}");
  assert_open_fails("m", PARE_NOFILE, "an index of several");
  put("m/tf_model.h5", "x");
  assert_open_fails("m", PARE_UNAVAILABLE, "tf_model.h5");
  put("m/checkpoint.pth", "x");
  assert_open_fails("m", PARE_NOFILE, "name that file");
  put("m/pytorch_model.bin", "x");
  assert_open_fails("m", PARE_DATA, "m/pytorch_model.bin");
  static const char *const others[] = {"w.gguf", "w.h5", "w.onnx"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    put(others[i], "x");
    assert_open_fails(others[i], PARE_UNAVAILABLE, "safetensors");
  }
  static const char *const torch[] = {"m/pytorch_model.bin", "w.pth", "w.pt", "w.bin", "w.pkl"};
  for (size_t i = 0; i < sizeof torch / sizeof *torch; i++) {
    put(torch[i], "x");
    assert_open_fails(torch[i], PARE_DATA, "not written by torch.save");
  }
  put("m/model.safetensors", "");
  assert_open_fails("m", PARE_DATA, "m/model.safetensors: 0 bytes");
}

static void directory_with_one_file(void **state) {
  (void)state;
  assert_int_equal(mkdir("m", 0755), 0);
  put_file("m/model.safetensors", ONE("w"), 2);
  put("m/model.safetensors.index.json", "broken, and not looked at");
  static const char *const paths[] = {"m", "m/", "m/model.safetensors"};
  for (size_t i = 0; i < 3; i++) {
    struct tensors t;
    assert_int_equal(tensors_open(paths[i], &t, NULL), PARE_OK);
    assert_non_null(tensors_find(&t, "w"));
    tensors_close(&t);
  }
}

static void shards_are_joined(void **state) {
  (void)state;
  assert_int_equal(mkdir("m", 0755), 0);
  put_file("m/1.safetensors",
           "{\"__metadata__\":{\"n\":\"1\"},\"c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
           "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[2,5]}}",
           5);
  put_file("m/2.safetensors",
           "{\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]},"
           "\"beside\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
           3);
  put("m/model.safetensors.index.json",
      "{\"metadata\":{\"total_size\":7},\"weight_map\":{\"b\":\"2.safetensors\",\"a\":\"1.safetensors\","
      "\"c\":\"1.safetensors\"}}");
  static const char *const paths[] = {"m", "m/model.safetensors.index.json"};
  for (size_t k = 0; k < 2; k++) {
    struct tensors t;
    struct pare_error err = {0};
    if (tensors_open(paths[k], &t, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.map_count, 2);
    assert_int_equal(t.file_bytes, t.maps[0].len + t.maps[1].len);
    for (size_t i = 0; i < 3; i++) {
      assert_int_equal(t.list[i].name[0], 'a' + i);
      assert_string_equal(t.list[i].file, i == 1 ? "m/2.safetensors" : "m/1.safetensors");
    }
    assert_memory_equal(tensors_find(&t, "a")->data, "\3\4\5", 3);
    assert_null(tensors_find(&t, "beside"));
    assert_int_equal(t.meta_count, 1);
    assert_string_equal(t.meta[1], "1");
    tensors_close(&t);
  }
}

static void hostile_indexes(void **state) {
  (void)state;
  static const char index[] = "m/model.safetensors.index.json";
  assert_int_equal(mkdir("m", 0755), 0);
  put_file("m/1.safetensors", ONE("a"), 2);
  put_file("outside.safetensors", ONE("a"), 2);
  put_file("m/broken.safetensors", ONE("a"), 1);
  assert_int_equal(mkdir("m/dir", 0755), 0);
  static const struct {
    const char *text;
    enum pare_status status;
    const char *needle;
  } cases[] = {
      {"", PARE_DATA, "line 1"},
      {"{\n\n]", PARE_DATA, "line 3"},
      {"[]", PARE_DATA, "weight_map"},
      {"{}", PARE_DATA, "weight_map"},
      {"{\"weight_map\":[]}", PARE_DATA, "weight_map"},
      {"{\"weight_map\":{}}", PARE_DATA, "no tensor"},
      {"{\"weight_map\":{\"a\":1}}", PARE_DATA, "tensor 'a'"},
      {"{\"weight_map\":{\"a\":\"\"}}", PARE_DATA, "plain file name"},
      {"{\"weight_map\":{\"a\":\".\"}}", PARE_DATA, "plain file name"},
      {"{\"weight_map\":{\"a\":\"..\"}}", PARE_DATA, "plain file name"},
      {"{\"weight_map\":{\"a\":\"../outside.safetensors\"}}", PARE_DATA, "tensor 'a': '../outside.safetensors' found"},
      {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", PARE_DATA, "plain file name"},
      {"{\"weight_map\":{\"a\":\"./1.safetensors\"}}", PARE_DATA, "plain file name"},
      {"{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}}", PARE_DATA, "duplicate"},
      {"{\"weight_map\":{\"a\":\"2.safetensors\"}}", PARE_NOFILE, "tensor 'a' is in 2.safetensors"},
      {"{\"weight_map\":{\"a\":\"dir\"}}", PARE_NOFILE, "tensor 'a' is in dir"},
      {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\"}}", PARE_DATA, "'b' is not in 1.safetensors"},
      {"{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}", PARE_NOFILE, "tensor 'b'"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put(index, cases[i].text);
    assert_open_fails(index, cases[i].status, cases[i].needle);
  }
  put(index, "{\"weight_map\":{\"a\":\"broken.safetensors\"}}");
  assert_open_fails("m", PARE_DATA, "/broken.safetensors: tensor 'a'");
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, enter_dir, leave_dir)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dtype_names_and_sizes),
      DISK_TEST(every_dtype_round_trips),
      DISK_TEST(empty_and_scalar_tensors_round_trip),
      DISK_TEST(same_tensors_make_the_same_bytes),
      DISK_TEST(writer_refuses_what_the_reader_would),
      DISK_TEST(directories_without_safetensors),
      DISK_TEST(directory_with_one_file),
      DISK_TEST(shards_are_joined),
      DISK_TEST(hostile_indexes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
