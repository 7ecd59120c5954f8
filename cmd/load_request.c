// load_request.c - what `pare load` sends: URL, headers, and a body for every text, written beforehand.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/rng.h"
#include "base/size.h"
#include "load.h"

// The path a kind has of its own (%s: the model), and how a path that was given shows its kind.
struct kind {
  const char *name, *path, *stream_path, *begins, *ends;
  bool counts_tokens;
};
static const struct kind kinds[] = {
    {"classify", "/v1/classify", NULL, "/v1/classify", "", false},
    {"hf", "/models/%s", NULL, "/models/", "", false},
    {"infer", "/v2/models/%s/infer", NULL, "/v2/models/", "/infer", false},
    {"completions", "/v1/completions", "/v1/completions", "/v1/completions", "", true},
    {"generate", "/v2/models/%s/generate", "/v2/models/%s/generate_stream", "/v2/models/", "/generate", true},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };
static const char place[] = "{text}";

static const char *kind_name(const void *list, size_t i) {
  return ((const struct kind *)list)[i].name;
}

static void json_text(struct buf *b, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c == '"' || c == '\\') {
      buf_printf(b, "\\%c", c);
    } else if (c < 0x20) {
      buf_printf(b, "\\u%04x", c);
    } else {
      buf_add(b, text + i, 1);
    }
  }
}

// ---- URL ----

// A name other than localhost may lead anywhere, today or after the next change of an address book.
static bool is_loopback(const char *host) {
  char bare[INET6_ADDRSTRLEN] = "";
  struct in_addr v4;
  struct in6_addr v6;
  if (strcmp(host, "localhost") == 0) return true;
  if (inet_pton(AF_INET, host, &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  size_t len = strlen(host);
  if (host[0] != '[' || len - 2 >= sizeof bare) return false;
  memcpy(bare, host + 1, len - 2);
  return inet_pton(AF_INET6, bare, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static enum pare_status check_host(CURLU *u, const struct load_request_options *o, struct pare_error *err) {
  char *scheme = NULL, *host = NULL;
  enum pare_status status = PARE_OK;
  if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) || curl_url_get(u, CURLUPART_HOST, &host, 0)) {
    status = error_set(err, PARE_USAGE, "%s: expected a URL like http://127.0.0.1:8080", o->url);
  } else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) {
    status = error_set(err, PARE_USAGE, "%s: expected http or https, found %s", o->url, scheme);
  } else if (!o->remote && !is_loopback(host)) {
    status = error_set(err, PARE_USAGE,
                       "%s: %s is not this machine. A load test may bring a server down: --remote says you mean it",
                       o->url, host);
  }
  curl_free(scheme);
  curl_free(host);
  return status;
}

static const struct kind *kind_of_path(const char *path) {
  for (size_t i = 0; i < KIND_COUNT; i++) {
    size_t len = strlen(path), ends = strlen(kinds[i].ends);
    if (strncmp(path, kinds[i].begins, strlen(kinds[i].begins)) != 0) continue;
    if (len >= ends && strcmp(path + len - ends, kinds[i].ends) == 0) return &kinds[i];
  }
  size_t len = strlen(path), stream = strlen("/generate_stream");
  return len > stream && strcmp(path + len - stream, "/generate_stream") == 0 ? &kinds[KIND_COUNT - 1] : NULL;
}

static enum pare_status find_kind(const struct load_request_options *o, const char *path, bool has_path,
                                  const struct kind **out, struct pare_error *err) {
  for (size_t i = 0; o->kind && i < KIND_COUNT; i++) {
    if (strcmp(o->kind, kinds[i].name) == 0) *out = &kinds[i];
  }
  if (o->kind && *out) return PARE_OK;
  if (o->kind) {
    const char *near = nearest_name(o->kind, kinds, KIND_COUNT, kind_name);
    return error_set(err, PARE_USAGE, "--kind: expected classify, hf, infer, completions or generate, found '%s'%s%s",
                     o->kind, near ? "; did you mean " : "", near ? near : "");
  }
  *out = has_path ? kind_of_path(path) : &kinds[0];
  if (*out) return PARE_OK;
  return error_set(err, PARE_USAGE, "%s: --kind NAME or --body TEMPLATE must say what %s takes", o->url, path);
}

static enum pare_status set_kind_path(CURLU *u, const struct kind *kind, const struct load_request_options *o,
                                      struct pare_error *err) {
  const char *form = o->stream ? kind->stream_path : kind->path;
  if (strstr(form, "%s") && !o->model)
    return error_set(err, PARE_USAGE, "--kind %s: --model NAME is part of the path", kind->name);
  struct buf path = {0};
  size_t before = strcspn(form, "%");
  buf_add(&path, form, before);
  if (form[before]) {
    buf_puts(&path, o->model);
    buf_puts(&path, form + before + 2);
  }
  enum pare_status status = PARE_OK;
  if (path.failed || curl_url_set(u, CURLUPART_PATH, path.data, CURLU_URLENCODE)) status = error_no_memory(err);
  buf_free(&path);
  return status;
}

// ---- bodies ----

static void add_model(struct buf *b, const char *model) {
  if (!model) return;
  buf_puts(b, "\"model\":\"");
  json_text(b, model, strlen(model));
  buf_puts(b, "\",");
}

// The body of a kind as a template, as --body gives one.
static void kind_template(const struct kind *kind, const struct load_request_options *o, struct buf *b) {
  size_t most = o->max_tokens;
  if (strcmp(kind->name, "classify") == 0) {
    buf_puts(b, "{");
    add_model(b, o->model);
    buf_puts(b, "\"input\":\"{text}\"}");
  } else if (strcmp(kind->name, "hf") == 0) {
    buf_puts(b, "{\"inputs\":\"{text}\"}");
  } else if (strcmp(kind->name, "infer") == 0) {
    buf_puts(b, "{\"inputs\":[{\"name\":\"text\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"{text}\"]}]}");
  } else if (strcmp(kind->name, "generate") == 0) {
    buf_printf(b, "{\"text_input\":\"{text}\",\"parameters\":{\"max_tokens\":%zu}}", most);
  } else {
    buf_puts(b, "{");
    add_model(b, o->model);
    buf_printf(b, "\"prompt\":\"{text}\",\"max_tokens\":%zu%s}", most,
               o->stream ? ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" : "");
  }
}

static void fill_template(struct buf *b, const char *form, const char *text, size_t len) {
  for (const char *at; (at = strstr(form, place)); form = at + strlen(place)) {
    buf_add(b, form, (size_t)(at - form));
    json_text(b, text, len);
  }
  buf_puts(b, form);
}

static enum pare_status write_bodies(const struct load_request_options *o, const char *form, struct load_request *out,
                                     struct pare_error *err) {
  pare_dataset *data = NULL;
  enum pare_status status = PARE_OK;
  out->count = 1;
  if (o->data) {
    struct pare_dataset_options options = {.text_column = o->text_column, .limit = o->limit};
    status = pare_dataset_open(o->data, &options, &data, err);
    if (status != PARE_OK) return status;
    out->count = pare_dataset_rows(data);
    if (out->count == 0) status = error_set(err, PARE_DATA, "%s: expected texts, found none", o->data);
  }
  if (status == PARE_OK) {
    out->starts = calloc(out->count + 1, sizeof *out->starts);
    out->order = calloc(out->count, sizeof *out->order);
    if (!out->starts || !out->order) status = error_no_memory(err);
  }
  for (size_t i = 0; status == PARE_OK && i < out->count; i++) {
    struct pare_text text = data ? pare_dataset_text(data, i) : (struct pare_text){.text = ""};
    if (form) fill_template(&out->bodies, form, text.text, text.len);
    out->starts[i + 1] = out->bodies.len;
    out->order[i] = i;
    if (out->bodies.failed) status = error_no_memory(err);
  }
  pare_dataset_close(data);
  if (status != PARE_OK || !o->shuffle) return status;
  struct rng rng;
  rng_seed(&rng, o->seed);
  rng_shuffle(&rng, out->order, out->count);
  return PARE_OK;
}

// ---- headers ----

static bool add_header(struct load_request *out, const char *line) {
  struct curl_slist *list = curl_slist_append(out->headers, line);
  if (list) out->headers = list;
  return list != NULL;
}

static bool is_given(const struct args_list *headers, const char *name) {
  for (size_t i = 0; i < headers->count; i++) {
    if (strncasecmp(headers->items[i], name, strlen(name)) == 0 && headers->items[i][strlen(name)] == ':') return true;
  }
  return false;
}

static enum pare_status add_key(const char *key, size_t len, struct load_request *out, struct pare_error *err) {
  struct buf line = {0};
  buf_puts(&line, "Authorization: Bearer ");
  buf_add(&line, key, len);
  bool good = !line.failed && add_header(out, line.data);
  buf_free(&line);
  return good ? PARE_OK : error_no_memory(err);
}

static enum pare_status add_api_key(const struct load_request_options *o, struct load_request *out,
                                    struct pare_error *err) {
  if (o->api_key && o->api_key_file)
    return error_set(err, PARE_USAGE, "expected --api-key or --api-key-file, found both");
  if (o->api_key && (!o->api_key[0] || o->api_key[strcspn(o->api_key, "\r\n")]))
    return error_set(err, PARE_USAGE, "--api-key: expected one line of text");
  if (o->api_key) return add_key(o->api_key, strlen(o->api_key), out, err);
  if (!o->api_key_file) return PARE_OK;
  struct mapping file;
  enum pare_status status = file_map(o->api_key_file, &file, err);
  if (status != PARE_OK) return status;
  size_t len = 0;
  while (len < file.len && file.data[len] >= 0x20 && file.data[len] < 0x7f) len++;
  if (len == 0 || (len < file.len && file.data[len] != '\n' && file.data[len] != '\r')) {
    status = error_set(err, PARE_DATA, "%s line 1: expected a key in printable ASCII", o->api_key_file);
  } else {
    status = add_key((const char *)file.data, len, out, err);
  }
  file_unmap(&file);
  return status;
}

static enum pare_status write_headers(const struct load_request_options *o, struct load_request *out,
                                      struct pare_error *err) {
  bool good = true;
  for (size_t i = 0; i < o->headers->count; i++) {
    const char *h = o->headers->items[i];
    if (h[0] == ':' || !strchr(h, ':') || h[strcspn(h, "\r\n")])
      return error_set(err, PARE_USAGE, "--header: expected \"Name: value\", found '%s'", h);
    good = good && add_header(out, h);
  }
  // curl would ask before it sends a body of a megabyte, and wait for the answer.
  good = good && add_header(out, "Expect:");
  if (out->post && !is_given(o->headers, "Content-Type"))
    good = good && add_header(out, "Content-Type: application/json");
  return good ? add_api_key(o, out, err) : error_no_memory(err);
}

static enum pare_status check_together(const struct load_request_options *o, struct pare_error *err) {
  if (o->kind && o->body)
    return error_set(err, PARE_USAGE, "--kind writes the body: expected it or --body, found both");
  if (o->kind && !o->data) return error_set(err, PARE_USAGE, "--kind %s: --data FILE must give the texts", o->kind);
  if (o->body && strstr(o->body, place) && !o->data)
    return error_set(err, PARE_USAGE, "--body: --data FILE must give the texts for {text}");
  if (o->body && !strstr(o->body, place) && o->data)
    return error_set(err, PARE_USAGE, "--body: expected {text} in it, where --data's texts go");
  if (!o->data && (o->shuffle || o->text_column || o->limit))
    return error_set(err, PARE_USAGE, "--shuffle, --text-column and --limit go with --data");
  return PARE_OK;
}

static enum pare_status open_post(CURLU *u, const struct load_request_options *o, struct load_request *out,
                                  struct pare_error *err) {
  char *path = NULL;
  const struct kind *kind = NULL;
  struct buf form = {0};
  if (curl_url_get(u, CURLUPART_PATH, &path, 0)) return error_no_memory(err);
  bool has_path = strcmp(path, "/") != 0;
  enum pare_status status = o->body ? PARE_OK : find_kind(o, path, has_path, &kind, err);
  const struct kind *by_path = kind_of_path(path); // tells of a --body of one's own whether its answers count tokens
  curl_free(path);
  out->counts_tokens = kind ? kind->counts_tokens : o->stream || (by_path && by_path->counts_tokens);
  if (status == PARE_OK && o->stream && !out->counts_tokens)
    status = error_set(err, PARE_USAGE, "--stream goes with --kind completions or generate, or with --body");
  if (status == PARE_OK && kind && !has_path) status = set_kind_path(u, kind, o, err);
  if (status == PARE_OK && kind) kind_template(kind, o, &form);
  if (form.failed) status = error_no_memory(err);
  if (status == PARE_OK) status = write_bodies(o, kind ? form.data : o->body, out, err);
  buf_free(&form);
  return status;
}

enum pare_status load_request_open(const struct load_request_options *o, struct load_request *out,
                                   struct pare_error *err) {
  *out = (struct load_request){.post = o->data || o->body, .stream = o->stream};
  enum pare_status status = check_together(o, err);
  if (status == PARE_OK && o->stream && !out->post)
    status = error_set(err, PARE_USAGE, "--stream goes with --data or --body");
  if (status != PARE_OK) return status;
  CURLU *u = curl_url();
  if (!u) return error_no_memory(err);
  if (curl_url_set(u, CURLUPART_URL, o->url, CURLU_GUESS_SCHEME))
    status = error_set(err, PARE_USAGE, "%s: expected a URL like http://127.0.0.1:8080", o->url);
  if (status == PARE_OK) status = check_host(u, o, err);
  if (status == PARE_OK) status = out->post ? open_post(u, o, out, err) : write_bodies(o, NULL, out, err);
  if (status == PARE_OK) status = write_headers(o, out, err);
  char *url = NULL;
  if (status == PARE_OK && curl_url_get(u, CURLUPART_URL, &url, 0)) status = error_no_memory(err);
  if (status == PARE_OK && !(out->url = strdup(url))) status = error_no_memory(err);
  curl_free(url);
  curl_url_cleanup(u);
  return status;
}

void load_request_close(struct load_request *r) {
  curl_slist_free_all(r->headers);
  buf_free(&r->bodies);
  free(r->starts);
  free(r->order);
  free(r->url);
  *r = (struct load_request){0};
}
