// plan.c - see plan.h.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "quant/plan.h"

#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"

struct rule {
  const char *text; // as given, for messages
  pcre2_code *regex;
  struct scheme_choice choice;
  bool matched; // some matrix's name, whether or not an earlier rule took it
};

struct planner {
  struct plan *plan;
  const pare_model *model;
  struct rule *rules;
  size_t rule_count;
  struct scheme_choice wanted;
  const struct scheme *f16, *int8;
  enum pare_status status; // of matching rules: the first failure
  struct pare_error *err;
};

static enum pare_status parse_rule(const char *text, struct rule *out, struct pare_error *err) {
  // The last '=', or the one before when the last is that of +prune=SHARE.
  const char *eq = strrchr(text, '='), *prune = strstr(text, "+prune=");
  if (prune && eq == prune + strlen("+prune")) eq = memrchr(text, '=', (size_t)(eq - text));
  if (!eq || eq == text || !eq[1]) return error_set(err, PARE_USAGE, "--keep %.80s: expected REGEX=SCHEME", text);
  out->text = text;
  enum pare_status s = scheme_parse(eq + 1, &out->choice, err);
  if (s) return s;
  int code;
  PCRE2_SIZE at;
  out->regex = pcre2_compile((PCRE2_SPTR)text, (PCRE2_SIZE)(eq - text), 0, &code, &at, NULL);
  if (out->regex) return PARE_OK;
  PCRE2_UCHAR message[120];
  pcre2_get_error_message(code, message, sizeof message);
  return error_set(err, PARE_USAGE, "--keep %.80s: at %zu: %s", text, (size_t)at, (const char *)message);
}

// The choice of the first rule that matches; NULL when none does.
static const struct scheme_choice *rule_for(struct planner *p, const char *name) {
  const struct scheme_choice *found = NULL;
  for (size_t i = 0; i < p->rule_count && !p->status; i++) {
    struct rule *rule = &p->rules[i];
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(rule->regex, NULL);
    int n = match ? pcre2_match(rule->regex, (PCRE2_SPTR)name, strlen(name), 0, 0, match, NULL) : PCRE2_ERROR_NOMEMORY;
    pcre2_match_data_free(match);
    if (n >= 0) {
      rule->matched = true;
      if (!found) found = &rule->choice;
    } else if (n != PCRE2_ERROR_NOMATCH) { // a pattern that backtracks without end, say
      p->status = error_set(p->err, PARE_USAGE, "--keep %.80s: cannot be matched against %s (PCRE2 error %d)",
                            rule->text, name, n);
    }
  }
  return found;
}

// A pattern that names nothing is a slip of the pen: the user would believe a tensor was kept.
static enum pare_status check_matched(const struct planner *p) {
  if (p->status) return p->status;
  for (size_t i = 0; i < p->rule_count; i++) {
    if (!p->rules[i].matched)
      return error_set(p->err, PARE_USAGE, "--keep %.80s: no matrix of %s has such a name; `pare info` lists them",
                       p->rules[i].text, p->model->path);
  }
  return PARE_OK;
}

static bool is_bitsandbytes(const struct scheme *s) {
  return s->encoding == &encoding_nf4 || s->encoding == &encoding_nf4_dq || s->encoding == &encoding_llm_int8;
}

// One quantization_config describes a portable file, so beside the scheme's own encoding it holds plain F16 only.
static enum pare_status check_rule(const struct planner *p, const struct rule *r, struct pare_error *err) {
  const struct scheme *wanted = p->plan->scheme, *kept = r->choice.scheme;
  if (!p->plan->portable || kept == wanted || kept == p->f16) return PARE_OK;
  if (wanted->method == &method_cast && kept->method == &method_cast) return PARE_OK;
  return error_set(err, PARE_USAGE, "--keep %.80s: a portable %s file holds %s and f16 only", r->text, wanted->name,
                   wanted->name);
}

static const struct scheme *portable_scheme(const struct planner *p, const struct arch_row *row, size_t K) {
  const struct scheme *wanted = p->plan->scheme;
  if (wanted->method == &method_cast) return wanted;
  if (row->role == ROLE_EMBEDDING) return p->f16;
  if (is_bitsandbytes(wanted))
    return row->head && row->bare ? p->f16 : wanted; // transformers skips heads, so name no exceptions
  if (wanted->encoding == &encoding_int4 && K % I4_GROUP) return p->f16; // compressed-tensors' groups are whole
  return row->role == ROLE_CONV1D ? p->f16 : wanted;
}

static void choose(struct planner *p, const struct arch_row *row, const struct weight *w, struct plan_item *item) {
  const struct scheme_choice *kept = rule_for(p, w->name), *choice = kept ? kept : &p->wanted;
  item->scheme = choice->scheme;
  if (p->plan->portable && choice->scheme == p->plan->scheme) item->scheme = portable_scheme(p, row, w->K);
  if (item->scheme->encoding == &encoding_int8_static && !weights_is_linear(row, &p->model->config))
    item->scheme = p->int8;
  if (row->role == ROLE_LINEAR || row->role == ROLE_CONV1D || row->role == ROLE_BAG) item->prune = choice->prune;
}

// Portable files keep every plain tensor in one type, which both readers need; else a vector stays as the source has
// it.
static const struct encoding *vector_encoding(const struct planner *p, const struct weight *w) {
  const struct scheme *wanted = p->plan->scheme;
  if (wanted->method == &method_cast) return wanted->encoding;
  return p->plan->portable ? &encoding_f16 : w->stored.encoding;
}

static void add_item(void *context, const struct arch_row *row, const struct weight *w) {
  struct planner *p = context;
  struct plan_item *item = &p->plan->items[p->plan->count++];
  *item = (struct plan_item){.row = row, .weight = w};
  if (row->k == D_NONE) {
    item->vector = vector_encoding(p, w);
  } else {
    choose(p, row, w, item);
  }
}

static void count_item(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  (void)w;
  ++*(size_t *)context;
}

static enum pare_status check_source(const struct plan *p, const pare_model *m, struct pare_error *err) {
  for (size_t i = 0; i < p->count; i++) {
    const struct encoding *e = p->items[i].weight->stored.encoding;
    if (e == &encoding_f32 || e == &encoding_f16 || e == &encoding_bf16) continue;
    if (e == &encoding_sparse_f32 || e == &encoding_sparse_f16) continue;
    return error_set(err, PARE_DATA, "%s: tensor %s is %s already: quantize the original instead", m->path,
                     p->items[i].weight->name, e->name);
  }
  return PARE_OK;
}

static const char *quant_method(const struct plan *p) {
  bool floats = true;
  for (size_t i = 0; i < p->count; i++)
    if (p->items[i].scheme && p->items[i].scheme->method != &method_cast) floats = false;
  if (floats) return NULL;
  if (!p->portable) return "pare";
  return is_bitsandbytes(p->scheme) ? "bitsandbytes" : "compressed-tensors";
}

enum pare_status plan_make(const pare_model *m, const struct pare_quantize_options *options, struct plan *out,
                           struct pare_error *err) {
  struct planner p = {.plan = out, .model = m, .rule_count = options->keep_count, .err = err};
  *out = (struct plan){.portable = options->portable, .ngrams = m->ngrams};
  enum pare_status s = scheme_parse(options->scheme, &p.wanted, err);
  if (s) return s;
  out->scheme = p.wanted.scheme;
  scheme_name(&p.wanted, out->name, sizeof out->name);
  if (out->portable && out->scheme->encoding == &encoding_int16)
    return error_set(err, PARE_USAGE, "scheme int16 has no portable form: no other tool reads it");
  if (out->portable && m->arch->ours)
    return error_set(err, PARE_USAGE, "%s: %s has no portable form: no other tool reads it quantized", m->path,
                     m->arch->name);
  if (m->arch->bag && out->scheme->calibrated)
    return error_set(err, PARE_UNAVAILABLE, "%s: scheme %s: %s has no activations to watch; int8 is the same", m->path,
                     out->name, m->arch->name);
  size_t count = 0;
  model_each_weight(m, count_item, &count);
  out->items = calloc(count ? count : 1, sizeof *out->items);
  p.rules = calloc(p.rule_count ? p.rule_count : 1, sizeof *p.rules);
  s = out->items && p.rules ? PARE_OK : error_no_memory(err);
  if (!s) s = scheme_find("f16", &p.f16, err);
  if (!s) s = scheme_find("int8", &p.int8, err);
  for (size_t i = 0; !s && i < p.rule_count; i++) {
    s = parse_rule(options->keep[i], &p.rules[i], err);
    if (!s) s = check_rule(&p, &p.rules[i], err);
  }
  if (!s) model_each_weight(m, add_item, &p);
  if (!s) s = check_matched(&p);
  if (!s) s = check_source(out, m, err);
  if (!s) out->method_name = quant_method(out);
  for (size_t i = 0; p.rules && i < p.rule_count; i++) pcre2_code_free(p.rules[i].regex);
  free(p.rules);
  if (s) plan_free(out);
  return s;
}

bool plan_calibrates(const struct plan *p) {
  for (size_t i = 0; i < p->count; i++)
    if (p->items[i].scheme && p->items[i].scheme->calibrated) return true;
  return false;
}

static const struct scheme *scheme_of(const struct encoding *e) {
  size_t count;
  const struct scheme *all = schemes_all(&count);
  for (size_t i = 0; i < count; i++)
    if (all[i].encoding == e) return &all[i];
  return NULL;
}

static void keep_item(void *context, const struct arch_row *row, const struct weight *w) {
  struct plan *p = context;
  bool vector = row->k == D_NONE;
  p->items[p->count++] = (struct plan_item){.row = row,
                                            .weight = w,
                                            .scheme = vector ? NULL : scheme_of(w->stored.encoding),
                                            .vector = vector ? w->stored.encoding : NULL};
}

enum pare_status plan_keep(const pare_model *m, struct plan *out, struct pare_error *err) {
  size_t count = 0;
  model_each_weight(m, count_item, &count);
  *out = (struct plan){.ngrams = m->ngrams, .items = calloc(count ? count : 1, sizeof *out->items)};
  if (!out->items) return error_no_memory(err);
  snprintf(out->name, sizeof out->name, "%s", m->scheme);
  model_each_weight(m, keep_item, out);
  return PARE_OK;
}

void plan_free(struct plan *p) {
  free(p->items);
  *p = (struct plan){0};
}
