// info.h - what a model is, as data.
#ifndef PARE_MODEL_INFO_H
#define PARE_MODEL_INFO_H

#include "model/model.h"

// name, arch, task, parameters, size_bytes, f32_bytes, scheme, labels, bytes, coverage, unused, provenance, tensors[].
struct json_t *model_info(const pare_model *m);
// [{encoding, tensors, bytes}]: how much of the model is in which encoding, norms and biases included.
struct json_t *model_coverage(const pare_model *m);
const char *model_task_name(const pare_model *m);

#endif
