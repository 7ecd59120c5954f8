// progress.c - one line on standard error, redrawn in place.
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "command.h"

enum { REDRAW_NS = 100 * 1000 * 1000, BAR_COLUMNS = 30, STAGE_COLUMNS = 36 };

static void draw(void *context, const char *stage, size_t done, size_t total) {
  struct progress *p = context;
  uint64_t now = clock_ns();
  if (p->shown && done < total && now - p->last_ns < REDRAW_NS) return;
  p->last_ns = now;
  p->shown = true;
  size_t filled = total ? (size_t)((double)done / (double)total * BAR_COLUMNS) : 0;
  fprintf(stderr, "\r%-*.*s [", STAGE_COLUMNS, STAGE_COLUMNS, stage);
  for (size_t i = 0; i < BAR_COLUMNS; i++) fputc(i < filled ? '#' : ' ', stderr);
  fprintf(stderr, "] %zu/%zu\033[K", done, total);
  fflush(stderr);
}

struct pare_progress progress_start(struct progress *p, const struct args_common *common) {
  *p = (struct progress){.on = isatty(STDERR_FILENO) && !common->quiet};
  return p->on ? (struct pare_progress){.report = draw, .context = p} : (struct pare_progress){0};
}

void progress_end(struct progress *p) {
  if (p->shown) fputs("\r\033[K", stderr);
  p->shown = false;
}
