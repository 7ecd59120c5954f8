// http_server.c - an HTTP/1.1 server for tests of clients: its path says what it does. 127.0.0.1, any free port, which
// is the one line it prints; a thread per connection; ends with its parent. An argument names a file that gets a line
// per request: method, path, Authorization or -, body.
//   /status/N         answers with status N
//   /delay/MS         answers MS later
//   /serial/MS        answers one request at a time over all connections, MS each: capacity 1000 / MS per second
//   /every/N/STATUS   answers every Nth of these requests with STATUS
//   /close            closes the connection instead of answering
//   /last             answers, then closes the connection
//   /rude             answers, then closes the connection without having said so
//   /hang             never answers
//   /sse/N/MS         N events of text, MS between them, then the usage (2 N tokens) and [DONE]
//   /sse-error        one event of text, then an error
//   /v1/completions   /sse/4/0 when the body asks for a stream, else a usage of 7 tokens
//   anything else     200
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 16, STACK = 1 << 18 };
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER, serial_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;
static atomic_uint every_count;

struct request {
  char method[16], path[256], key[128];
  const char *body;
  size_t body_len, len; // len: all of it
};

static void sleep_ms(long ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

static bool send_all(int fd, const char *bytes, size_t len) {
  for (size_t sent = 0; sent < len;) {
    ssize_t n = send(fd, bytes + sent, len - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += (size_t)n;
  }
  return true;
}

static bool send_text(int fd, const char *text) {
  return send_all(fd, text, strlen(text));
}

static bool answer(int fd, int status, const char *extra, const char *body) {
  char out[1024];
  int len = snprintf(out, sizeof out,
                     "HTTP/1.1 %d Answer\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status,
                     extra, strlen(body), body);
  return send_all(fd, out, (size_t)len);
}

static bool send_chunk(int fd, const char *text) {
  char out[512];
  int len = snprintf(out, sizeof out, "%zx\r\n%s\r\n", strlen(text), text);
  return send_all(fd, out, (size_t)len);
}

static bool begin_stream(int fd) {
  return send_text(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static bool stream(int fd, int events, int ms) {
  char usage[128];
  bool good = begin_stream(fd);
  for (int i = 0; good && i < events; i++) {
    if (i) sleep_ms(ms);
    // Two chunks per event, cut in the middle of the JSON: a reader has to put lines together.
    good = send_chunk(fd, "data: {\"choices\":[{\"te") && send_chunk(fd, "xt\":\" word\"}]}\n\n");
  }
  snprintf(usage, sizeof usage, "data: {\"choices\":[],\"usage\":{\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n",
           2 * events);
  return good && send_chunk(fd, usage) && send_text(fd, "0\r\n\r\n");
}

// False: the connection ends.
static bool serve(int fd, const struct request *r) {
  int a = 0, b = 0;
  if (sscanf(r->path, "/status/%d", &a) == 1) return answer(fd, a, "", "{\"error\":\"as asked\"}");
  if (sscanf(r->path, "/delay/%d", &a) == 1) {
    sleep_ms(a);
  } else if (sscanf(r->path, "/serial/%d", &a) == 1) {
    pthread_mutex_lock(&serial_lock);
    sleep_ms(a);
    pthread_mutex_unlock(&serial_lock);
  } else if (sscanf(r->path, "/every/%d/%d", &a, &b) == 2 && a > 0) {
    if (atomic_fetch_add(&every_count, 1) % (unsigned)a == (unsigned)a - 1) return answer(fd, b, "", "{}");
  } else if (strcmp(r->path, "/close") == 0) {
    return false;
  } else if (strcmp(r->path, "/last") == 0) {
    return answer(fd, 200, "Connection: close\r\n", "{}") && false;
  } else if (strcmp(r->path, "/rude") == 0) {
    return answer(fd, 200, "", "{}") && false;
  } else if (strcmp(r->path, "/hang") == 0) {
    char unread;
    return recv(fd, &unread, 1, 0) > 0 && false;
  } else if (sscanf(r->path, "/sse/%d/%d", &a, &b) == 2) {
    return stream(fd, a, b);
  } else if (strcmp(r->path, "/sse-error") == 0) {
    return begin_stream(fd) && send_chunk(fd, "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"error\":{}}\n\n") &&
           send_text(fd, "0\r\n\r\n");
  } else if (strcmp(r->path, "/v1/completions") == 0) {
    bool streamed = memmem(r->body, r->body_len, "\"stream\":true", 13) != NULL;
    return streamed ? stream(fd, 4, 0) : answer(fd, 200, "", "{\"usage\":{\"completion_tokens\":7}}");
  }
  return answer(fd, 200, "", "{\"ok\":true}");
}

// -1: not one yet, or none at all.
static ssize_t header_end(const char *bytes, size_t len) {
  const char *end = memmem(bytes, len, "\r\n\r\n", 4);
  return end ? end - bytes + 4 : -1;
}

static bool parse(char *bytes, size_t len, struct request *r) {
  *r = (struct request){.key = "-"};
  ssize_t head = header_end(bytes, len);
  if (head < 0 || sscanf(bytes, "%15s %255s", r->method, r->path) != 2) return false;
  bytes[head - 1] = 0; // the headers as one string
  const char *length = strcasestr(bytes, "\ncontent-length:"), *key = strcasestr(bytes, "\nauthorization:");
  if (length) r->body_len = strtoul(length + strlen("\ncontent-length:"), NULL, 10);
  if (key) sscanf(key + strlen("\nauthorization:"), " %127[^\r\n]", r->key);
  bytes[head - 1] = '\n';
  r->body = bytes + head;
  r->len = (size_t)head + r->body_len;
  return r->len <= len;
}

static void *connection(void *context) {
  int fd = (int)(intptr_t)context;
  char *bytes = malloc(ROOM + 1);
  size_t len = 0;
  for (bool open = bytes != NULL; open;) {
    struct request r;
    bytes[len] = 0;
    if (!parse(bytes, len, &r)) {
      ssize_t n = len < ROOM ? recv(fd, bytes + len, ROOM - len, 0) : 0;
      open = n > 0;
      len += open ? (size_t)n : 0;
      continue;
    }
    if (log_file) {
      pthread_mutex_lock(&log_lock);
      fprintf(log_file, "%s %s %s %.*s\n", r.method, r.path, r.key, (int)r.body_len, r.body);
      fflush(log_file);
      pthread_mutex_unlock(&log_lock);
    }
    open = serve(fd, &r);
    memmove(bytes, bytes + r.len, len - r.len);
    len -= r.len;
  }
  free(bytes);
  close(fd);
  return NULL;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (argc > 1 && !(log_file = fopen(argv[1], "a"))) return 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  if (bind(listener, (struct sockaddr *)&at, len) != 0 || listen(listener, 1024) != 0) return 1;
  if (getsockname(listener, (struct sockaddr *)&at, &len) != 0) return 1;
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_t thread;
    if (pthread_create(&thread, &attr, connection, (void *)(intptr_t)fd) != 0) close(fd);
  }
}
