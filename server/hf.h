// hf.h - what the two files of the Hugging Face Inference API share: how a request is kept until its answer is written.
#ifndef PARE_SERVER_HF_H
#define PARE_SERVER_HF_H

#include "exchange.h"

enum hf_function { HF_OWN, HF_SOFTMAX, HF_SIGMOID, HF_NONE };

// x->state
struct hf {
  enum pare_task task;
  bool many;                 // a list of texts was given
  bool zero_shot, pipeline;  // pipeline: {sequence, labels, scores}
  enum hf_function function; // from logits to scores
  size_t top;                // labels in the answer
  size_t times;              // answers to each text
  bool prompt;               // is put before them
  bool similarity;           // of an encoder's first text to each of the others, not their vectors
};

extern const struct answer hf_answer;

#endif
