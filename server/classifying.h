// classifying.h - what every protocol that classifies asks: own labels or candidate ones, and the job of it.
#ifndef PARE_SERVER_CLASSIFYING_H
#define PARE_SERVER_CLASSIFYING_H

#include "inputs.h"

enum { CANDIDATES_MAX = 1000 };

// A job of the texts at `key` for a model that classifies. NULL: answered.
struct job *classifying_job(struct fields *f, struct served *s, const char *key);
// Candidate labels of the job: at `key` a list, or a string with commas between them; the template and multi_label
// beside it. Nothing at `key`: the model's own labels.
void classifying_candidates(struct fields *f, struct job *job, const char *key);

#endif
