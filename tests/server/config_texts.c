// config_texts.c - the server's configuration: addresses, names, paths and keys, and files that are refused with a
// reason.
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "config_files.h"

// ---- addresses, names, keys ----

static void addresses(void **state) {
  (void)state;
  static const struct {
    const char *text, *host;
    uint16_t port;
  } good[] = {{"8081", "127.0.0.1", 8081},
              {"0", "127.0.0.1", 0},
              {"0.0.0.0:80", "0.0.0.0", 80},
              {"localhost:65535", "localhost", 65535},
              {"'[::1]:8080'", "::1", 8080},
              {"'[fe80::1%eth0]:1'", "fe80::1%eth0", 1},
              {"my-host.example:9", "my-host.example", 9}};
  char text[200];
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    struct serve_config c;
    snprintf(text, sizeof text, "listen: %s\nmodels: [a]\n", good[i].text);
    loads(text, &c);
    assert_string_equal(c.host, good[i].host);
    assert_int_equal(c.port, good[i].port);
    serve_config_free(&c);
  }
  static const char *const bad[] = {
      "65536",   "-1",         "'::1:8080'", "'[::1]'",    "'[::1]8080'", "'[1.2.3.4]:80'", "host",    "':80'",
      "'host:'", "'host:80x'", "'h ost:80'", "'host: 80'", "'*:80'",      "80.5",           "true",    "[]",
      "",        "'[]:80'",    "'[:80'",     "'host:+80'", "'a\\0b:80'",  "\"a\\0:80\"",    "'-h:80'", "'[::1%]:80'"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(text, sizeof text, "models: [a]\nlisten: %s\n", bad[i]);
    refused(text, 2, "listen: expected HOST:PORT, \"[IPV6]:PORT\" or PORT, found ");
  }
}

static void models_have_names_and_paths(void **state) {
  (void)state;
  struct serve_config c;
  char folder[400];
  assert_non_null(realpath(dir.temp, folder));
  char *here = path_join(folder, "here"), *weights = path_join(here, "model.safetensors");
  assert_int_equal(mkdir(here, 0700), 0);
  put_bytes("here/model.safetensors", "", 0);
  loads(
      "models:\n- agnews\n- here\n- {path: ./here/, name: org/second}\n- {name: third, path: /x/y}\n"
      "- {path: here/model.safetensors, quantized: q8, name: fourth}\n- {path: /deep/er/}\n- {name: 5th}\n",
      &c);
  static const char *const names[] = {"agnews", "here", "org/second", "third", "fourth", "er", "5th"};
  const char *const paths[] = {"/shipped/agnews", here, here, "/x/y", weights, "/deep/er/", "/shipped/5th"};
  assert_int_equal(c.model_count, 7);
  for (size_t i = 0; i < 7; i++) {
    assert_string_equal(c.models[i].name, names[i]);
    assert_string_equal(c.models[i].path, paths[i]);
  }
  char *quantized = path_join(folder, "q8");
  assert_string_equal(c.models[4].quantized, quantized);
  serve_config_free(&c);
  loads("models: [here/model.safetensors]\n", &c); // a weight file is called as its folder
  assert_string_equal(c.models[0].name, "here");
  serve_config_free(&c);
  unlink(weights);
  rmdir(here);
  free(quantized);
  free(weights);
  free(here);
}

static void names_that_are_refused(void **state) {
  (void)state;
  static const char *const bad[] = {"''",
                                    "/a",
                                    "a/",
                                    "a//b",
                                    "..",
                                    "a/../b",
                                    ".a",
                                    "a/.b",
                                    "a b",
                                    "a?",
                                    "\"a\\n\"",
                                    "ä",
                                    "a123456789b123456789c123456789d123456789e123456789f123456789g1234"};
  char text[300];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(text, sizeof text, "models:\n  - path: /x\n    name: %s\n", bad[i]);
    refused(text, 3, i ? "models.0.name: expected a name of up to 64 letters" : "models.0.name: expected text");
  }
  refused("models: [/a/my model]\n", 1,
          "models.0: expected a name of up to 64 letters, digits and . _ - /, found my model: give another with");
  refused("models:\n- a\n- /x/a\n", 3, "models.1: expected a name of its own, found a again");
  refused("models:\n- a\n- path: /x\n  name: a\n", 4, "models.1.name: expected a name of its own, found a again");
  refused("models:\n- {scheme: int8}\n", 2, "models.0: expected name or path, found neither");
  refused("models:\n- 7\n", 2, "models.0: expected a name, a path or a mapping, found 7");
  refused("models:\n- name: 7\n", 2, "models.0.name: expected text (a number in quotes), found 7");
  refused("models: a\n", 1, "models: expected a list of models, found a");
  refused("models:\n", 1, "models: expected a model, here or on the command line, found none");
  refused("threads: 1\n", 1, "models: expected a model");
  refused("models:\n  - {name: a, scheme: int9}\n", 2,
          "models.0.scheme: expected the name of a scheme (`pare schemes` lists them), found int9");
  refused("models: [{name: a, scheme: int8-static}]\n", 1, "models.0.scheme: expected a scheme that needs no calib");
  refused("models: [{name: a, scheme: q4_k}]\n", 1, "models.0.scheme: expected another scheme");
  struct serve_config c;
  struct pare_error err;
  assert_int_equal(load_with("models:\n  - name: b\n    path: absent\n", NULL, &c, &err), PARE_NOFILE);
  assert_non_null(strstr(err.text, "pare.yaml:3: models.0.path: no model 'absent'"));
  assert_int_equal(load_with("models:\n  - absent\n", NULL, &c, &err), PARE_NOFILE);
  assert_non_null(strstr(err.text, "pare.yaml:2: models.0: no model 'absent'"));
}

static void keys_that_let_in(void **state) {
  (void)state;
  struct serve_config c;
  struct pare_error err;
  static const char lines[] = "# who may ask\n\n  file-key-1  \r\nfile-key-2\n#third\nfile-key-3";
  put_bytes("keys.txt", lines, strlen(lines));
  loads("models: [a]\napi_keys: [one, \"2\"]\napi_key_file: keys.txt\n", &c);
  static const char *const keys[] = {"one", "2", "file-key-1", "file-key-2", "file-key-3"};
  assert_int_equal(c.api_key_count, 5);
  for (size_t i = 0; i < 5; i++) assert_string_equal(c.api_keys[i], keys[i]);
  char *text = printed(&c);
  for (size_t i = 2; i < 5; i++) assert_null(strstr(text, keys[i]));
  assert_non_null(strstr(text, "\n  - \"***\"\n"));
  assert_int_equal(load_with(text, NULL, &(struct serve_config){0}, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "api_keys.0: expected a key, found ***, which --print-config shows"));
  free(text);
  serve_config_free(&c);
  refused("models: [a]\napi_keys: [secret, 1234]\n", 2, "api_keys.1: expected a key, found a number: put it in quotes");
  assert_int_equal(load_with("models: [a]\napi_keys: [se cret]\n", NULL, &c, &err), PARE_DATA);
  assert_null(strstr(err.text, "cret")); // a key is not shown
  assert_int_equal(load_with("models: [a]\napi_keys: secret\n", NULL, &c, &err), PARE_DATA);
  assert_null(strstr(err.text, "secret"));
  refused("models: [a]\napi_keys: ['']\n", 2, "api_keys.0: expected 1 to 256 printable");
  refused("models: [a]\napi_keys: [\"a\\0b\"]\n", 2, "api_keys.0: expected 1 to 256 printable");
  refused("models: [a]\napi_keys: {a: b}\n", 2, "api_keys: expected a list of keys, found a mapping");
  put_bytes("keys.txt", "good\nbad one\n", 13);
  assert_int_equal(load_with("models: [a]\napi_key_file: keys.txt\n", NULL, &c, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "pare.yaml:2: api_key_file: "));
  assert_non_null(strstr(err.text, "keys.txt:2: expected a key of"));
  assert_null(strstr(err.text, "bad one"));
  put_bytes("keys.txt", "# none\n", 7); // a server that is meant to be closed does not open by mistake
  assert_int_equal(load_with("models: [a]\napi_key_file: keys.txt\n", NULL, &c, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "expected a key, found none"));
  assert_int_equal(load_with("models: [a]\napi_key_file: nowhere\n", NULL, &c, &err), PARE_NOFILE);
  assert_non_null(strstr(err.text, "pare.yaml:2: api_key_file: "));
}

// ---- files that are refused ----

static void unknown_keys_name_the_nearest(void **state) {
  (void)state;
  refused("models: [a]\nlimts:\n  body_kb: 1\n", 2, "limts: unknown key; did you mean limits?");
  refused("limits:\n  # none\n  bodykb: 1\n", 3, "limits.bodykb: unknown key; did you mean limits.body_kb?");
  refused("p95_ms: 1\n", 1, "p95_ms: unknown key; did you mean rollout.limits.p95_ms?");
  refused("models:\n  - name: a\n    quantised: b\n", 3,
          "models.0.quantised: unknown key; did you mean models.0.quantized?");
  refused("models:\n  - name: a\n    share: 1\n", 3,
          "models.0.share: unknown key; did you mean models.0.rollout.shadow.share?");
  refused("cache: {zzzzzzzz: 1}\n", 1, "cache.zzzzzzzz: unknown key; expected one of mb");
  refused("zzzzzzzz: 1\n", 1, "zzzzzzzz: unknown key; expected one of listen, threads,");
  refused("limits.body_kb: 1\n", 1, "limits.body_kb: unknown key; keys below keys stand on lines of their own");
  refused("limits: 5\n", 1, "limits: expected a mapping, found 5");
  refused("rollout:\n  shadow: [1]\n", 2, "rollout.shadow: expected a mapping, found a list");
}

static void hostile_files(void **state) {
  (void)state;
  struct serve_config c;
  struct pare_error err;
  refused("", 1, "expected a mapping of keys");
  refused("- a\n", 1, "expected a mapping of keys");
  refused("models: [a]\nthreads: 1\nthreads: 2\n", 3, "threads: expected once, found again");
  refused("models: &m [a]\napi_keys: *m\n", 1, "expected no alias");
  refused("models: [a]\nlisten: '8080\n", 3, "expected YAML or JSON, found");
  refused("models: [a]\n---\nmodels: [b]\n", 3, "expected one document, found a second");
  refused("models: [a]\n? [1]\n: 2\n", 2, "expected a key, found a list or mapping");
  refused("models: [a]\nthreads: 999999999999999999999999\n", 2, "threads: expected a whole number from 0 to 1024");
  refused("models: [a]\nthreads: 1e400\n", 2, "threads: expected a whole number");
  refused("models: [a]\nthreads: -.inf\n", 2, "threads: expected a whole number");
  refused("models: [a]\nisa: avx3\n", 2, "isa: unknown instruction set 'avx3': expected one of scalar, avx2");
  refused("models: [a]\nisa: \"a\\0b\"\n", 2, "isa: expected text");
  char deep[4096] = "models: ";
  size_t n = strlen(deep);
  memset(deep + n, '[', 600);
  memset(deep + n + 600, ']', 600);
  assert_int_equal(load_with(deep, NULL, &c, &err), PARE_DATA);
  struct buf many = {0};
  buf_puts(&many, "models: [");
  for (int i = 0; i < 1001; i++) buf_printf(&many, "m%d,", i);
  buf_puts(&many, "]\n");
  refused(many.data, 1, "models: expected at most 1000 models");
  buf_free(&many);
  static const uint8_t bytes[] = {0xff, 0xfe, 0x00, 0xd8, 0x00, 0x00, 0x7f, 'E', 'L', 'F', 0x00, 0x80};
  put_bytes("pare.yaml", bytes, sizeof bytes);
  assert_int_equal(serve_config_load(file, NULL, NULL, &c, &err), PARE_DATA);
  char *large = calloc(1, (1 << 20) + 2);
  memset(large, '#', (1 << 20) + 1);
  assert_int_equal(load_with(large, NULL, &c, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "expected at most 1048576 bytes"));
  free(large);
  assert_int_equal(serve_config_load(dir.temp, NULL, NULL, &c, &err), PARE_DATA);
}

static void sections_without_keys_are_empty(void **state) {
  (void)state;
  struct serve_config c;
  loads("models: [a]\nlimits:\n  # queue: 4\nrollout:\n  shadow:\napi_keys:\nisa:\n", &c);
  assert_int_equal(c.limits.queue, 512);
  assert_null(c.isa);
  serve_config_free(&c);
  loads("{\"models\": [\"a\"], \"limits\": {\"queue\": 4}}", &c); // JSON
  assert_int_equal(c.limits.queue, 4);
  serve_config_free(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses),
      cmocka_unit_test(models_have_names_and_paths),
      cmocka_unit_test(names_that_are_refused),
      cmocka_unit_test(keys_that_let_in),
      cmocka_unit_test(unknown_keys_name_the_nearest),
      cmocka_unit_test(hostile_files),
      cmocka_unit_test(sections_without_keys_are_empty),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
