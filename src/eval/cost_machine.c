// cost_machine.c - the machine, as a record names it.
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "eval/cost.h"

// "model name : ..." of /proc/cpuinfo; ARM kernels leave it out.
static void cpu_name(char *out, size_t size) {
  snprintf(out, size, "unknown");
  FILE *file = fopen("/proc/cpuinfo", "re");
  if (!file) return;
  char line[256];
  while (fgets(line, sizeof line, file)) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", 10) != 0 || !colon) continue;
    const char *name = colon + 1 + strspn(colon + 1, " \t");
    snprintf(out, size, "%.*s", (int)strcspn(name, "\n"), name);
    break;
  }
  fclose(file);
  if (utf8_first_bad(out, strlen(out)) < strlen(out)) snprintf(out, size, "unknown");
}

json_t *cost_machine(const pare_engine *engine) {
#ifdef __clang__
  static const char compiler[] = __VERSION__; // names itself
#else
  static const char compiler[] = "GCC " __VERSION__;
#endif
  char cpu[256];
  cpu_name(cpu, sizeof cpu);
  json_int_t memory = (json_int_t)sysconf(_SC_PHYS_PAGES) * (json_int_t)sysconf(_SC_PAGESIZE);
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "cpu", cpu, "isa", engine->kernels->name, "threads",
                   (json_int_t)pool_threads(engine->pool), "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
                   "memory_bytes", memory, "compiler", compiler);
}
