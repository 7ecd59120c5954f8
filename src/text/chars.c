// chars.c - finds a character's run.
#include "text/chars.h"

uint32_t char_kinds_beyond_ascii(uint32_t c) {
  size_t low = 0, high = char_run_count; // the last run whose first is at most c; the first run starts at 128
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (char_runs[middle].first <= c) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return char_runs[low].kinds;
}
