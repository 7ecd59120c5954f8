// compare.c - pare compare
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "calibration.h"
#include "evaluation.h"

struct options {
  struct evaluation evaluation;
  const char *schemes, *gate, *study;
  size_t iterations;
  struct calibration calibrate;
};

// What the options name, made ready before the long work.
struct prepared {
  const char **schemes;
  size_t scheme_count;
  char **candidates;
  size_t candidate_count;
  struct labels labels;
  struct pare_calibrate_options calibrate;
  struct opened opened;
};

// A study file says itself what is compared and on what.
static enum pare_status check_study(const struct options *o, const struct args *args, struct pare_error *err) {
  const struct evaluation *e = &o->evaluation;
  if (args->count || o->schemes || o->gate || e->data || e->labels || e->samples)
    return error_set(err, PARE_USAGE,
                     "compare: --study FILE names models, schemes, data and gates: expected no others beside it");
  if (!file_exists(o->study)) return error_set(err, PARE_NOFILE, "no study file %s", o->study);
  return evaluation_check_outputs(e, err);
}

static enum pare_status check(const struct options *o, const struct args *args, struct pare_error *err) {
  if (o->study) return check_study(o, args, err);
  if (args->count < 1) return error_set(err, PARE_USAGE, "compare: expected MODEL, found nothing");
  if (!o->schemes && args->count == 1)
    return error_set(err, PARE_USAGE, "compare: expected --schemes a,b,c or CANDIDATE directories");
  if (o->gate && !file_exists(o->gate)) return error_set(err, PARE_NOFILE, "no gate file %s", o->gate);
  return evaluation_check(&o->evaluation, "compare", err);
}

static enum pare_status find_model(void *context, const char *name, char **path, struct pare_error *err) {
  (void)context;
  return resolve_model(name, path, err);
}

static enum pare_status study(const struct options *o, const struct args *args, struct prepared *p,
                              pare_record **record, struct pare_error *err) {
  struct progress progress;
  struct pare_study_options options = {
      .find_model = find_model, .limit = o->evaluation.limit, .iterations = o->iterations, .command = args->command};
  enum pare_status status = open_engine(&o->evaluation.common, &p->opened, err);
  if (status != PARE_OK) return status;
  options.progress = progress_start(&progress, &o->evaluation.common);
  status = pare_study(p->opened.engine, o->study, &options, record, err);
  progress_end(&progress);
  return status;
}

static enum pare_status prepare(const struct options *o, const struct args *args, struct prepared *p,
                                struct pare_error *err) {
  enum pare_status status = PARE_OK;
  if (o->schemes) status = args_split(o->schemes, "schemes", &p->schemes, &p->scheme_count, err);
  if (status == PARE_OK && o->evaluation.labels) status = labels_parse(o->evaluation.labels, &p->labels, err);
  if (status == PARE_OK) status = calibration_options(&o->calibrate, &p->calibrate, err);
  if (status == PARE_OK) status = resolve_model(args->words[0], &p->opened.path, err);
  p->candidates = calloc(args->count, sizeof *p->candidates);
  if (status == PARE_OK && !p->candidates) status = error_no_memory(err);
  for (size_t i = 1; status == PARE_OK && i < args->count; i++) {
    status = resolve_model(args->words[i], &p->candidates[i - 1], err);
    p->candidate_count += status == PARE_OK;
  }
  if (status == PARE_OK) status = open_engine(&o->evaluation.common, &p->opened, err);
  return status;
}

static void prepared_free(struct prepared *p) {
  for (size_t i = 0; i < p->candidate_count; i++) free(p->candidates[i]);
  free(p->candidates);
  free(p->schemes);
  labels_free(&p->labels);
  opened_close(&p->opened);
}

static enum pare_status compare(const struct options *o, const struct args *args, const struct prepared *p,
                                pare_record **record, struct pare_error *err) {
  struct progress progress;
  struct pare_compare_options options;
  enum pare_status status = evaluation_options(&o->evaluation, &p->labels, args, &options, err);
  if (status != PARE_OK) return status;
  options.schemes = p->schemes;
  options.scheme_count = p->scheme_count;
  options.candidates = (const char *const *)p->candidates;
  options.candidate_count = p->candidate_count;
  options.iterations = o->iterations;
  options.gate = o->gate;
  options.calibrate = p->calibrate;
  options.progress = progress_start(&progress, &o->evaluation.common);
  status = pare_compare(p->opened.engine, p->opened.path, o->evaluation.data, &options, record, err);
  progress_end(&progress);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct prepared p = {0};
  pare_record *record = NULL;
  enum pare_status status = check(o, args, err);
  if (status == PARE_OK && o->study) {
    status = study(o, args, &p, &record, err);
  } else {
    if (status == PARE_OK) status = prepare(o, args, &p, err);
    if (status == PARE_OK) status = compare(o, args, &p, &record, err);
  }
  if (record) { // whatever the gate said: a failed gate is when the files are wanted most
    struct pare_error print_err = {0};
    enum pare_status printed = evaluation_print(&o->evaluation, record, &print_err);
    if (printed != PARE_OK) {
      status = printed;
      *err = print_err;
    }
  }
  pare_record_close(record);
  prepared_free(&p);
  return status;
}

static const struct arg_option table[] = {
    {"schemes", 0, ARG_STRING, offsetof(struct options, schemes), "A,B,C",
     "quantize MODEL in these ways; `pare schemes` lists them"},
    {"gate", 0, ARG_STRING, offsetof(struct options, gate), "FILE",
     "limits (YAML or JSON); exit 0 PASS, 1 FAIL, 2 INCONCLUSIVE"},
    {"study", 0, ARG_STRING, offsetof(struct options, study), "FILE",
     "several comparisons and one report, as a study file says\n(docs/studies.md; studies/ holds five)"},
    {"iterations", 0, ARG_SIZE, offsetof(struct options, iterations), "N",
     "latency runs per model (300); P95 needs 59, P99 needs 299"},
    {"calibrate", 0, ARG_STRING, offsetof(struct options, calibrate.file), "FILE", CALIBRATE_HELP},
    {"calibrate-rows", 0, ARG_SIZE, offsetof(struct options, calibrate.rows), "N", CALIBRATE_ROWS_HELP},
    {"calibrate-method", 0, ARG_STRING, offsetof(struct options, calibrate.method), "NAME", CALIBRATE_METHOD_HELP},
    {"percentile", 0, ARG_STRING, offsetof(struct options, calibrate.percentile), "P", PERCENTILE_HELP},
};
static const struct arg_spec spec = {
    .name = "compare",
    .usage = "MODEL (--schemes A,B,C | CANDIDATE...) --data FILE [options]\n       pare compare --study FILE [options]",
    .about =
        "The main job. Quantizes MODEL in several ways (or takes directories quantized earlier), runs every candidate "
        "and the\n"
        "original on the same texts in turns, and says what each costs and brings: size, memory, load time, latency, "
        "accuracy,\n"
        "changed answers, each with its interval. Quantized copies go to a temporary folder and are removed. With "
        "--gate the\n"
        "verdict is the exit code; files are written even when the gate fails.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .shared = evaluation_table,
    .shared_count = EVALUATION_OPTIONS,
    .example =
        "  pare compare agnews-gpt2 --schemes f16,int8,nf4 --data data/ag_news_test.csv --limit 500 --report "
        "report.html\n"
        "  pare compare nli-minilm ./nli-int8 --data data/mnli_dev_2000.jsonl --gate gate.yaml --output record.json\n",
    .run = run,
};

enum pare_status cmd_compare(int argc, char **argv, struct pare_error *err) {
  struct options o = {.evaluation = {.common = {0}}};
  return args_run(&spec, argc, argv, &o, err);
}
