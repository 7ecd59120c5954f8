// serve.c - what a server adds to the engine: each line of a file is classified here by pare_classify and asked of a
// running server over one keep-alive connection, in turns, so that both see the same machine.
//   micro_serve MODEL HOST:PORT NAME TEXTS [rounds]
// prints the medians of both and of the difference between a text's two times, in milliseconds, as one JSON object.
#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "pare.h"

enum { TEXTS_MAX = 1000, ANSWER_MAX = 1 << 16 };
// Before each of the two: the threads of the other spin for a while after they computed, on the cores both share.
enum { PAUSE_US = 500 };

static void must(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "micro_serve: %s\n", what);
  exit(70);
}

static int connect_to(const char *address) {
  char host[64] = {0};
  const char *colon = strrchr(address, ':');
  must(colon && (size_t)(colon - address) < sizeof host, "expected HOST:PORT");
  memcpy(host, address, (size_t)(colon - address));
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
  must(inet_pton(AF_INET, host, &at.sin_addr) == 1, "expected a numeric address");
  int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  must(fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof at), "cannot connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

// Sends the request and reads the whole answer.
static void ask(int fd, const char *request, size_t len) {
  static char answer[ANSWER_MAX];
  must(write(fd, request, len) == (ssize_t)len, "cannot send");
  size_t have = 0, want = SIZE_MAX;
  while (have < want) {
    ssize_t n = read(fd, answer + have, sizeof answer - 1 - have);
    must(n > 0, "the server hung up");
    have += (size_t)n;
    answer[have] = 0;
    const char *end = strstr(answer, "\r\n\r\n"), *length = strcasestr(answer, "content-length:");
    if (end && length) want = (size_t)(end + 4 - answer) + strtoul(length + 15, NULL, 10);
  }
  must(!strncmp(answer, "HTTP/1.1 200", 12), "expected status 200");
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double mean(const double *values, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += values[i];
  return sum / (double)n;
}

static double median(double *values, size_t n) {
  qsort(values, n, sizeof *values, by_value);
  return values[n / 2];
}

int main(int argc, char **argv) {
  must(argc >= 5, "usage: micro_serve MODEL HOST:PORT NAME TEXTS [rounds]");
  size_t rounds = argc > 5 ? strtoul(argv[5], NULL, 10) : 3, n = 0;
  struct pare_error err = {0};
  pare_engine *engine;
  pare_model *model;
  pare_session *session;
  must(!pare_engine_open(NULL, &engine, &err) && !pare_model_open(engine, argv[1], &model, &err) &&
           !pare_session_open(model, NULL, &session, &err),
       err.text);
  static char line[1 << 16];
  static struct pare_text texts[TEXTS_MAX];
  static char *requests[TEXTS_MAX];
  FILE *f = fopen(argv[4], "r");
  must(f != NULL, "cannot read the texts");
  while (n < TEXTS_MAX && fgets(line, sizeof line, f)) {
    size_t len = strcspn(line, "\n");
    char *text = strndup(line, len), *json = json_dumps(json_string(text), JSON_ENCODE_ANY);
    texts[n] = (struct pare_text){.text = text, .len = len};
    must(json &&
             asprintf(&requests[n], "POST /models/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n{\"inputs\":%s}",
                      argv[3], strlen(json) + 11, json) > 0,
         "out of memory");
    free(json);
    n++;
  }
  fclose(f);
  int fd = connect_to(argv[2]);
  size_t all = n * rounds;
  double *bare = calloc(all, sizeof *bare), *served = calloc(all, sizeof *served), *more = calloc(all, sizeof *more);
  float *scores = calloc(pare_classify_label_count(model, NULL), sizeof *scores);
  for (size_t i = 0; i < all; i++) {
    uint64_t start = clock_ns();
    must(!pare_classify(session, &texts[i % n], 1, NULL, scores, NULL, &err), err.text);
    bare[i] = (double)(clock_ns() - start) * 1e-6;
    usleep(PAUSE_US);
    start = clock_ns();
    ask(fd, requests[i % n], strlen(requests[i % n]));
    served[i] = (double)(clock_ns() - start) * 1e-6;
    more[i] = served[i] - bare[i];
    usleep(PAUSE_US);
  }
  double bare_mean = mean(bare, all), served_mean = mean(served, all);
  printf("{\"texts\": %zu, \"rounds\": %zu, \"bare_mean_ms\": %.4f, \"served_mean_ms\": %.4f, ", n, rounds, bare_mean,
         served_mean);
  printf("\"bare_ms\": %.4f, \"served_ms\": %.4f, \"overhead_ms\": %.4f}\n", median(bare, all), median(served, all),
         median(more, all));
  return 0;
}
