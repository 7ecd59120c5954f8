// pare_error.h - status codes and the error every fallible call fills. Part of the public interface; pare.h includes
// it. The numbers are the program's exit codes, so a command returns the status it was given.
#ifndef PARE_ERROR_H
#define PARE_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum pare_status {
  PARE_OK = 0,
  PARE_REFUSED = 1,      // done, and the answer is no: gate FAIL, or a quantized file that is not smaller
  PARE_INCONCLUSIVE = 2, // gate INCONCLUSIVE: the sample cannot decide
  PARE_USAGE = 64,       // wrong arguments
  PARE_DATA = 65,        // bad model, data or config file
  PARE_NOFILE = 66,      // no such file
  PARE_UNAVAILABLE = 69, // an ISA this CPU lacks, a feature not built in
  PARE_BUG = 70,         // out of memory, or a broken promise inside the program
  PARE_IO = 74,          // cannot write
};

// First failure wins; callers pass it up unchanged. text is one sentence naming file, tensor or line, what was
// expected and what was found; never empty when code != PARE_OK.
struct pare_error {
  enum pare_status code;
  char text[512];
};

#ifdef __cplusplus
}
#endif
#endif
