// log.c - see log.h.
#include "log.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/thread.h"

enum { PENDING_MAX = 1 << 20 };

struct log {
  int fd;
  pthread_t writer;
  pthread_mutex_t lock;
  pthread_cond_t work;
  struct buf pending;
  size_t dropped;
  bool stop;
};

static void write_all(int fd, const char *bytes, size_t len) {
  while (len) {
    ssize_t n = write(fd, bytes, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return; // a log that cannot be written is no reason to stop serving
    bytes += n;
    len -= (size_t)n;
  }
}

static void *writer_main(void *arg) {
  struct log *l = arg;
  struct buf out = {0};
  pthread_mutex_lock(&l->lock);
  for (;;) {
    while (!l->pending.len && !l->stop) pthread_cond_wait(&l->work, &l->lock);
    if (!l->pending.len) break;
    struct buf full = l->pending;
    l->pending = out; // the two change places, so that neither grows anew
    l->pending.len = 0;
    pthread_mutex_unlock(&l->lock);
    write_all(l->fd, full.data, full.len);
    out = full;
    pthread_mutex_lock(&l->lock);
  }
  pthread_mutex_unlock(&l->lock);
  buf_free(&out);
  return NULL;
}

struct log *log_open(int fd) {
  struct log *l = calloc(1, sizeof *l);
  if (!l) return NULL;
  l->fd = fd;
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->work, NULL);
  if (!thread_start(&l->writer, writer_main, l)) return l;
  free(l);
  return NULL;
}

void log_close(struct log *l) {
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  l->stop = true;
  pthread_cond_signal(&l->work);
  pthread_mutex_unlock(&l->lock);
  pthread_join(l->writer, NULL);
  pthread_cond_destroy(&l->work);
  pthread_mutex_destroy(&l->lock);
  buf_free(&l->pending);
  free(l);
}

void log_time(char out[LOG_TIME]) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  size_t n = strftime(out, LOG_TIME, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(out + n, LOG_TIME - n, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

void log_line(struct log *l, const char *line, size_t len) {
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  if (l->pending.len + len > PENDING_MAX) {
    l->dropped++;
  } else {
    if (l->dropped) buf_printf(&l->pending, "{\"event\":\"log_dropped\",\"lines\":%zu}\n", l->dropped);
    l->dropped = 0;
    buf_add(&l->pending, line, len);
    buf_add(&l->pending, "\n", 1);
    if (l->pending.failed) l->pending = (struct buf){0};
    pthread_cond_signal(&l->work);
  }
  pthread_mutex_unlock(&l->lock);
}

void log_event(struct log *l, const char *level, const char *event, json_t *fields) {
  char now[LOG_TIME];
  log_time(now);
  json_t *line = json_pack("{s:s, s:s, s:s}", "time", now, "level", level, "event", event);
  if (line && fields) json_object_update_missing(line, fields);
  char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  if (text) log_line(l, text, strlen(text));
  free(text);
  json_decref(line);
  json_decref(fields);
}
