// protocols.h - every protocol's addresses, which routes.c puts into one table. Where two patterns match, the one that
// comes first answers.
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
extern const struct route oip_routes[]; // Open Inference Protocol v2 and what Triton adds to it
extern const size_t oip_route_count;
extern const struct route system_routes[]; // /metrics, the page, the OpenAPI document
extern const size_t system_route_count;

#endif
