// shrunk.c - see shrunk.h. The page that cannot be read is replaced by one of zeroes, so that the instruction goes on.
// mmap is a bare system call: it may be called in a signal handler.
#include "shrunk.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

// A signal handler has no other way to say something; it is not looked at but by shrunk_count.
static atomic_uint count;
static uintptr_t page_bytes;

static void handle(int signal, siginfo_t *info, void *context) {
  (void)context;
  atomic_fetch_add(&count, 1);
  void *page = (void *)((uintptr_t)info->si_addr & ~(page_bytes - 1)); // NOLINT(performance-no-int-to-ptr)
  // BUS_ADRERR is what a mapping beyond its file's end gives. Broken memory (BUS_MCEERR_AR) and others end the process.
  bool ours = info->si_code == BUS_ADRERR;
  if (ours && mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page) return;
  struct sigaction fatal = {.sa_handler = SIG_DFL};
  sigaction(signal, &fatal, NULL); // the instruction is tried again, and ends the process
}

void shrunk_survive(void) {
  page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
  struct sigaction a = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigemptyset(&a.sa_mask);
  sigaction(SIGBUS, &a, NULL);
}

unsigned shrunk_count(void) {
  return atomic_load(&count);
}
