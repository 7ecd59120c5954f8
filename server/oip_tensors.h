// oip_tensors.h - tensors of the Open Inference Protocol, both ways: as JSON (flat or nested, row-major) and as raw
// bytes after the JSON (Triton's binary tensor data: little-endian; a text is its length in four bytes, then its
// bytes).
#ifndef PARE_SERVER_OIP_TENSORS_H
#define PARE_SERVER_OIP_TENSORS_H

#include "exchange.h"

enum oip_type { OIP_BYTES, OIP_INT32, OIP_INT64, OIP_FP32 };
const char *oip_type_name(enum oip_type type);

enum { OIP_RANK = 2, OIP_INPUTS = 8 };

// An input whose shape and amount of data agree. Borrowed from the request.
struct oip_input {
  const char *name;
  enum oip_type type;
  size_t rank, shape[OIP_RANK], count; // sizes of at least 1; count: their product
  const json_t *data;                  // NULL: raw
  bool nested;                         // data is a list of rows
  const unsigned char *raw;
  size_t raw_len;
};
struct oip_inputs {
  struct oip_input list[OIP_INPUTS];
  size_t count;
};
// Parses the body (x->json is what precedes raw bytes) and reads its `inputs`. False: answered.
bool oip_inputs_read(struct exchange *x, struct oip_inputs *out);
const struct oip_input *oip_input_find(const struct oip_inputs *inputs, const char *name); // NULL: not given

// Elements of a BYTES tensor, out (count), copied to the job, which may outlive the request. False: answered.
bool oip_input_texts(struct exchange *x, const struct oip_input *in, struct job *job, struct pare_text *out);
// Elements of an INT32 or INT64 tensor, out (count). False: answered.
bool oip_input_ints(struct exchange *x, const struct oip_input *in, int64_t *out);

// Outputs in the order they are added. Zero-initialise.
struct oip_writer {
  json_t *outputs;
  struct buf raw;
  bool binary, failed;
};
struct oip_shape {
  size_t rank, size[OIP_RANK];
};
void oip_write_floats(struct oip_writer *w, const char *name, bool binary, struct oip_shape shape, const float *values);
void oip_write_texts(struct oip_writer *w, const char *name, bool binary, struct oip_shape shape,
                     const struct pare_text *texts);
// Answers with `head` and the outputs in it, raw bytes after them; takes over both.
void oip_write_end(struct exchange *x, struct oip_writer *w, json_t *head);

#endif
