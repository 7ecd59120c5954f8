// summarize.c - pare summarize
#include "base/error.h"
#include "command.h"
#include "generation.h"

struct options {
  struct generation g;
};

struct shown {
  const struct options *o;
  const struct opened *opened;
  const struct inputs *in;
};

static void show(const void *context, size_t index, const struct pare_generation *g) {
  const struct shown *s = context;
  generation_note(&s->o->g.use.common, s->opened->model, index, g);
  if (s->o->g.use.common.json) {
    const struct pare_text *text = &s->in->texts[index];
    printf("{\"text\":");
    output_json_string(text->text, text->len);
    printf(",\"summary\":");
    output_json_string(g->text, g->text_len);
    putchar(',');
    generation_print_ids(g);
    printf(",\"truncated\":%s", g->truncated ? "true" : "false");
    output_json_used(s->opened);
    puts("}");
    return;
  }
  fwrite(g->text, 1, g->text_len, stdout);
  putchar('\n');
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count < 1) return error_set(err, PARE_USAGE, "summarize: expected MODEL and TEXT, found nothing");
  if (args->count == 1 && !o->g.input)
    return error_set(err, PARE_USAGE, "summarize: expected TEXT, --input FILE or - after MODEL, found none");
  struct opened opened = {0};
  struct inputs in = {0};
  struct input_source source = {
      .words = args->words + 1, .count = args->count - 1, .file = o->g.input, .text_column = o->g.text_column};
  struct pare_generate_options how;
  enum pare_status status = generation_options(&o->g, &how, err);
  if (status == PARE_OK) status = open_preferred(&o->g.use, args->words[0], &opened, err);
  if (status == PARE_OK && pare_model_task(opened.model) != PARE_TASK_SEQ2SEQ)
    status = error_set(err, PARE_USAGE, "summarize: %s is not an encoder-decoder; `pare generate` continues prompts",
                       args->words[0]);
  if (status == PARE_OK) status = inputs_read(&source, &in, err);
  struct shown shown = {o, &opened, &in};
  if (status == PARE_OK) status = generation_run(opened.model, &in, &how, show, &shown, err);
  inputs_free(&in);
  opened_close(&opened);
  return status;
}

static const struct arg_spec spec = {
    .name = "summarize",
    .usage = "MODEL TEXT... [options]\n       pare summarize MODEL --input FILE [options]",
    .about =
        "Shortens texts with an encoder-decoder model (BART, DistilBART). Beams, lengths and the like are those of "
        "the\n"
        "model's generation_config.json unless an option says otherwise; the ids are those transformers gives. A text\n"
        "longer than the model reads is cut, with a note. One summary per line; --json: text, summary, ids, truncated.",
    .shared = generation_table,
    .shared_count = GENERATION_OPTIONS,
    .more = preference_table,
    .more_count = PREFERENCE_OPTIONS,
    .example =
        "  pare summarize path/to/bart --input articles.txt\n"
        "  pare summarize path/to/bart \"A long article ...\" --beams 4 --max-tokens 60 --min-tokens 10 --json\n",
    .run = run,
};

enum pare_status cmd_summarize(int argc, char **argv, struct pare_error *err) {
  struct options o = {.g = GENERATION_DEFAULTS};
  return args_run(&spec, argc, argv, &o, err);
}
