// background.h - a thread for work that may take its time: opening a model, answering a load call.
#ifndef PARE_SERVER_BACKGROUND_H
#define PARE_SERVER_BACKGROUND_H

#include <stdbool.h>

#include "pare_error.h"

struct background;
enum pare_status background_open(struct background **out, struct pare_error *err);
// Everything asked for is done first, and nothing more is taken; accepts NULL.
void background_close(struct background *b);
bool background_is_idle(struct background *b); // nothing is being done and nothing waits; true for NULL
void background_free(struct background *b);    // once nobody can ask any more; accepts NULL
// Calls work(context) on that thread, in the order of asking. PARE_BUG: no memory, or closed.
enum pare_status background_run(struct background *b, void (*work)(void *context), void *context);

#endif
