// oip.h - what the files of the Open Inference Protocol share. Specification: kserve/open-inference-protocol
// (inference_rest.md, generate_rest.yaml); the extensions classification, binary_tensor_data, model_repository,
// statistics and parameters as Triton's server documents them.
#ifndef PARE_SERVER_OIP_H
#define PARE_SERVER_OIP_H

#include "exchange.h"

// The model of the address (params: name, version if there is one), held. NULL: answered, 404.
struct served *oip_model(struct exchange *x);
static inline bool oip_generates(const struct served *s) {
  return s->task == PARE_TASK_LANGUAGE_MODEL || s->task == PARE_TASK_SEQ2SEQ;
}
json_t *oip_version(const struct served *s);
// {"model_name", "model_version"}, which every answer of a model begins with; NULL: no memory.
json_t *oip_head(const struct served *s);
// Names and types of what goes in and out, as model metadata has them; NULL: no memory.
json_t *oip_inputs_of(const struct served *s);
json_t *oip_outputs_of(const struct served *s);

void oip_infer(struct exchange *x);
void oip_generate(struct exchange *x);
void oip_generate_stream(struct exchange *x);
void oip_stats(struct exchange *x);
void oip_stats_all(struct exchange *x);
void oip_config(struct exchange *x);
void oip_index(struct exchange *x);
void oip_load(struct exchange *x);
void oip_unload(struct exchange *x);

#endif
