// load_io.c - curl's sockets on epoll, one timer, and Ctrl-C.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "load.h"

struct load_watch {
  uint32_t wanted, set; // epoll events: what curl asked for, what the kernel was told
};
enum { SPARE_FILES = 64, BATCH = 64 };

static struct load_watch *watch_at(struct load_io *io, int fd) {
  size_t i = (size_t)fd;
  if (i >= io->watched_count) {
    size_t count = size_max(i + 1, io->watched_count * 2);
    struct load_watch *more = realloc(io->watched, count * sizeof *more);
    if (!more) return NULL;
    memset(more + io->watched_count, 0, (count - io->watched_count) * sizeof *more);
    io->watched = more;
    io->watched_count = count;
  }
  return &io->watched[i];
}

// A number that belonged to a socket now closed: the kernel has forgotten it.
static int on_new_socket(void *context, curl_socket_t fd, curlsocktype purpose) {
  (void)purpose;
  struct load_watch *w = watch_at(context, fd);
  if (w) *w = (struct load_watch){0};
  return w ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR;
}

static int on_close_socket(void *context, curl_socket_t fd) {
  struct load_watch *w = watch_at(context, fd);
  if (w) *w = (struct load_watch){0};
  return close(fd);
}

void load_io_adopt(struct load_io *io, CURL *easy) {
  curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, io);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, io);
}

static void tell_kernel(struct load_io *io, int fd, struct load_watch *w) {
  struct epoll_event event = {.events = w->wanted, .data.fd = fd};
  if (!w->wanted) {
    epoll_ctl(io->epoll, EPOLL_CTL_DEL, fd, NULL);
  } else if (epoll_ctl(io->epoll, w->set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
    epoll_ctl(io->epoll, errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  }
  w->set = w->wanted;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *unused) {
  (void)easy;
  (void)unused;
  struct load_io *io = context;
  struct load_watch *w = watch_at(io, fd);
  if (!w) return -1;
  w->wanted = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
  if (what == CURL_POLL_REMOVE) w->wanted = 0;
  if (w->wanted != w->set) tell_kernel(io, fd, w);
  return 0;
}

static int on_timer(CURLM *multi, long ms, void *context) {
  (void)multi;
  struct load_io *io = context;
  io->curl_due_ns = ms < 0 ? UINT64_MAX : clock_ns() + (uint64_t)ms * 1000000u;
  return 0;
}

static enum pare_status raise_file_limit(size_t connections, struct pare_error *err) {
  struct rlimit limit;
  rlim_t needed = connections + SPARE_FILES;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return PARE_OK;
  if (limit.rlim_max < needed)
    return error_set(err, PARE_USAGE, "%zu connections: this process may open at most %zu files", connections,
                     (size_t)limit.rlim_max);
  limit.rlim_cur = needed;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return PARE_OK;
  return error_set(err, PARE_USAGE, "%zu connections: so many files cannot be opened here", connections);
}

static bool add_own(struct load_io *io, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  return fd >= 0 && epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

enum pare_status load_io_open(size_t connections, struct load_io *out, struct pare_error *err) {
  *out = (struct load_io){.epoll = -1, .timer = -1, .signals = -1, .curl_due_ns = UINT64_MAX};
  sigset_t held;
  sigemptyset(&held);
  sigaddset(&held, SIGINT);
  sigaddset(&held, SIGTERM);
  out->holds_signals = sigprocmask(SIG_BLOCK, &held, &out->mask_before) == 0;
  enum pare_status status = raise_file_limit(connections, err);
  if (status != PARE_OK) return status;
  out->epoll = epoll_create1(EPOLL_CLOEXEC);
  out->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  out->signals = signalfd(-1, &held, SFD_NONBLOCK | SFD_CLOEXEC);
  out->multi = curl_multi_init();
  if (out->epoll < 0 || !add_own(out, out->timer) || !add_own(out, out->signals) || !out->multi)
    return error_set(err, PARE_BUG, "no event queue: %s", strerror(errno));
  curl_multi_setopt(out->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(out->multi, CURLMOPT_SOCKETDATA, out);
  curl_multi_setopt(out->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(out->multi, CURLMOPT_TIMERDATA, out);
  curl_multi_setopt(out->multi, CURLMOPT_MAXCONNECTS, (long)connections);
  return PARE_OK;
}

void load_io_close(struct load_io *io) {
  if (io->multi) curl_multi_cleanup(io->multi);
  int own[] = {io->epoll, io->timer, io->signals};
  for (size_t i = 0; i < 3; i++) {
    if (own[i] >= 0) close(own[i]);
  }
  free(io->watched);
  // A Ctrl-C that was taken has done its work; one that came too late would end the program now.
  if (io->holds_signals) sigprocmask(SIG_SETMASK, &io->mask_before, NULL);
}

static void collect(struct load_io *io) {
  int left;
  for (CURLMsg *m; (m = curl_multi_info_read(io->multi, &left));) {
    if (m->msg == CURLMSG_DONE) io->done(io->context, m->easy_handle, m->data.result);
  }
}

void load_io_work(struct load_io *io) {
  int running;
  while (io->curl_due_ns <= clock_ns()) {
    io->curl_due_ns = UINT64_MAX;
    curl_multi_socket_action(io->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(io);
  }
}

static void set_timer(struct load_io *io, uint64_t at_ns) {
  if (at_ns == 0) at_ns = 1; // 0 would switch it off
  struct itimerspec at = {
      .it_value = {.tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u)}};
  if (at_ns == UINT64_MAX) at = (struct itimerspec){0};
  timerfd_settime(io->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void on_event(struct load_io *io, const struct epoll_event *event) {
  int fd = event->data.fd, running, flags = 0;
  if (fd == io->timer) {
    uint64_t expired;
    (void)!read(fd, &expired, sizeof expired);
    return;
  }
  if (fd == io->signals) {
    struct signalfd_siginfo info;
    io->interrupted = io->interrupted || read(fd, &info, sizeof info) == (ssize_t)sizeof info;
    return;
  }
  struct load_watch *w = watch_at(io, fd);
  if (!w || !w->wanted) { // idle, and the server has something to say: that it hangs up
    if (w && w->set) tell_kernel(io, fd, w);
    return;
  }
  if (event->events & EPOLLIN) flags |= CURL_CSELECT_IN;
  if (event->events & EPOLLOUT) flags |= CURL_CSELECT_OUT;
  if (event->events & (EPOLLERR | EPOLLHUP)) flags |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
  curl_multi_socket_action(io->multi, fd, flags, &running);
  collect(io);
}

void load_io_wait(struct load_io *io, uint64_t until_ns) {
  struct epoll_event events[BATCH];
  if (io->curl_due_ns < until_ns) until_ns = io->curl_due_ns;
  int timeout = until_ns <= clock_ns() ? 0 : -1;
  if (timeout) set_timer(io, until_ns);
  int n = epoll_wait(io->epoll, events, BATCH, timeout);
  for (int i = 0; i < n; i++) on_event(io, &events[i]);
}
