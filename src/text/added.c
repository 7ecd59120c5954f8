// added.c - a byte trie walked from every position where some token may start.
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

const struct added_token *added_by_id(const struct added *a, uint32_t id) {
  return id < a->by_id_len && a->by_id[id] ? &a->list[a->by_id[id] - 1] : NULL;
}

const struct added_token *added_by_content(const struct added *a, const char *content, size_t len) {
  int64_t id = vocab_find(&a->by_content, content, len);
  return id < 0 ? NULL : added_by_id(a, (uint32_t)id);
}

static bool reserve(struct added *a, uint32_t id) {
  if (a->count == a->cap) {
    size_t cap = a->cap ? a->cap * 2 : 16;
    struct added_token *list = realloc(a->list, cap * sizeof *list);
    if (!list) return false;
    a->list = list;
    a->cap = cap;
  }
  if (id >= a->by_id_len) {
    size_t len = size_max((size_t)id + 1, a->by_id_len * 2);
    uint32_t *by_id = realloc(a->by_id, len * sizeof *by_id);
    if (!by_id) return false;
    memset(by_id + a->by_id_len, 0, (len - a->by_id_len) * sizeof *by_id);
    a->by_id = by_id;
    a->by_id_len = len;
  }
  return true;
}

static enum pare_status append(struct added *a, const struct added_token *token, uint32_t id, struct pare_error *err) {
  char *content = malloc(token->len + 1);
  if (!content || !reserve(a, id)) {
    free(content);
    return error_no_memory(err);
  }
  memcpy(content, token->content, token->len);
  content[token->len] = 0;
  enum vocab_result r = vocab_put(&a->by_content, content, token->len, id);
  if (r != VOCAB_OK) {
    enum pare_status status =
        r == VOCAB_NO_MEMORY
            ? error_no_memory(err)
            : error_set(err, PARE_DATA, "added token \"%s\" cannot have id %u, which another one has", content, id);
    free(content);
    return status;
  }
  a->list[a->count] = *token;
  a->list[a->count].content = content;
  a->list[a->count].id = id;
  a->list[a->count].matched = NULL;
  a->by_id[id] = (uint32_t)++a->count;
  return PARE_OK;
}

enum pare_status added_put(struct added *a, const struct vocab *model, const struct added_token *token, int64_t *id,
                           struct pare_error *err) {
  *id = -1;
  if (token->len == 0) return PARE_OK;
  if (token->len > ADDED_MAX_BYTES) {
    return error_set(err, PARE_DATA, "added token of %zu bytes is longer than the limit, %d", token->len,
                     ADDED_MAX_BYTES);
  }
  *id = vocab_find(&a->by_content, token->content, token->len);
  if (*id >= 0) {
    struct added_token *known = &a->list[a->by_id[*id] - 1];
    known->single_word = token->single_word;
    known->lstrip = token->lstrip;
    known->rstrip = token->rstrip;
    known->normalized = token->normalized;
    known->special |= token->special;
    return PARE_OK;
  }
  *id = vocab_find(model, token->content, token->len);
  if (*id < 0) {
    *id = (int64_t)size_max(a->by_content.size, model->count);
    bool taken = vocab_piece(model, (uint32_t)*id, NULL) != NULL;
    if (taken || *id >= VOCAB_MAX_ID) {
      return error_set(err, PARE_DATA, "added token \"%s\" would get id %lld, which is %s", token->content,
                       (long long)*id, taken ? "a piece of the model's" : "too large");
    }
  }
  return append(a, token, (uint32_t)*id, err);
}

static bool new_node(struct added_trie *t, uint8_t byte, uint32_t *link) {
  if (t->count + 1 >= t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 64;
    struct added_node *nodes = realloc(t->nodes, cap * sizeof *nodes);
    if (!nodes) return false;
    t->nodes = nodes;
    t->cap = cap;
    if (t->count == 0) nodes[t->count++] = (struct added_node){0};
  }
  t->nodes[t->count] = (struct added_node){.byte = byte};
  *link = (uint32_t)t->count++;
  return true;
}

static uint32_t find_child(const struct added_trie *t, uint32_t node, uint8_t byte) {
  uint32_t child = t->nodes[node].child;
  while (child && t->nodes[child].byte != byte) child = t->nodes[child].sibling;
  return child;
}

// *seen: the token that already ends there + 1, or 0. False: out of memory.
static bool trie_put(struct added_trie *t, const char *text, size_t len, uint32_t token1, uint32_t *seen) {
  uint32_t node = t->root[(uint8_t)text[0]];
  if (!node) {
    if (!new_node(t, (uint8_t)text[0], &node)) return false;
    t->root[(uint8_t)text[0]] = node;
  }
  for (size_t i = 1; i < len; i++) {
    uint32_t child = find_child(t, node, (uint8_t)text[i]);
    if (!child) {
      if (!new_node(t, (uint8_t)text[i], &child)) return false;
      t->nodes[child].sibling = t->nodes[node].child;
      t->nodes[node].child = child;
    }
    node = child;
  }
  *seen = t->nodes[node].token1;
  if (!*seen) t->nodes[node].token1 = token1;
  return true;
}

static bool set_matched(struct added_token *token, const struct normalizer *normalizers, size_t count,
                        struct normalize_scratch *scratch) {
  const char *text = token->content;
  size_t len = token->len;
  if (token->normalized && !normalize_text(normalizers, count, token->content, token->len, scratch, &text, &len)) {
    return false;
  }
  token->matched = malloc(len + 1);
  if (!token->matched) return false;
  memcpy(token->matched, text, len);
  token->matched[len] = 0;
  token->matched_len = len;
  return true;
}

enum pare_status added_finish(struct added *a, const struct normalizer *normalizers, size_t count,
                              struct pare_error *err) {
  struct normalize_scratch scratch = {0};
  enum pare_status status = PARE_OK;
  for (size_t i = 0; i < a->count && status == PARE_OK; i++) {
    struct added_token *token = &a->list[i];
    uint32_t seen = 0;
    if (!set_matched(token, normalizers, count, &scratch)) {
      status = error_no_memory(err);
    } else if (token->matched_len == 0) {
      status = error_set(err, PARE_DATA, "added token \"%s\" is empty once normalized", token->content);
    } else if (!trie_put(token->normalized ? &a->normalized : &a->raw, token->matched, token->matched_len,
                         (uint32_t)i + 1, &seen)) {
      status = error_no_memory(err);
    } else if (seen) {
      status = error_set(err, PARE_DATA, "added tokens \"%s\" and \"%s\" match the same text",
                         a->list[seen - 1].content, token->content);
    }
  }
  normalize_scratch_free(&scratch);
  return status;
}

const struct added_token *added_search(const struct added *a, const struct added_trie *trie, struct text_span text,
                                       size_t *start, size_t *end) {
  if (!trie->count) return NULL;
  for (size_t i = *start; i < text.len; i++) {
    uint32_t node = trie->root[(uint8_t)text.data[i]], found = 0;
    for (size_t j = i + 1; node; j++) {
      if (trie->nodes[node].token1) {
        found = trie->nodes[node].token1;
        *end = j;
      }
      node = j < text.len ? find_child(trie, node, (uint8_t)text.data[j]) : 0;
    }
    if (!found) continue;
    *start = i;
    return &a->list[found - 1];
  }
  return NULL;
}

void added_free(struct added *a) {
  for (size_t i = 0; i < a->count; i++) {
    free(a->list[i].content);
    free(a->list[i].matched);
  }
  free(a->list);
  free(a->by_id);
  vocab_free(&a->by_content);
  free(a->raw.nodes);
  free(a->normalized.nodes);
  *a = (struct added){0};
}
