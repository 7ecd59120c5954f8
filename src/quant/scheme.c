// scheme.c - see scheme.h.
#include "quant/scheme.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "quant/quantize.h"

static const struct scheme schemes[] = {
    {"f32", &encoding_f32, &method_cast, 32, "f32", "cast", "hf onnx", false},
    {"f16", &encoding_f16, &method_cast, 16, "f16", "cast", "hf onnx", false},
    {"bf16", &encoding_bf16, &method_cast, 16, "bf16", "cast", "hf onnx", false},
    {"int16", &encoding_int16, &method_rtn, 16, "int16", "rtn", "hf", false},
    {"int8", &encoding_int8, &method_rtn, 8, "int8", "rtn", "hf onnx", false},
    {"int8-tensor", &encoding_int8_tensor, &method_rtn, 8, "int8-tensor", "rtn", "hf onnx", false},
    {"int8-static", &encoding_int8_static, &method_rtn, 8, "int8-static", "rtn", "hf", true},
    {"llm-int8", &encoding_llm_int8, &method_rtn, 8, "llm-int8", "rtn", "hf", false},
    {"nf4", &encoding_nf4, &method_rtn, 4.5, "nf4", "rtn", "hf", false},
    {"nf4-dq", &encoding_nf4_dq, &method_rtn, 4.127, "nf4-dq", "rtn", "hf", false},
    {"int4", &encoding_int4, &method_rtn, 4.25, "int4", "rtn", "hf", false},
    {"int4:gptq", NULL, NULL, 4.25, "int4", "gptq", "", true},
    {"int4:awq", NULL, NULL, 4.25, "int4", "awq", "", true},
    {"q8_0", NULL, NULL, 8.5, "q8_0", "rtn", "", false},
    {"q4_0", NULL, NULL, 4.5, "q4_0", "rtn", "", false},
    {"q4_k", NULL, NULL, 4.5, "q4_k", "rtn", "", false},
    {"q6_k", NULL, NULL, 6.5625, "q6_k", "rtn", "", false},
};

const struct scheme *schemes_all(size_t *count) {
  *count = sizeof schemes / sizeof schemes[0];
  return schemes;
}

enum pare_status scheme_find(const char *name, const struct scheme **out, struct pare_error *err) {
  size_t n = sizeof schemes / sizeof schemes[0];
  for (size_t i = 0; i < n; i++) {
    if (strcmp(schemes[i].name, name) != 0) continue;
    *out = &schemes[i];
    if (schemes[i].encoding) return PARE_OK;
    return error_set(err, PARE_UNAVAILABLE, "scheme %s is not built yet", name);
  }
  struct buf list = {0};
  for (size_t i = 0; i < n; i++)
    if (schemes[i].encoding) buf_printf(&list, "%s%s", list.len ? ", " : "", schemes[i].name);
  error_set(err, PARE_USAGE, "no scheme named \"%.60s\"; there are %s", name, list.data ? list.data : "");
  buf_free(&list);
  return PARE_USAGE;
}

enum pare_status scheme_parse(const char *name, struct scheme_choice *out, struct pare_error *err) {
  static const char prune[] = "+prune=";
  const char *plus = strchr(name, '+');
  *out = (struct scheme_choice){0};
  if (!plus) return scheme_find(name, &out->scheme, err);
  if (strncmp(plus, prune, sizeof prune - 1) != 0)
    return error_set(err, PARE_USAGE, "scheme %.60s: expected +prune=SHARE after the name", name);
  const char *number = plus + sizeof prune - 1;
  char *end;
  out->prune = strtod(number, &end);
  // Written as a plain decimal: no sign, no exponent, no words.
  if (end == number || *end || strspn(number, "0123456789.") != strlen(number) || !(out->prune > 0 && out->prune < 1))
    return error_set(err, PARE_USAGE, "scheme %.60s: prune: expected a share between 0 and 1, found \"%.20s\"", name,
                     number);
  char plain[40];
  if ((size_t)(plus - name) >= sizeof plain) return error_set(err, PARE_USAGE, "no scheme named \"%.60s\"", name);
  snprintf(plain, sizeof plain, "%.*s", (int)(plus - name), name);
  return scheme_find(plain, &out->scheme, err);
}

void scheme_name(const struct scheme_choice *c, char *out, size_t cap) {
  if (c->prune > 0) {
    snprintf(out, cap, "%s+prune=%.6g", c->scheme->name, c->prune);
  } else {
    snprintf(out, cap, "%s", c->scheme->name);
  }
}

json_t *schemes_record(void) {
  json_t *list = json_array();
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    const struct scheme *s = &schemes[i];
    json_t *formats = json_array();
    for (const char *f = s->formats; *f; f += strspn(f, " ")) {
      size_t len = strcspn(f, " ");
      json_array_append_new(formats, json_stringn(f, len));
      f += len;
    }
    json_array_append_new(
        list, json_pack("{s:s, s:f, s:s, s:s, s:b, s:o, s:b}", "name", s->name, "bits_per_weight", s->bits_per_weight,
                        "encoding", s->encoding_name, "method", s->method_name, "calibrated", s->calibrated, "formats",
                        formats, "available", s->encoding != NULL));
  }
  return list;
}
