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
#include "load.h"

enum { SPARE_FILES = 64, BATCH = 64, LONGEST_SLEEP_MS = 1000 };

// curl's sockets are on epoll exactly while curl wants to hear of them: `known` is NULL until curl_multi_assign has
// said otherwise, and NULL again after CURL_POLL_REMOVE, which comes before curl closes a socket.
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *known) {
  (void)easy;
  struct load_io *io = context;
  if (what == CURL_POLL_REMOVE) {
    epoll_ctl(io->epoll, EPOLL_CTL_DEL, fd, NULL);
    return 0;
  }
  struct epoll_event event = {.data.fd = fd};
  if (what & CURL_POLL_IN) event.events |= EPOLLIN;
  if (what & CURL_POLL_OUT) event.events |= EPOLLOUT;
  int likely = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, other = known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  // The other one: should a socket ever be closed without a word and its number come again.
  if (epoll_ctl(io->epoll, likely, fd, &event) != 0 && epoll_ctl(io->epoll, other, fd, &event) != 0) return -1;
  curl_multi_assign(io->multi, fd, io);
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

static void take_signals(struct load_io *io) {
  struct signalfd_siginfo info;
  while (read(io->signals, &info, sizeof info) == (ssize_t)sizeof info) io->interrupted = true;
}

void load_io_close(struct load_io *io) {
  if (io->multi) curl_multi_cleanup(io->multi);
  // After the first Ctrl-C another has nothing left to end but the printing; timeout(1) always sends two signals.
  if (io->interrupted) take_signals(io);
  int own[] = {io->epoll, io->timer, io->signals};
  for (size_t i = 0; i < 3; i++) {
    if (own[i] >= 0) close(own[i]);
  }
  // One that came too late to be taken ends the program now.
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
  struct itimerspec at = {
      .it_value = {.tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u)}};
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
    take_signals(io);
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
  uint64_t now = clock_ns(), ms = until_ns > now ? (until_ns - now) / 1000000u + 1 : 0;
  if (ms) set_timer(io, until_ns); // on the nanosecond; the poll's own limit is whole milliseconds, and never none
  int n = epoll_wait(io->epoll, events, BATCH, ms < LONGEST_SLEEP_MS ? (int)ms : LONGEST_SLEEP_MS);
  for (int i = 0; i < n; i++) on_event(io, &events[i]);
}
