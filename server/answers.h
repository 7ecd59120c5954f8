// answers.h - answers as bytes in the response cache, and the questions they belong to.
#ifndef PARE_SERVER_ANSWERS_H
#define PARE_SERVER_ANSWERS_H

#include "base/buf.h"
#include "cache.h"
#include "job.h"

// Whether the same question has the same answer, and that answer is kept: classifications, embeddings, and greedy
// generation that is not streamed and asks for no log-probabilities.
bool answer_is_kept(const struct job *job);
// Everything the item's answer depends on, the loaded model and the form among it.
void answer_key(const struct job *job, const struct job_item *item, enum variant v, struct buf *out);
// Fills the item's answer; false: not there.
bool answer_find(struct cache *c, const struct buf *key, const struct job *job, struct job_item *item);
void answer_put(struct cache *c, const struct buf *key, const struct job *job, const struct job_item *item);

#endif
