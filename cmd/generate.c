// generate.c - pare generate
#include "base/error.h"
#include "command.h"
#include "generation.h"
#include "sampling.h"

struct options {
  struct generation g;
  struct sampling sampling;
  const char *presence, *frequency;
  bool stream;
};

static void print_json(const struct opened *opened, const struct pare_text *prompt, const struct pare_generation *g) {
  printf("{\"prompt\":");
  output_json_string(prompt->text, prompt->len);
  printf(",\"text\":");
  output_json_string(g->text, g->text_len);
  putchar(',');
  generation_print_ids(g);
  printf(",\"finish_reason\":\"%s\"", generation_finish(g->finish));
  output_json_used(opened);
  puts("}");
}

static void stream_piece(void *context, size_t index, const char *text, size_t len) {
  (void)context;
  (void)index;
  fwrite(text, 1, len, stdout);
  fflush(stdout);
}

struct shown {
  const struct options *o;
  const struct opened *opened;
  const struct inputs *in;
};

// An encoder-decoder's answer does not go on from the prompt, so the prompt is not printed before it.
static bool continues(const pare_model *model) {
  return pare_model_task(model) != PARE_TASK_SEQ2SEQ;
}

static void show(const void *context, size_t index, const struct pare_generation *g) {
  const struct shown *s = context;
  const struct pare_text *prompt = &s->in->texts[index];
  generation_note(&s->o->g.use.common, s->opened->model, index, g);
  if (s->o->g.use.common.json) {
    print_json(s->opened, prompt, g);
    return;
  }
  if (!s->o->stream) {
    if (index) puts("----");
    if (continues(s->opened->model)) fwrite(prompt->text, 1, prompt->len, stdout);
    fwrite(g->text, 1, g->text_len, stdout);
  }
  putchar('\n');
}

static enum pare_status answer(const struct options *o, const struct opened *opened, const struct inputs *in,
                               struct pare_generate_options *how, struct pare_error *err) {
  if (o->stream) {
    how->on_text = stream_piece;
    if (continues(opened->model)) fwrite(in->texts[0].text, 1, in->texts[0].len, stdout);
    fflush(stdout);
  }
  struct shown shown = {o, opened, in};
  return generation_run(opened->model, in, how, show, &shown, err);
}

static enum pare_status check(const struct options *o, const struct args *args, struct pare_error *err) {
  if (args->count < 1) return error_set(err, PARE_USAGE, "generate: expected MODEL and PROMPT, found nothing");
  if (args->count == 1 && !o->g.input)
    return error_set(err, PARE_USAGE, "generate: expected PROMPT, --input FILE or - after MODEL, found none");
  if (o->stream && o->g.use.common.json)
    return error_set(err, PARE_USAGE, "generate: --stream and --json exclude each other");
  return PARE_OK;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct opened opened = {0};
  struct inputs in = {0};
  struct input_source source = {.words = args->words + 1,
                                .count = args->count ? args->count - 1 : 0,
                                .file = o->g.input,
                                .text_column = o->g.text_column};
  struct pare_generate_options how;
  enum pare_status status = check(o, args, err);
  if (status == PARE_OK) status = generation_options(&o->g, &how, err);
  if (status == PARE_OK) status = sampling_options(&o->sampling, &how, err);
  if (status == PARE_OK) status = args_real(o->presence, "presence-penalty", &how.presence_penalty, err);
  if (status == PARE_OK) status = args_real(o->frequency, "frequency-penalty", &how.frequency_penalty, err);
  if (status == PARE_OK) status = open_preferred(&o->g.use, args->words[0], &opened, err);
  if (status == PARE_OK) status = inputs_read(&source, &in, err);
  if (status == PARE_OK && o->stream && in.count != 1)
    status = error_set(err, PARE_USAGE, "generate: --stream takes one prompt, found %zu", in.count);
  if (status == PARE_OK) status = answer(o, &opened, &in, &how, err);
  inputs_free(&in);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"temperature", 0, ARG_STRING, offsetof(struct options, sampling.temperature), "T",
     "0: greedy (the default); higher draws more freely"},
    {"top-k", 0, ARG_SIZE, offsetof(struct options, sampling.top_k), "K", "draw among the K likeliest tokens"},
    {"top-p", 0, ARG_STRING, offsetof(struct options, sampling.top_p), "P",
     "draw among the likeliest that together reach P"},
    {"min-p", 0, ARG_STRING, offsetof(struct options, sampling.min_p), "P",
     "draw among those at least P times as likely as the likeliest"},
    {"presence-penalty", 0, ARG_STRING, offsetof(struct options, presence), "P",
     "off the logit of every id that the answer holds, -2 to 2"},
    {"frequency-penalty", 0, ARG_STRING, offsetof(struct options, frequency), "P",
     "the same for each time it holds it; neither goes with beams, nor with an encoder-decoder"},
    {"seed", 0, ARG_SEED, offsetof(struct options, sampling.seed), "S", "same seed, same draws (0)"},
    {"stop", 0, ARG_LIST, offsetof(struct options, sampling.stop), "TEXT",
     "end before TEXT; may be given several times"},
    {"stream", 0, ARG_FLAG, offsetof(struct options, stream), NULL, "print the text as it comes"},
};
static const struct arg_spec spec = {
    .name = "generate",
    .usage = "MODEL PROMPT... [options]\n       pare generate MODEL --input FILE [options]",
    .about =
        "Continues prompts with a language model, or answers texts with an encoder-decoder. Greedy unless "
        "--temperature,\n"
        "--top-k, --top-p or --min-p asks for draws (the same seed gives the same text, alone or among other prompts) "
        "or\n"
        "--beams for a beam search. The whole text is printed, prompt first. --json: prompt, text (what was added), "
        "ids,\n"
        "finish_reason (length, eos, stop).",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .shared = generation_table,
    .shared_count = GENERATION_OPTIONS,
    .more = preference_table,
    .more_count = PREFERENCE_OPTIONS,
    .example =
        "  pare generate path/to/gpt2 \"The weather today\" --max-tokens 40\n"
        "  pare generate path/to/gpt2 \"Once upon a time\" --temperature 0.8 --top-p 0.95 --seed 7 --stream\n"
        "  pare generate path/to/gpt2 \"The weather today\" --beams 4 --no-repeat-ngram 3\n",
    .run = run,
};

enum pare_status cmd_generate(int argc, char **argv, struct pare_error *err) {
  struct options o = {.g = GENERATION_DEFAULTS};
  return args_run(&spec, argc, argv, &o, err);
}
