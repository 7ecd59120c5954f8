// make_quantized.h - the quantized form that a configuration asks for and that is not there yet.
#ifndef PARE_SERVER_MAKE_QUANTIZED_H
#define PARE_SERVER_MAKE_QUANTIZED_H

#include "state.h"

// For each model of c with a scheme and no quantized form at its place: has the original quantized there in the
// background, then the model opened anew. Until then, and if that fails (which is logged), the original answers. A
// model that was unloaded or changed meanwhile is left alone; nothing is begun once the server is ending.
void make_quantized(struct server *s, const struct serve_config *c);

#endif
