// protocols.h - every protocol's addresses, which the HTTP layer puts into one table.
#ifndef PARE_SERVER_PROTOCOLS_H
#define PARE_SERVER_PROTOCOLS_H

#include "exchange.h"

extern const struct route completions_routes[]; // OpenAI: /v1/completions
extern const size_t completions_route_count;
extern const struct route openai_models_routes[]; // OpenAI: /v1/models
extern const size_t openai_models_route_count;
extern const struct route embeddings_routes[]; // OpenAI: /v1/embeddings
extern const size_t embeddings_route_count;
extern const struct route classify_routes[]; // vLLM: /v1/classify, /classify
extern const size_t classify_route_count;
extern const struct route hf_routes[]; // Hugging Face Inference: /models/{*}
extern const size_t hf_route_count;

#endif
