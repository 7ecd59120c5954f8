// read.c - how many bytes a second the cores can read: the limit of anything that uses each weight once. For a human,
// and for bench/peers: run it on an idle machine.
// Usage: micro_read [THREADS [MIB ...]] (2 threads; 16, 24, 85 and 330 MiB). Each thread sums its share of a buffer of
// that size in huge pages, again and again; prints one JSON object per size with the best and the median pass.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/pool.h"

enum { MAX_PASSES = 400, MIN_PASSES = 8, ACCUMULATORS = 8 };
static const uint64_t measure_ns = 400000000;
static const size_t piece = 1 << 18; // bytes a thread reads before it takes the next piece

typedef uint64_t lanes __attribute__((vector_size(32), aligned(32)));

// Enough sums in flight that loads, not additions, are what it waits for.
static inline __attribute__((always_inline)) uint64_t sum_of(const unsigned char *p, size_t bytes) {
  lanes sum[ACCUMULATORS] = {0};
  for (const unsigned char *end = p + bytes; p < end; p += ACCUMULATORS * sizeof(lanes))
    for (size_t i = 0; i < ACCUMULATORS; i++) sum[i] += ((const lanes *)(const void *)p)[i];
  for (size_t i = 1; i < ACCUMULATORS; i++) sum[0] += sum[i];
  return sum[0][0] + sum[0][1] + sum[0][2] + sum[0][3];
}

static uint64_t sum_plain(const unsigned char *p, size_t bytes) {
  return sum_of(p, bytes);
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static uint64_t sum_avx2(const unsigned char *p, size_t bytes) {
  return sum_of(p, bytes);
}
#endif

struct reading {
  uint64_t (*sum)(const unsigned char *p, size_t bytes);
  const unsigned char *data;
  size_t bytes;
  uint64_t *sums; // one per piece, so that nothing is left out
};

static void read_piece(void *context, size_t job, size_t thread) {
  const struct reading *r = context;
  size_t at = job * piece, left = r->bytes - at;
  (void)thread;
  r->sums[job] += r->sum(r->data + at, left < piece ? left : piece);
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int measure(struct pool *pool, size_t mib) {
  struct reading r = {.sum = sum_plain, .bytes = mib << 20};
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2")) r.sum = sum_avx2;
#endif
  size_t pieces = (r.bytes + piece - 1) / piece, passes = 0;
  void *memory = mmap(NULL, r.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  r.sums = calloc(pieces, sizeof *r.sums);
  if (memory == MAP_FAILED || !r.sums) {
    fprintf(stderr, "micro_read: no memory for %zu MiB\n", mib);
    return 1;
  }
  madvise(memory, r.bytes, MADV_HUGEPAGE);
  memset(memory, 1, r.bytes);
  r.data = memory;
  double rate[MAX_PASSES];
  pool_run(pool, read_piece, &r, pieces);
  for (uint64_t begun = clock_ns(); passes < MIN_PASSES || (passes < MAX_PASSES && clock_ns() - begun < measure_ns);) {
    uint64_t start = clock_ns();
    pool_run(pool, read_piece, &r, pieces);
    rate[passes++] = (double)r.bytes / (double)(clock_ns() - start);
  }
  qsort(rate, passes, sizeof *rate, by_value);
  printf("{\"mib\": %zu, \"threads\": %zu, \"gb_per_s\": %.1f, \"median_gb_per_s\": %.1f, \"passes\": %zu}\n", mib,
         pool_threads(pool), rate[passes - 1], rate[passes / 2], passes);
  int bad = 0;
  for (size_t i = 0; i < pieces; i++) bad |= r.sums[i] == 0; // the sums are used, so the reads stay
  free(r.sums);
  munmap(memory, r.bytes);
  return bad;
}

int main(int argc, char **argv) {
  static const size_t usual[] = {16, 24, 85, 330};
  size_t threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 2, count = argc > 2 ? (size_t)argc - 2 : 4;
  struct pool *pool;
  struct pare_error err;
  if (threads < 1 || threads > 1024 || pool_open(threads, &pool, &err)) {
    fprintf(stderr, "usage: micro_read [THREADS [MIB ...]]\n");
    return 64;
  }
  int bad = 0;
  for (size_t i = 0; i < count && !bad; i++) {
    size_t mib = argc > 2 ? strtoul(argv[i + 2], NULL, 10) : usual[i];
    bad = mib < 1 || mib > 1 << 20 ? 64 : measure(pool, mib);
  }
  pool_close(pool);
  return bad;
}
