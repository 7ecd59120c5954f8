// onnx.h - a model as an ONNX directory: model.onnx (floats) or model_quantized.onnx (integers), the names Optimum and
// transformers.js look for; config.json and the tokenizer's files beside it.
#ifndef PARE_EXPORT_ONNX_H
#define PARE_EXPORT_ONNX_H

#include "export/onnx_graph.h"
#include "quant/quantize.h"

// Holds f32, f16, bf16, int8 and int8-tensor weights of gpt2, bert and distilbert; anything else is PARE_UNAVAILABLE.
extern const struct writer writer_onnx;

// The graph of q, whose data it borrows. NULL with the error set on failure.
enum pare_status onnx_build_graph(const struct quantized *q, struct onnx_graph **out, struct pare_error *err);

#endif
