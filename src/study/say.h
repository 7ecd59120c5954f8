// say.h - half sentences about one model of a study against its original, made of the record's numbers.
#ifndef PARE_STUDY_SAY_H
#define PARE_STUDY_SAY_H

#include "base/buf.h"
#include "study/metric.h"

// A metric's value by its name; false when the record has none.
bool say_get(const char *metric, const struct study_view *v, struct study_value *out);
// The same record seen from its original; *out holds it.
const struct study_view *say_original(const struct study_view *v, struct study_view *out);

// Each appends one; false, with b to be thrown away, when the record says nothing about it.
typedef bool sayer(struct buf *b, const struct study_view *v);
sayer say_size, say_speed, say_memory, say_accuracy, say_confidence, say_agreement, say_generation, say_rouge,
    say_perplexity;

// What is lost in quality, by the measure the recommendations go by: of accuracy; of a model that writes text, of
// ROUGE-L where there are references, else perplexity. False when the record has none of them.
struct say_quality {
  struct study_value drop; // above 0 is worse
  sayer *say;
};
bool say_quality(const struct study_view *v, struct say_quality *out);

#endif
