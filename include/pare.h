// pare.h - cuts text models down to size and says what that cost. The one public header.
//
// Simplest use: pare_engine_open, pare_model_open, pare_session_open, pare_classify, then the closes in reverse.
// Every fallible call returns a pare_status and, on failure, fills the pare_error (which may be NULL) and leaves
// outputs NULL. Strings are UTF-8. Handles are opaque; X_close accepts NULL. Engines and models are immutable once open
// and may be shared by threads; a session belongs to one thread at a time. Sessions of one engine may run at once: one
// has the engine's threads, the others compute on their callers'.
#ifndef PARE_H
#define PARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare_error.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PARE_API __attribute__((visibility("default")))

typedef struct pare_engine pare_engine;   // a kernel table (ISA) and a thread pool
typedef struct pare_model pare_model;     // weights, configuration, tokenizer
typedef struct pare_session pare_session; // activations of one stream of requests
typedef struct pare_dataset pare_dataset; // rows of text, pair, label
typedef struct pare_record pare_record;   // what a command found, as data; rendered as JSON, text, Markdown or HTML

PARE_API const char *pare_version(void);

// ---- engine ---------------------------------------------------------------------------------------------------------
struct pare_engine_options {
  const char
      *isa; // NULL: the environment's PARE_ISA, else the best this CPU has; PARE_UNAVAILABLE if it lacks the one named
  size_t threads; // 0: one per core this process may use; at most 1024
  // A model that is open does not look at its files any more, so that they may be changed, cut or removed: weights that
  // would be read from them (embeddings that are only looked up) are copied into memory.
  bool detached;
};
PARE_API enum pare_status pare_engine_open(const struct pare_engine_options *options, pare_engine **out,
                                           struct pare_error *err);
PARE_API void pare_engine_close(pare_engine *engine);
PARE_API const char *pare_engine_isa(const pare_engine *engine);
PARE_API size_t pare_engine_threads(const pare_engine *engine);

// ---- model ----------------------------------------------------------------------------------------------------------
// SEQ2SEQ: an encoder reads the text, a decoder writes the answer (BART).
enum pare_task { PARE_TASK_CLASSIFY, PARE_TASK_LANGUAGE_MODEL, PARE_TASK_ENCODE, PARE_TASK_SEQ2SEQ };

// path: a Hugging Face directory, a weight file in one, or a fastai export (docs/formats.md). The engine must outlive
// the model: weights are packed for its ISA.
// A directory written by pare_quantize re-checks its stored answer here (PARE_DATA on a mismatch).
PARE_API enum pare_status pare_model_open(pare_engine *engine, const char *path, pare_model **out,
                                          struct pare_error *err);
// What stands for the model at path: its quantized form if that can be used, else the original. The quantized form is
// looked for in the directory "quantized" beside the original's files, or where the preference says. It is used if it
// opens (so its stored answer was re-checked) and has the original's task, labels and vocabulary; if it is missing
// although named, truncated or fails its self-test the original is opened and used->fallback says why.
struct pare_preference {
  bool original;         // use no quantized model
  const char *quantized; // its path; NULL: DIR/quantized
};
struct pare_used {
  bool quantized;
  bool fallback; // a quantized model was there or named, and could not be used
  char reason[512];
};
// preference NULL: zeroes.
PARE_API enum pare_status pare_model_open_preferred(pare_engine *engine, const char *path,
                                                    const struct pare_preference *preference, pare_model **out,
                                                    struct pare_used *used, struct pare_error *err);
PARE_API void pare_model_close(pare_model *model);
PARE_API const char *pare_model_path(const pare_model *model);
PARE_API enum pare_task pare_model_task(const pare_model *model);
PARE_API size_t pare_model_label_count(const pare_model *model); // 0 unless a classifier
PARE_API const char *pare_model_label(const pare_model *model, size_t i);
PARE_API size_t pare_model_vocab_size(const pare_model *model);
// Columns of a row of logits: labels of a classifier, vocabulary of a language model, width of an encoder's hidden
// states.
PARE_API size_t pare_model_output_width(const pare_model *model);
PARE_API size_t pare_model_max_tokens(const pare_model *model); // longest sequence it takes, special tokens included
PARE_API const char *pare_model_scheme(
    const pare_model *model);                                // "f32", "int8", ...: from pare.json or the stored dtypes
PARE_API double pare_model_load_ms(const pare_model *model); // weights only; tokenizer and self-test apart
// arch, task, parameters, size_bytes, scheme, labels, tensors[]: the record `pare info` prints.
PARE_API enum pare_status pare_model_info(const pare_model *model, pare_record **out, struct pare_error *err);

// ---- text to ids ----------------------------------------------------------------------------------------------------
struct pare_text {
  const char *text; // len bytes, need not end in NUL
  size_t len;
  const char *pair; // NULL: no second text
  size_t pair_len;
};
struct pare_tokens {
  uint32_t *ids;  // owned; grown and reused by pare_tokenize
  uint8_t *types; // token type of each
  size_t len, cap;
  bool truncated;
};
// max_tokens 0: the model's longest. Longest-first truncation, special tokens added, as the model was trained.
PARE_API enum pare_status pare_tokenize(const pare_model *model, const struct pare_text *text, size_t max_tokens,
                                        struct pare_tokens *out, struct pare_error *err);
PARE_API void pare_tokens_free(struct pare_tokens *tokens);
PARE_API const char *pare_token_piece(const pare_model *model, uint32_t id); // NULL: no such id
// *out: NUL-terminated, to be freed with free().
PARE_API enum pare_status pare_detokenize(const pare_model *model, const uint32_t *ids, size_t n, bool skip_special,
                                          char **out, struct pare_error *err);

// ---- session: ids to logits -----------------------------------------------------------------------------------------
struct pare_session_options {
  size_t batch_tokens; // most tokens in one forward pass, all sequences together; 0: enough for one of the longest
  bool alone;          // computes on the calling thread and leaves the engine's others to other sessions
};
PARE_API enum pare_status pare_session_open(pare_model *model, const struct pare_session_options *options,
                                            pare_session **out, struct pare_error *err);
PARE_API void pare_session_close(pare_session *session);
PARE_API size_t pare_session_bytes(const pare_session *session); // its arena, as computed from the configuration

struct pare_sequence {
  const uint32_t *ids;
  const uint8_t *types; // NULL: all 0
  size_t len;           // 1 .. pare_model_max_tokens
  // Encoder-decoders: what the decoder is given, 1 .. pare_model_max_tokens ids; NULL: its start id alone.
  const uint32_t *decoder_ids;
  size_t decoder_len;
};
// Rows of pare_model_output_width: one per sequence for a classifier, else one per token (of the decoder's ids, for an
// encoder-decoder), sequences one after another.
// Any n: split into ragged batches inside; the answer to a sequence does not depend on the others, on the split or on
// the thread count.
PARE_API enum pare_status pare_session_logits(pare_session *session, const struct pare_sequence *sequences, size_t n,
                                              float *logits, struct pare_error *err);

// ---- classification -------------------------------------------------------------------------------------------------
struct pare_classify_options {
  const char *const *labels; // candidate phrases: zero-shot over an NLI model; NULL: the model's own labels
  size_t label_count;
  const char *template_text; // with labels; NULL: "This example is {}."
  bool multi_label;          // independent scores (sigmoid, or entailment against contradiction)
  size_t max_tokens;         // 0: the model's longest
};
// Labels an answer chooses from: options->label_count, or the model's.
PARE_API size_t pare_classify_label_count(const pare_model *model, const struct pare_classify_options *options);
// scores (n, label count) in label order: softmax, or sigmoid when multi-label. logits may be NULL; else the same shape
// (zero-shot: the entailment logit of each label). options may be NULL.
PARE_API enum pare_status pare_classify(pare_session *session, const struct pare_text *texts, size_t n,
                                        const struct pare_classify_options *options, float *scores, float *logits,
                                        struct pare_error *err);

// ---- generation -----------------------------------------------------------------------------------------------------
// An encoder-decoder (PARE_TASK_SEQ2SEQ) answers a text, a language model continues it. Where a field is 0, an
// encoder-decoder follows its generation_config.json (or config.json, where older models keep those keys); a language
// model uses the value named here. PARE_OFF switches off what the model's own configuration asks for.
#define PARE_OFF SIZE_MAX
enum pare_early_stopping {
  PARE_EARLY_DEFAULT, // the model's own; else PARE_EARLY_FALSE
  PARE_EARLY_FALSE,   // stop when the best beam still open is not likely to beat the worst finished one
  PARE_EARLY_TRUE,    // stop when there are as many finished beams as beams
  PARE_EARLY_NEVER,   // stop when no open beam can
};
struct pare_logit_bias {
  uint32_t id;
  float bias; // -100 to 100
};
struct pare_generate_options {
  size_t max_tokens;         // new tokens; 0: 128. Never past the model's longest
  double temperature;        // 0: greedy, the highest logit, ties to the lower id
  size_t top_k;              // 0: off
  double top_p, min_p;       // 0: off
  double repetition_penalty; // 0 or 1: off; over prompt and answer
  uint64_t seed;             // prompt i draws from seed + i, so an answer does not depend on the others
  const char *const *stop;   // the answer ends before the first of these
  size_t stop_count;
  // Called with each piece of prompt `index`'s answer once it can no longer change; NULL: not streamed.
  // With beams, min_tokens or no_repeat_ngram, and from an encoder-decoder, an answer comes in one piece.
  void (*on_text)(void *context, size_t index, const char *text, size_t len);
  void *context;
  size_t beams;            // 0: 1. Above 1: beam search, which excludes a temperature; at most 64
  size_t min_tokens;       // new tokens before an end-of-text id may come
  size_t no_repeat_ngram;  // no run of so many ids comes twice in a prompt and its answer
  double length_penalty;   // with has_length_penalty: a beam's score is the sum of log p over its length to this power
  bool has_length_penalty; // false: 1
  enum pare_early_stopping early_stopping;
  // Off the logit of an id in the answer: once, and for each time; -2 to 2. With bias PARE_USAGE from a search (beams,
  // min_tokens, no_repeat_ngram) and an encoder-decoder.
  double presence_penalty, frequency_penalty;
  const struct pare_logit_bias *bias; // added to the logits of some ids, greedy or not
  size_t bias_count;
  // Called between steps, from the calling thread; false: pare_generate ends with PARE_UNAVAILABLE. NULL: never.
  bool (*go_on)(void *context);
  bool alone; // computes on the calling thread and leaves the engine's others to other sessions
};
enum pare_finish { PARE_FINISH_LENGTH, PARE_FINISH_EOS, PARE_FINISH_STOP };
struct pare_generation {
  char *text; // what follows the prompt, text_len bytes and a NUL; owned. A model may well write a NUL itself
  size_t text_len;
  uint32_t *ids; // new ids, an end-of-text id not among them; owned
  size_t count;
  enum pare_finish finish;
  bool truncated; // only the beginning of the prompt was read
};
// Continues (an encoder-decoder: answers) n prompts together, their pairs ignored. out (n) is filled on success;
// pare_generation_free each. A prompt too long to be continued is PARE_DATA; an encoder-decoder's is cut to the model's
// longest, which `truncated` says.
PARE_API enum pare_status pare_generate(pare_model *model, const struct pare_text *prompts, size_t n,
                                        const struct pare_generate_options *options, struct pare_generation *out,
                                        struct pare_error *err);
PARE_API void pare_generation_free(struct pare_generation *g); // accepts a zeroed struct

// ---- data -----------------------------------------------------------------------------------------------------------
struct pare_dataset_options {
  const char *text_column, *label_column; // NULL: "text", "label" ("pair" is always named so)
  const char *reference_column;           // what an answer in words should be; NULL: "reference", else "summary"
  size_t limit;                           // 0: all rows
};
// .txt (one text per line), .csv and .tsv (RFC 4180 quoting, header), .jsonl; "-" reads standard input as .txt lines.
// PARE_DATA names the line.
PARE_API enum pare_status pare_dataset_open(const char *path, const struct pare_dataset_options *options,
                                            pare_dataset **out, struct pare_error *err);
PARE_API void pare_dataset_close(pare_dataset *data);
PARE_API size_t pare_dataset_rows(const pare_dataset *data);
PARE_API struct pare_text pare_dataset_text(const pare_dataset *data, size_t row);
PARE_API const char *pare_dataset_label(const pare_dataset *data,
                                        size_t row); // NULL: no label column, or an empty cell

// ---- progress
// ---------------------------------------------------------------------------------------------------------- Called now
// and then during long work, from the calling thread; done <= total.
struct pare_progress {
  void (*report)(void *context, const char *stage, size_t done, size_t total); // NULL: silent
  void *context;
};

// ---- training a linear classifier
// -------------------------------------------------------------------------------------
struct pare_train_options {
  struct pare_dataset_options data; // columns of the data, and of `valid`
  const char *valid;         // labelled file that accuracy is measured on; NULL: a tenth of the rows, at most 10,000
  size_t word_min, word_max; // lengths of the word n-grams; all four 0: words of 1 to 2
  size_t char_min, char_max; // of the character n-grams within words; 0: none
  size_t bits;               // 2^bits hash buckets; 0: 20
  bool keep_case;            // upper and lower case differ
  bool unnormalized;         // a text's features are not scaled to length 1
  size_t min_count;          // features of at least so many texts; 0: 2
  size_t max_iterations;     // of the solver; 0: 100
  double c;                  // data against penalty, scikit-learn's C; 0: chosen by what it gets right
  size_t precision;          // bits of a weight, 32, 16 or 8; 0: the smallest file that loses little
  double max_accuracy_drop;  // how little: a fraction
  size_t max_bytes;          // of the weight file; 0: no limit
  double prune;              // share of the weights that is taken out, in [0, 1)
  uint64_t seed;             // which rows are held out; kept in the record, so below 2^53
  const char *command;       // kept in pare.json
  struct pare_progress progress;
};
// Learns a linear classifier over hashed n-grams from the labelled file at data and writes it as a directory at out (by
// rename). Accuracy is of rows not learnt from; the model written has then learnt from all of data. The same bytes
// whatever the thread count and the instruction set. *record: accuracy, bytes, features, labels, candidates[], because.
PARE_API enum pare_status pare_train(pare_engine *engine, const char *data, const char *out,
                                     const struct pare_train_options *options, pare_record **record,
                                     struct pare_error *err);

// ---- the main job ---------------------------------------------------------------------------------------------------
// Texts a scheme with fixed activation ranges (int8-static) watches the original read.
struct pare_calibrate_options {
  const char *file;   // NULL: none. A data file as pare_dataset_open takes it
  size_t rows;        // the first so many rows; 0: 512
  const char *method; // NULL or "minmax": the extremes; "percentile": the ends cut off
  double percentile;  // share of values kept, in per cent, with "percentile"; 0: 99.99
};

struct pare_quantize_options {
  const char *scheme; // a name `pare schemes` lists; "+prune=0.3" after it zeroes three tenths of the weights first
  const char *const *keep; // "REGEX=SCHEME" rules, first match wins
  size_t keep_count;
  bool portable;       // what the other tool cannot hold stays F16
  const char *format;  // NULL or "hf": a Hugging Face directory; "onnx": an ONNX model for onnxruntime
  bool onnx_per_token; // ONNX, int8: activations quantized per token, as pare computes, instead of whole
  bool even_if_larger; // write although not smaller (otherwise PARE_REFUSED, and the record says so)
  bool dry_run;        // plan only; out may be NULL
  const char *command; // kept in pare.json
  struct pare_calibrate_options
      calibrate; // PARE_USAGE when the scheme needs it and has it not, and the other way round
  struct pare_progress progress;
};
// Reads the model directory at path and writes a quantized one at out (by rename). *record: scheme, bytes_before,
// bytes_after, tensors[], sha256; set on PARE_OK and PARE_REFUSED.
PARE_API enum pare_status pare_quantize(pare_engine *engine, const char *path, const char *out,
                                        const struct pare_quantize_options *options, pare_record **record,
                                        struct pare_error *err);

struct pare_convert_options {
  const char *format;  // "hf": one safetensors file; "onnx"
  bool onnx_per_token; // as above
  bool dry_run;        // size only; out may be NULL
  const char *command; // kept in pare.json
};
// Writes the model in another file format without quantizing: every weight keeps its encoding, weights the
// architecture does not use are left out. Norms and biases are F32 in ONNX. *record: as pare_quantize's, `method` being
// "kept".
PARE_API enum pare_status pare_convert(pare_engine *engine, const char *path, const char *out,
                                       const struct pare_convert_options *options, pare_record **record,
                                       struct pare_error *err);

struct pare_compare_options {
  const char *const *schemes; // schemes to quantize the original with ...
  size_t scheme_count;
  const char *const *candidates; // ... and directories quantized earlier
  size_t candidate_count;
  struct pare_classify_options classify;
  struct pare_generate_options generate; // of models that write text; max_tokens 0: 32; on_text is not called
  struct pare_dataset_options data;
  // Zero-shot: data_labels[i] is the label in the data that classify.labels[i] stands for; NULL: the phrases
  // themselves.
  const char *const *data_labels;
  size_t iterations;                       // latency runs per model, one text each; 0: 300; at most 100000
  uint64_t seed;                           // order of interleaving, bootstrap; kept in the record, so below 2^53
  const char *gate;                        // gate file, or NULL
  const char *samples;                     // raw per-item records are written here (JSONL), or NULL
  const char *command;                     // kept in the record
  struct pare_calibrate_options calibrate; // for those of `schemes` that need it
  struct pare_progress progress;
};
// Every candidate against the original, interleaved. Returns PARE_OK, or the gate's PARE_REFUSED or PARE_INCONCLUSIVE;
// *record is set in all three cases.
PARE_API enum pare_status pare_compare(pare_engine *engine, const char *original, const char *data,
                                       const struct pare_compare_options *options, pare_record **record,
                                       struct pare_error *err);
// The original alone: options->schemes and candidates are ignored; no latency runs beyond the evaluation itself.
PARE_API enum pare_status pare_eval(pare_engine *engine, const char *model, const char *data,
                                    const struct pare_compare_options *options, pare_record **record,
                                    struct pare_error *err);

// Several comparisons and what follows from them, as a study file says (docs/studies.md). Paths in the file are
// relative to its folder. Returns PARE_OK, PARE_REFUSED or PARE_INCONCLUSIVE, *record set in all three cases.
struct pare_study_options {
  // For a model that is not below the study's folder: its path, to be freed with free(). NULL: an error.
  enum pare_status (*find_model)(void *context, const char *name, char **path, struct pare_error *err);
  void *context;
  size_t limit, iterations; // 0: as each part says; for a quick look
  const char *command;      // kept in the record
  struct pare_progress progress;
};
PARE_API enum pare_status pare_study(pare_engine *engine, const char *path, const struct pare_study_options *options,
                                     pare_record **record, struct pare_error *err);

// What a run is: a batch of random ids for every pair of batches and lengths; the texts of a file as one ragged batch;
// or, from a model that generates text, random prompts continued greedily for every pair of prompts and streams.
// Tokenization is not timed. data and generate exclude each other, and the fields of the other ways.
struct pare_bench_options {
  const char *against;   // a second model, interleaved; NULL: alone
  const size_t *batches; // sequences per run; NULL: {1}
  size_t batch_count;
  const size_t *lengths; // tokens per sequence; NULL: {16, 64, the longest}
  size_t length_count;
  size_t max_tokens;                  // with lengths NULL, or of each text: the longest; 0: the model's longest
  size_t iterations;                  // 0: 60; at most 100000
  uint64_t seed;                      // the random ids; kept in the record, so below 2^53
  const char *data;                   // file of texts; NULL: none
  struct pare_dataset_options source; // of data: which column, how many rows
  size_t generate;                    // new tokens of each stream; 0: nothing is generated
  const size_t *prompts;              // tokens per prompt; NULL: {16}
  size_t prompt_count;
  const size_t *streams; // prompts continued together; NULL: {1}
  size_t stream_count;
  struct pare_progress progress;
};
PARE_API enum pare_status pare_bench(pare_engine *engine, const char *model, const struct pare_bench_options *options,
                                     pare_record **record, struct pare_error *err);

struct pare_perplexity_options {
  const char
      *base; // a second model of the same vocabulary, the reference for KL divergence and same-top-token; NULL: none
  size_t context; // tokens in a window; 0: the model's longest
  size_t stride;  // tokens a window moves by; 0: half a window. A window scores what no earlier one scored
  size_t limit;   // most tokens of the text; 0: all
  struct pare_progress progress;
};
// How well a language model predicts the text file at data. Record: perplexity, ci95, nll, tokens, bits_per_byte, and
// with a base also base_perplexity, kl_mean, kl_median, kl_p99, kl_max, same_top, ln_ratio_mean with its interval.
PARE_API enum pare_status pare_perplexity(pare_engine *engine, const char *model, const char *data,
                                          const struct pare_perplexity_options *options, pare_record **record,
                                          struct pare_error *err);

PARE_API enum pare_status pare_schemes(pare_record **record, struct pare_error *err);
// Models below the folders in `roots`: name, arch, task, path, parameters, size_bytes.
PARE_API enum pare_status pare_models(const char *const *roots, size_t root_count, pare_record **record,
                                      struct pare_error *err);

// ---- records --------------------------------------------------------------------------------------------------------
enum pare_format { PARE_JSON, PARE_JSON_LINES, PARE_TEXT, PARE_MARKDOWN, PARE_HTML };
struct pare_render_options {
  size_t width; // PARE_TEXT: columns; 0: 100
  bool color;   // PARE_TEXT: ANSI colours
};
// *out: NUL-terminated, to be freed with free(). HTML and Markdown: compare, eval and study records only (else
// PARE_USAGE). JSON_LINES: one object per line, the rows of list-like records (schemes, models, bench) apart.
PARE_API enum pare_status pare_record_render(const pare_record *record, enum pare_format format,
                                             const struct pare_render_options *options, char **out,
                                             struct pare_error *err);
// A record of compare, eval or a study, as PARE_JSON wrote it. It is rendered only if nothing in it disagrees.
PARE_API enum pare_status pare_record_open(const char *path, pare_record **record, struct pare_error *err);
PARE_API void pare_record_close(pare_record *record);

#ifdef __cplusplus
}
#endif
#endif
