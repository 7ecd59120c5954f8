// select.c - which tables exist, which run here, and which one to use. Compiled without -m flags, so that asking is
// safe on any CPU: nothing the CPU might lack is executed before the answer is known.
#include <stdlib.h>
#include <string.h>

#include "kernel/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>

// __builtin_cpu_supports also asks the operating system (XGETBV) whether it saves the registers.
bool isa_has_avx2(void) {
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_F16C)) return false; // clang 14 does not know "f16c"
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

bool isa_has_avx512(void) {
  return isa_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool isa_has_avx512_vnni(void) {
  return isa_has_avx512() && __builtin_cpu_supports("avx512vnni");
}

bool isa_has_avx512_bf16(void) {
  return isa_has_avx512_vnni() && __builtin_cpu_supports("avx512bf16");
}

#elif defined(__aarch64__)
#include <sys/auxv.h> // what the kernel tells each program about its CPU, HWCAP_*

bool isa_has_neon(void) {
  return getauxval(AT_HWCAP) & HWCAP_ASIMD;
}

bool isa_has_neon_dot(void) {
  return isa_has_neon() && getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}

bool isa_has_neon_i8mm(void) {
  return isa_has_neon_dot() && getauxval(AT_HWCAP2) & HWCAP2_I8MM;
}
#endif

static const struct kernels *const tables[] = {
    &kernels_scalar,
#if defined(__x86_64__)
    &kernels_avx2,   &kernels_avx512, &kernels_avx512_vnni, &kernels_avx512_bf16,
#elif defined(__aarch64__)
    &kernels_neon,
    &kernels_neon_dot,
    &kernels_neon_i8mm,
#endif
};

// Every name there is, built into this program or not.
static const char *const known[] = {"scalar",      "avx2", "avx512",   "avx512_vnni",
                                    "avx512_bf16", "neon", "neon_dot", "neon_i8mm"};
static const char known_list[] = "scalar, avx2, avx512, avx512_vnni, avx512_bf16, neon, neon_dot, neon_i8mm";

const struct kernels *const *kernels_all(size_t *count) {
  *count = sizeof tables / sizeof tables[0];
  return tables;
}

static bool is_known(const char *name) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i], name) == 0) return true;
  }
  return false;
}

enum pare_status kernels_select(const char *name, const struct kernels **out, struct pare_error *err) {
  if (!name) {
    name = getenv("PARE_ISA");
    if (name && !*name) name = NULL;
  }
  for (size_t i = sizeof tables / sizeof tables[0]; i-- > 0;) {
    if (name ? strcmp(tables[i]->name, name) != 0 : !tables[i]->supported()) continue;
    if (!tables[i]->supported()) break;
    *out = tables[i];
    return PARE_OK;
  }
  if (!is_known(name)) {
    return error_set(err, PARE_USAGE, "unknown instruction set '%s': expected one of %s", name, known_list);
  }
  return error_set(err, PARE_UNAVAILABLE, "instruction set '%s' is not available on this machine", name);
}
