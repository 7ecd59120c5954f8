// oip_tensors.c - see oip_tensors.h. Nothing is allocated by a shape: the elements that it promises must be there
// first.
#include "oip_tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"

static const struct {
  const char *name;
  size_t bytes; // of an element; BYTES: least
} types[] = {
    [OIP_BYTES] = {"BYTES", 4}, [OIP_INT32] = {"INT32", 4}, [OIP_INT64] = {"INT64", 8}, [OIP_FP32] = {"FP32", 4}};

const char *oip_type_name(enum oip_type type) {
  return types[type].name;
}

// ---- what was sent --------------------------------------------------------------------------------------------------

static const char header_length[] = "Inference-Header-Content-Length";

// Length of the JSON at the beginning of the body. False: answered.
static bool json_length(struct exchange *x, size_t *len) {
  const char *text = x->header ? x->header(x, header_length) : NULL;
  *len = x->body_len;
  if (!text) return true;
  size_t n = 0;
  bool ok = *text != 0;
  for (const char *c = text; ok && *c; c++)
    ok = *c >= '0' && *c <= '9' && size_mul(n, 10, &n) && size_add(n, (size_t)(*c - '0'), &n);
  if (ok && n <= x->body_len) {
    *len = n;
    return true;
  }
  exchange_fail(x, 400, header_length, "%s: expected a length of at most the body's %zu bytes, found '%.40s'",
                header_length, x->body_len, text);
  return false;
}

static bool read_type(struct exchange *x, const json_t *tensor, struct oip_input *in) {
  const char *name = json_string_value(json_object_get(tensor, "datatype"));
  for (size_t t = OIP_BYTES; name && t <= OIP_INT64; t++) {
    if (strcmp(name, types[t].name)) continue;
    in->type = (enum oip_type)t;
    return true;
  }
  exchange_fail(x, 400, "inputs", "input '%.80s': datatype: expected BYTES, INT64 or INT32, found %.40s", in->name,
                name ? name : "no text");
  return false;
}

static bool read_shape(struct exchange *x, const json_t *tensor, struct oip_input *in) {
  const json_t *shape = json_object_get(tensor, "shape");
  in->rank = json_array_size(shape);
  in->count = 1;
  bool ok = json_is_array(shape) && in->rank >= 1 && in->rank <= OIP_RANK;
  for (size_t i = 0; ok && i < in->rank; i++) {
    const json_t *size = json_array_get(shape, i);
    ok = json_is_integer(size) && json_integer_value(size) >= 1;
    in->shape[i] = ok ? (size_t)json_integer_value(size) : 0;
    if (ok && !size_mul(in->count, in->shape[i], &in->count)) {
      exchange_fail(x, 400, "inputs", "input '%.80s': shape: more elements than can be counted", in->name);
      return false;
    }
  }
  if (!ok)
    exchange_fail(x, 400, "inputs", "input '%.80s': shape: expected a list of one or two sizes, each at least 1",
                  in->name);
  return ok;
}

static bool amount_differs(struct exchange *x, const struct oip_input *in, const char *found) {
  exchange_fail(x, 400, "inputs", "input '%.80s': its shape takes %zu elements, found %s", in->name, in->count, found);
  return false;
}

static bool read_json(struct exchange *x, struct oip_input *in) {
  size_t n = json_array_size(in->data);
  char found[80];
  if (!json_is_array(in->data)) {
    exchange_fail(x, 400, "inputs", "input '%.80s': data: expected a list", in->name);
    return false;
  }
  snprintf(found, sizeof found, "%zu", n);
  in->nested = in->rank == 2 && json_is_array(json_array_get(in->data, 0));
  if (!in->nested) return n == in->count || amount_differs(x, in, found);
  snprintf(found, sizeof found, "%zu rows for %zu", n, in->shape[0]);
  if (n != in->shape[0]) return amount_differs(x, in, found);
  for (size_t i = 0; i < n; i++) {
    const json_t *row = json_array_get(in->data, i);
    snprintf(found, sizeof found, "%zu in row %zu, which has %zu", json_array_size(row), i, in->shape[1]);
    if (json_array_size(row) != in->shape[1]) return amount_differs(x, in, found);
  }
  return true;
}

// Takes the tensor's share of what is left of the raw bytes.
static bool read_raw(struct exchange *x, const json_t *size, struct oip_input *in, const char **raw, size_t *left) {
  char found[96];
  if (!json_is_integer(size) || json_integer_value(size) < 0) {
    exchange_fail(x, 400, "inputs", "input '%.80s': binary_data_size: expected a number of bytes", in->name);
    return false;
  }
  uint64_t bytes = (uint64_t)json_integer_value(size);
  if (bytes > *left) {
    exchange_fail(
        x, 400, "inputs",
        "input '%.80s': binary_data_size is %llu, found %zu bytes behind the JSON that %s gives the length of",
        in->name, (unsigned long long)bytes, *left, header_length);
    return false;
  }
  in->raw = (const unsigned char *)*raw;
  in->raw_len = (size_t)bytes;
  *raw += in->raw_len;
  *left -= in->raw_len;
  size_t need;
  bool fits = size_mul(in->count, types[in->type].bytes, &need);
  snprintf(found, sizeof found, "%zu bytes of %s", in->raw_len, types[in->type].name);
  // Texts are looked at one by one; here only what each needs at least.
  if (!fits || (in->type == OIP_BYTES ? need > in->raw_len : need != in->raw_len)) return amount_differs(x, in, found);
  return true;
}

static bool read_input(struct exchange *x, const json_t *tensor, struct oip_input *in, const char **raw, size_t *left) {
  const json_t *name = json_object_get(tensor, "name"), *parameters = json_object_get(tensor, "parameters");
  in->name = json_string_value(name);
  if (!in->name) {
    exchange_fail(x, 400, "inputs", "inputs: expected objects with a name");
    return false;
  }
  if (parameters && !json_is_object(parameters) && !json_is_null(parameters)) {
    exchange_fail(x, 400, "inputs", "input '%.80s': parameters: expected an object", in->name);
    return false;
  }
  if (json_object_get(parameters, "shared_memory_region")) {
    exchange_fail(x, 400, "inputs", "input '%.80s': shared memory is not offered; send the data", in->name);
    return false;
  }
  if (!read_type(x, tensor, in) || !read_shape(x, tensor, in)) return false;
  const json_t *size = json_object_get(parameters, "binary_data_size");
  in->data = json_object_get(tensor, "data");
  if (!in->data == !size) {
    exchange_fail(x, 400, "inputs", "input '%.80s': expected data or parameters.binary_data_size, found %s", in->name,
                  size ? "both" : "neither");
    return false;
  }
  return size ? read_raw(x, size, in, raw, left) : read_json(x, in);
}

const struct oip_input *oip_input_find(const struct oip_inputs *inputs, const char *name) {
  for (size_t i = 0; i < inputs->count; i++)
    if (!strcmp(inputs->list[i].name, name)) return &inputs->list[i];
  return NULL;
}

bool oip_inputs_read(struct exchange *x, struct oip_inputs *out) {
  size_t whole = x->body_len, len;
  *out = (struct oip_inputs){0};
  if (!json_length(x, &len)) return false;
  x->body_len = len;
  const json_t *inputs = json_object_get(exchange_parse(x), "inputs");
  x->body_len = whole;
  const char *raw = x->body + len;
  size_t left = whole - len, n = json_array_size(inputs);
  if (!json_is_array(inputs) || n < 1 || n > OIP_INPUTS) {
    exchange_fail(x, 400, "inputs", "inputs: expected a list of 1 to %d tensors", OIP_INPUTS);
    return false;
  }
  for (size_t i = 0; i < n; i++) {
    struct oip_input in = {0};
    if (!read_input(x, json_array_get(inputs, i), &in, &raw, &left)) return false;
    if (oip_input_find(out, in.name)) {
      exchange_fail(x, 400, "inputs", "input '%.80s' is there twice", in.name);
      return false;
    }
    out->list[out->count++] = in;
  }
  if (left) exchange_fail(x, 400, "inputs", "%zu bytes behind the last input's data", left);
  return !left;
}

static const json_t *element(const struct oip_input *in, size_t i) {
  return in->nested ? json_array_get(json_array_get(in->data, i / in->shape[1]), i % in->shape[1])
                    : json_array_get(in->data, i);
}

static bool bad_element(struct exchange *x, const struct oip_input *in, size_t i, const char *what) {
  exchange_fail(x, 400, "inputs", "input '%.80s', element %zu: %s", in->name, i, what);
  return false;
}

static bool take_text(struct exchange *x, struct job *job, const char *text, size_t len, struct pare_text *out) {
  *out = (struct pare_text){.text = job_strdup(job, text, len), .len = len};
  if (!out->text) exchange_fail(x, 500, NULL, "out of memory");
  return out->text != NULL;
}

static bool raw_texts(struct exchange *x, const struct oip_input *in, struct job *job, struct pare_text *out) {
  const unsigned char *p = in->raw;
  size_t left = in->raw_len;
  for (size_t i = 0; i < in->count; i++) {
    size_t len = left >= 4 ? (size_t)size_read_le(p, 4) : SIZE_MAX;
    if (left < 4 || len > left - 4) return bad_element(x, in, i, "longer than the bytes that are left");
    const char *text = (const char *)p + 4;
    if (utf8_first_bad(text, len) < len) return bad_element(x, in, i, "expected UTF-8");
    if (!take_text(x, job, text, len, &out[i])) return false;
    p += 4 + len;
    left -= 4 + len;
  }
  return !left || bad_element(x, in, in->count, "expected nothing more, found bytes");
}

bool oip_input_texts(struct exchange *x, const struct oip_input *in, struct job *job, struct pare_text *out) {
  if (in->type != OIP_BYTES) {
    exchange_fail(x, 400, "inputs", "input '%.80s': expected BYTES, found %s", in->name, types[in->type].name);
    return false;
  }
  if (!in->data) return raw_texts(x, in, job, out);
  for (size_t i = 0; i < in->count; i++) {
    const json_t *text = element(in, i);
    if (!json_is_string(text)) return bad_element(x, in, i, "expected a text");
    if (!take_text(x, job, json_string_value(text), json_string_length(text), &out[i])) return false;
  }
  return true;
}

bool oip_input_ints(struct exchange *x, const struct oip_input *in, int64_t *out) {
  if (in->type != OIP_INT64 && in->type != OIP_INT32) {
    exchange_fail(x, 400, "inputs", "input '%.80s': expected INT64 or INT32, found %s", in->name, types[in->type].name);
    return false;
  }
  for (size_t i = 0; i < in->count; i++) {
    if (!in->data) {
      out[i] = in->type == OIP_INT64 ? (int64_t)size_read_le(in->raw + 8 * i, 8)
                                     : (int32_t)(uint32_t)size_read_le(in->raw + 4 * i, 4);
      continue;
    }
    const json_t *number = element(in, i);
    if (!json_is_integer(number)) return bad_element(x, in, i, "expected a whole number");
    out[i] = json_integer_value(number);
  }
  return true;
}

// ---- what is answered -----------------------------------------------------------------------------------------------

static void write_tensor(struct oip_writer *w, const char *name, enum oip_type type, struct oip_shape shape,
                         json_t *data, size_t raw_len) {
  json_t *sizes = json_array(), *tensor;
  for (size_t i = 0; i < shape.rank; i++) json_array_append_new(sizes, json_integer((json_int_t)shape.size[i]));
  tensor = json_pack("{s:s, s:s, s:o}", "name", name, "datatype", types[type].name, "shape", sizes);
  int bad =
      data ? json_object_set_new(tensor, "data", data)
           : json_object_set_new(tensor, "parameters", json_pack("{s:I}", "binary_data_size", (json_int_t)raw_len));
  w->binary = w->binary || !data;
  if (!w->outputs) w->outputs = json_array();
  w->failed = json_array_append_new(w->outputs, tensor) || bad || w->failed;
}

static size_t count_of(struct oip_shape shape) {
  size_t n = 1;
  for (size_t i = 0; i < shape.rank; i++) n *= shape.size[i]; // of arrays that are in memory
  return n;
}

static void add_le(struct buf *b, uint32_t n) {
  const char bytes[4] = {(char)(n & 255), (char)(n >> 8 & 255), (char)(n >> 16 & 255), (char)(n >> 24)};
  buf_add(b, bytes, sizeof bytes);
}

void oip_write_floats(struct oip_writer *w, const char *name, bool binary, struct oip_shape shape,
                      const float *values) {
  size_t n = count_of(shape);
  json_t *data = binary ? NULL : json_array();
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    if (binary) {
      add_le(&w->raw, bits);
    } else {
      json_array_append_new(data, json_real((double)values[i]));
    }
  }
  if (!binary && json_array_size(data) != n) w->failed = true;
  write_tensor(w, name, OIP_FP32, shape, data, n * sizeof(float));
}

void oip_write_texts(struct oip_writer *w, const char *name, bool binary, struct oip_shape shape,
                     const struct pare_text *texts) {
  size_t n = count_of(shape), bytes = 0;
  json_t *data = binary ? NULL : json_array();
  for (size_t i = 0; i < n; i++) {
    bytes += 4 + texts[i].len;
    if (binary) {
      add_le(&w->raw, (uint32_t)texts[i].len);
      buf_add(&w->raw, texts[i].text, texts[i].len);
    } else {
      json_array_append_new(data, json_stringn(texts[i].text, texts[i].len));
    }
  }
  if (!binary && json_array_size(data) != n) w->failed = true;
  write_tensor(w, name, OIP_BYTES, shape, data, bytes);
}

void oip_write_end(struct exchange *x, struct oip_writer *w, json_t *head) {
  bool failed = json_object_set_new(head, "outputs", w->outputs) || w->failed || w->raw.failed;
  if (failed) {
    json_decref(head);
    exchange_fail(x, 500, NULL, "the answer could not be written: no memory, or the model gave what is no number");
  } else {
    exchange_json(x, 200, head);
    if (w->binary) {
      exchange_header_set(x, header_length, "%zu", x->out.len);
      buf_add(&x->out, w->raw.data, w->raw.len);
      exchange_reply(x, 200, "application/octet-stream");
    }
  }
  buf_free(&w->raw);
}
