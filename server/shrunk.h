// shrunk.h - a model's file may become shorter while it is being read, and reading a mapping beyond the end of its file
// raises SIGBUS. The process is not ended by that: such bytes read as 0, and who opened the model asks afterwards.
// (Once a model is open, nothing of its files is read: struct pare_engine_options, detached.)
#ifndef PARE_SERVER_SHRUNK_H
#define PARE_SERVER_SHRUNK_H

// From now on, for the whole process. A thread that blocks SIGBUS is not served by it.
void shrunk_survive(void);
// How often that has happened. Safe from any thread.
unsigned shrunk_count(void);

#endif
