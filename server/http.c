// http.c - see http.h: the daemon. (request.c: one request.)
#include "http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "request.h"

struct http {
  struct http_shared shared;
  struct MHD_Daemon *daemon;
};

// ---- listening ----------------------------------------------------------------------------------------------------

static int bind_one(const struct addrinfo *a, const char **what) {
  const int yes = 1;
  *what = "open a socket";
  int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  *what = "listen there";
  if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, SOMAXCONN)) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

enum pare_status http_listen(const struct serve_config *config, int *fd, uint16_t *port, struct pare_error *err) {
  struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
  char service[8];
  const char *what = "";
  snprintf(service, sizeof service, "%u", (unsigned)config->port);
  int rc = getaddrinfo(config->host, service, &hints, &list);
  if (rc) return error_set(err, PARE_UNAVAILABLE, "listen: %s:%s: %s", config->host, service, gai_strerror(rc));
  *fd = -1;
  for (const struct addrinfo *a = list; a && *fd < 0; a = a->ai_next) *fd = bind_one(a, &what);
  int error = errno;
  freeaddrinfo(list);
  if (*fd < 0)
    return error_set(err, PARE_UNAVAILABLE, "listen: %s:%s: cannot %s: %s", config->host, service, what,
                     strerror(error));
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
  } at;
  socklen_t len = sizeof at;
  *port = config->port;
  if (!getsockname(*fd, &at.any, &len)) *port = ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
  return PARE_OK;
}

// ---- the daemon ---------------------------------------------------------------------------------------------------

// Two descriptors are not needed for a connection, but models, logs and epolls take some.
static unsigned connections_allowed(size_t wanted) {
  enum { OTHERS = 64 };
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return 1024 - OTHERS;
  rlim_t need = wanted + OTHERS;
  if (limit.rlim_cur < need) {
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= need ? need : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  rlim_t room = limit.rlim_cur > OTHERS ? limit.rlim_cur - OTHERS : 1;
  return (unsigned)(room < wanted ? room : wanted);
}

static void connection_notify(void *cls, struct MHD_Connection *connection, void **context,
                              enum MHD_ConnectionNotificationCode code) {
  struct http *h = cls;
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = info ? watch_add(h->shared.watch, (int)info->connect_fd) : NULL;
  } else {
    watch_remove(h->shared.watch, *context);
    *context = NULL;
  }
}

static void silent(void *cls, const char *format, va_list list) {
  (void)cls;
  (void)format;
  (void)list;
}

enum pare_status http_open(struct server *server, int fd, struct http **out, struct pare_error *err) {
  const struct serve_limits *l = &server->config->limits;
  *out = NULL;
  struct http *h = calloc(1, sizeof *h);
  if (!h) return error_no_memory(err);
  h->shared.server = server;
  uint64_t seed = clock_ns();
  if (getrandom(&seed, sizeof seed, 0) < 0) seed ^= (uint64_t)getpid() << 32;
  atomic_init(&h->shared.ids, seed);
  const struct watch_limits limits = {
      .ms = {[WATCH_HEADER] = l->header_ms, [WATCH_BODY] = l->body_ms, [WATCH_IDLE] = l->idle_ms}};
  enum pare_status status = watch_open(&limits, &h->shared.watch, err);
  if (status) {
    free(h);
    return status;
  }
  unsigned threads = (unsigned)server->config->http_threads;
  unsigned idle_s = l->idle_ms / 1000 + 1; // for clients that do not read; the watch is exact for the others
  struct MHD_OptionItem several[] = {{MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL}, {MHD_OPTION_END, 0, NULL}};
  if (threads < 2) several[0].option = MHD_OPTION_END;
  *out = h; // a request may be answered, and look at it, before this returns
  h->daemon = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, request_access,
      &h->shared, MHD_OPTION_EXTERNAL_LOGGER, silent, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
      connections_allowed(l->connections), MHD_OPTION_CONNECTION_TIMEOUT, idle_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      l->header_bytes + 4096, MHD_OPTION_NOTIFY_COMPLETED, request_completed, &h->shared, MHD_OPTION_NOTIFY_CONNECTION,
      connection_notify, h, MHD_OPTION_ARRAY, several, MHD_OPTION_END);
  if (!h->daemon) {
    *out = NULL;
    watch_close(h->shared.watch);
    free(h);
    return error_set(err, PARE_UNAVAILABLE, "cannot start answering: %s", strerror(errno));
  }
  return PARE_OK;
}

void http_drain(struct http *h, uint32_t ms) {
  enum { QUIET_MS = 200, STEP_MS = 5 };
  uint64_t start = clock_ns(), busy = start;
  const struct timespec step = {.tv_nsec = STEP_MS * 1000000};
  bool accepting = true;
  for (;;) {
    uint64_t now = clock_ns();
    if (atomic_load(&h->shared.active)) busy = now;
    if (now - start >= (uint64_t)ms * 1000000) break;
    // Connections that were under way when the signal came are still taken; later ones find nobody.
    if (accepting && now - start >= (uint64_t)QUIET_MS * 1000000) {
      int fd = MHD_quiesce_daemon(h->daemon);
      if (fd >= 0) close(fd);
      accepting = false;
    }
    if (!accepting && now - busy >= (uint64_t)QUIET_MS * 1000000) break;
    nanosleep(&step, NULL);
  }
}

void http_flush(struct http *h, uint32_t ms) {
  const struct timespec step = {.tv_nsec = 1000000};
  uint64_t end = clock_ns() + (uint64_t)ms * 1000000;
  while (h && atomic_load(&h->shared.active) && clock_ns() < end) nanosleep(&step, NULL);
}

void http_close(struct http *h) {
  if (!h) return;
  MHD_stop_daemon(h->daemon);
  watch_close(h->shared.watch);
  free(h);
}

size_t http_connections(const struct http *h) {
  return watch_connections(h->shared.watch);
}
