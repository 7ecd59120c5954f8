// job.c - see job.h.
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include "models.h"

struct job_block {
  struct job_block *next;
  _Alignas(16) unsigned char bytes[];
};

void *job_alloc(struct job *job, size_t bytes) {
  if (bytes > SIZE_MAX - sizeof(struct job_block)) return NULL;
  struct job_block *b = calloc(1, sizeof *b + bytes);
  if (!b) return NULL;
  b->next = job->blocks;
  job->blocks = b;
  return b->bytes;
}

char *job_strdup(struct job *job, const char *text, size_t len) {
  char *copy = job_alloc(job, len + 1);
  if (copy && len) memcpy(copy, text, len);
  return copy;
}

struct job *job_new(struct served *served, enum job_op op, size_t count) {
  struct job *job = calloc(1, sizeof *job);
  if (!job) return NULL;
  job->op = op;
  job->count = count;
  atomic_init(&job->holds, 1);
  pthread_mutex_init(&job->lock, NULL);
  job->items = count <= SIZE_MAX / sizeof *job->items ? job_alloc(job, count * sizeof *job->items) : NULL;
  if (!job->items) {
    job_free(job);
    return NULL;
  }
  served_hold(served);
  job->served = served;
  return job;
}

struct job *job_hold(struct job *job) {
  atomic_fetch_add_explicit(&job->holds, 1, memory_order_relaxed);
  return job;
}

void job_free(struct job *job) {
  if (!job || atomic_fetch_sub(&job->holds, 1) != 1) return;
  for (size_t i = 0; job->items && i < job->count; i++) {
    struct job_item *item = &job->items[i];
    free(item->output);
    free(item->output_ids);
    free(item->ends);
    free(item->logprobs);
    free(item->tops);
  }
  for (struct job_block *b = job->blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  served_release(job->served);
  pthread_mutex_destroy(&job->lock);
  free(job);
}

json_t *job_floats(const float *values, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++)
    if (json_array_append_new(list, json_real((double)values[i]))) {
      json_decref(list);
      return NULL;
    }
  return list;
}

const char *job_variant(struct job *job) {
  pthread_mutex_lock(&job->lock);
  const char *name = job->form ? variant_name(job->variant) : NULL;
  pthread_mutex_unlock(&job->lock);
  return name;
}

size_t job_labels(const struct job *job) {
  return pare_classify_label_count(served_model(job->served), &job->classify);
}

const char *job_label(const struct job *job, size_t i) {
  return job->classify.labels ? job->classify.labels[i] : pare_model_label(served_model(job->served), i);
}

enum { FEW = 16 };

// The first few are kept in order as the labels pass. More: merge sort from runs of one, stable, and no slower for a
// thousand labels than it should be.
void job_order(const struct job *job, const struct job_item *item, size_t most, size_t *order) {
  size_t n = job_labels(job);
  const float *s = item->scores;
  if (n <= FEW || most <= FEW) {
    for (size_t i = 0, have = 0; i < n && most; i++) {
      if (have == most && !(s[order[have - 1]] < s[i])) continue;
      size_t at = have < most ? have++ : have - 1;
      for (; at > 0 && s[order[at - 1]] < s[i]; at--) order[at] = order[at - 1];
      order[at] = i;
    }
    return;
  }
  for (size_t i = 0; i < n; i++) order[i] = i;
  size_t *other = malloc(n * sizeof *other);
  if (!other) return; // label order, which is an order too
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t first = 0; first < n; first += 2 * width) {
      size_t middle = first + width < n ? first + width : n, end = middle + width < n ? middle + width : n;
      size_t a = first, b = middle;
      for (size_t k = first; k < end; k++)
        other[k] = b >= end || (a < middle && !(s[order[b]] > s[order[a]])) ? order[a++] : order[b++];
    }
    memcpy(order, other, n * sizeof *order);
  }
  free(other);
}
