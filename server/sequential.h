// sequential.h - intervals that hold at every moment at once (confidence sequences): they may be looked at after each
// observation, and a decision taken the first time they say so is wrong with probability alpha at most.
//
// A share: the beta-binomial mixture martingale, inverted (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon, Annals of
// Statistics 49(2), 2021, section 3). A mean of values in [0, 1]: the predictable plug-in empirical Bernstein sequence
// (Waudby-Smith, Ramdas, JRSS B 86(1), 2024, theorem 2).
#ifndef PARE_SERVER_SEQUENTIAL_H
#define PARE_SERVER_SEQUENTIAL_H

#include <stdint.h>

struct interval {
  double low, high;
};

// Of n trials, `hits`. n = 0: [0, 1]. Holds hits / n.
struct interval sequential_share(uint64_t hits, uint64_t n, double alpha);

// Zero-initialise; the same alpha with each value.
struct sequential_mean {
  uint64_t n;
  double sum, square; // running moments the next bet is chosen from
  double weight, weighted, penalty;
  struct interval running; // intersection of all so far; valid when n > 0
};
// x is clamped to [0, 1]; what is not a number counts as 1.
void sequential_mean_add(struct sequential_mean *m, double x, double alpha);
struct interval sequential_mean_interval(const struct sequential_mean *m); // n = 0: [0, 1]

#endif
