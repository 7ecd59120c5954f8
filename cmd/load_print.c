// load_print.c - what `pare load` measured, as one JSON object or as a table.
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "load.h"

static const struct {
  const char *name, *title;
  double share;
} shares[] = {
    {"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p95", "p95", 0.95}, {"p99", "p99", 0.99}, {"p999", "p99.9", 0.999}};
enum { SHARES = sizeof shares / sizeof shares[0] };

static size_t events(const struct latency *h) {
  return h->count + h->lost;
}

// False when the percentile is not to be told; why then says it.
static bool percentile_ms(const struct latency *h, double share, double *ms, char why[96]) {
  size_t n = events(h), needed = latency_percentile_needs(share);
  uint64_t ns;
  if (n < needed) {
    snprintf(why, 96, "n too small: %zu requests, %zu needed", n, needed);
    return false;
  }
  if (!latency_quantile(h, share, &ns)) {
    snprintf(why, 96, "%zu of %zu requests failed", h->lost, n);
    return false;
  }
  *ms = (double)ns * 1e-6;
  return true;
}

// ---- JSON ----

static json_t *real_or_null(bool known, double x) {
  return known && isfinite(x) ? json_real(x) : json_null();
}

static json_t *latency_json(const struct latency *h, bool histogram) {
  json_t *o = json_object();
  bool any = h->count > 0;
  json_object_set_new(o, "mean", real_or_null(any, latency_mean_ns(h) * 1e-6));
  json_object_set_new(o, "min", real_or_null(any, (double)h->min_ns * 1e-6));
  for (size_t i = 0; i < SHARES; i++) {
    double ms = 0;
    char why[96], key[24];
    bool told = percentile_ms(h, shares[i].share, &ms, why);
    json_object_set_new(o, shares[i].name, real_or_null(told, ms));
    snprintf(key, sizeof key, "%s_reason", shares[i].name);
    if (!told) json_object_set_new(o, key, json_string(why));
  }
  json_object_set_new(o, "max", real_or_null(any, (double)h->max_ns * 1e-6));
  json_object_set_new(o, "n", json_integer((json_int_t)events(h)));
  if (!histogram) return o;
  json_t *rows = json_array();
  for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
    if (!h->buckets[i]) continue;
    json_t *row = json_array();
    json_array_append_new(row, json_real((double)latency_bucket_ns(i) * 1e-6));
    json_array_append_new(row, json_integer(h->buckets[i]));
    json_array_append_new(rows, row);
  }
  json_object_set_new(o, "histogram", rows);
  return o;
}

static json_t *errors_json(const size_t errors[LOAD_ERRORS]) {
  json_t *o = json_object();
  for (size_t i = 0; i < LOAD_ERRORS; i++)
    json_object_set_new(o, load_error_names[i], json_integer((json_int_t)errors[i]));
  return o;
}

static json_t *text_or_null(const char *text) {
  return text[0] ? json_string(text) : json_null();
}

static json_t *trial_json(const struct load_trial *t) {
  json_t *o = json_object();
  json_object_set_new(o, "rate", json_real(t->rate));
  json_object_set_new(o, "answered", json_real(t->answered));
  json_object_set_new(o, "p99_ms", real_or_null(true, t->p99_ms));
  json_object_set_new(o, "error_rate", json_real(t->error_rate));
  json_object_set_new(o, "errors", errors_json(t->errors));
  json_object_set_new(o, "first_error", text_or_null(t->first_error));
  json_object_set_new(o, "requests", json_integer((json_int_t)t->requests));
  json_object_set_new(o, "window_s", json_real(t->window_s));
  json_object_set_new(o, "cut", json_boolean(t->cut));
  json_object_set_new(o, "check", json_boolean(t->check));
  json_object_set_new(o, "meets", json_boolean(t->meets));
  return o;
}

static void search_json(json_t *o, const struct load_search *s) {
  json_object_set_new(o, "max_rate_under_slo", real_or_null(s && s->rate > 0, s ? s->rate : 0));
  const char *reason = s ? s->reason : "not looked for: --find-rate";
  if (reason) json_object_set_new(o, "max_rate_under_slo_reason", json_string(reason));
  if (!s) return;
  json_t *slo = json_object(), *trials = json_array();
  json_object_set_new(slo, "p99_ms", json_real(s->limits.p99_ms));
  json_object_set_new(slo, "max_error_rate", json_real(s->limits.max_error_rate));
  json_object_set_new(o, "slo", slo);
  for (size_t i = 0; i < s->count; i++) json_array_append_new(trials, trial_json(&s->trials[i]));
  json_object_set_new(o, "trials", trials);
}

static json_t *rates_json(const struct load_result *r) {
  bool known = r->window_s > 0;
  json_t *o = json_object();
  json_object_set_new(o, "asked", real_or_null(r->plan.rate > 0, r->plan.rate));
  json_object_set_new(o, "sent", real_or_null(known, (double)r->sent_in_window / r->window_s));
  json_object_set_new(o, "answered", real_or_null(known, (double)r->answered_in_window / r->window_s));
  return o;
}

static void counts_json(json_t *o, const struct load_result *r) {
  json_t *status = json_object(), *bytes = json_object();
  for (size_t i = 0; i < LOAD_STATUS_END; i++) {
    char code[16];
    snprintf(code, sizeof code, "%zu", i);
    if (r->status[i]) json_object_set_new(status, code, json_integer((json_int_t)r->status[i]));
  }
  json_object_set_new(o, "status", status);
  json_object_set_new(o, "errors", errors_json(r->errors));
  json_object_set_new(o, "error_rate",
                      real_or_null(r->requests > 0, (double)load_error_count(r) / (double)r->requests));
  json_object_set_new(o, "first_error", text_or_null(r->first_error));
  json_object_set_new(bytes, "sent", json_integer((json_int_t)r->bytes_sent));
  json_object_set_new(bytes, "received", json_integer((json_int_t)r->bytes_received));
  json_object_set_new(o, "bytes", bytes);
}

enum pare_status load_print_json(const struct load_output *out, const struct load_result *r, struct pare_error *err) {
  const struct load_plan *p = &r->plan;
  json_t *o = json_object();
  if (!o) return error_no_memory(err);
  json_object_set_new(o, "url", json_string(out->request->url));
  json_object_set_new(o, "mode", json_string(p->rate > 0 ? "open" : "closed"));
  json_object_set_new(o, "arrivals", p->rate > 0 ? json_string(p->uniform ? "uniform" : "poisson") : json_null());
  json_object_set_new(o, "connections", json_integer((json_int_t)p->connections));
  json_object_set_new(o, "connects", json_integer((json_int_t)r->connects));
  json_object_set_new(o, "rate", rates_json(r));
  json_object_set_new(o, "warmup_s", json_real(p->warmup_s));
  json_object_set_new(o, "duration_s", json_real(r->window_s));
  json_object_set_new(o, "requests", json_integer((json_int_t)r->requests));
  json_object_set_new(o, "latency_ms", latency_json(&r->latency, out->histogram));
  json_object_set_new(o, "service_ms", latency_json(&r->service, out->histogram));
  json_object_set_new(o, "lag_ms", latency_json(&r->lag, false));
  bool streamed = out->request->stream;
  json_object_set_new(o, "ttft_ms", streamed ? latency_json(&r->first_token, out->histogram) : json_null());
  json_object_set_new(o, "tpot_ms", streamed ? latency_json(&r->token, out->histogram) : json_null());
  json_object_set_new(o, "tokens_per_s",
                      real_or_null(r->tokens_in_window && r->window_s > 0, (double)r->tokens_in_window / r->window_s));
  counts_json(o, r);
  json_object_set_new(o, "cpu_percent", json_real(100 * r->cpu_share));
  json_object_set_new(o, "texts", json_integer((json_int_t)out->request->count));
  json_object_set_new(o, "interrupted", json_boolean(r->interrupted));
  search_json(o, out->search);
  int failed = json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(7));
  json_decref(o);
  putchar('\n');
  return failed && !output_failed() ? error_no_memory(err) : PARE_OK;
}

// ---- text ----

static void print_row(const char *name, const struct latency *h) {
  if (events(h) == 0) return;
  printf("%-12s%10zu", name, events(h));
  if (h->count) {
    printf("%10.3f%10.3f", latency_mean_ns(h) * 1e-6, (double)h->min_ns * 1e-6);
  } else {
    printf("%10s%10s", "-", "-");
  }
  for (size_t i = 0; i < SHARES; i++) {
    double ms = 0;
    char why[96];
    if (percentile_ms(h, shares[i].share, &ms, why)) {
      printf("%10.3f", ms);
    } else {
      printf("%10s", events(h) < latency_percentile_needs(shares[i].share) ? "n small" : "failed");
    }
  }
  if (h->count) printf("%10.3f", (double)h->max_ns * 1e-6);
  putchar('\n');
}

static void print_errors(const size_t errors[LOAD_ERRORS]) {
  for (size_t i = 0; i < LOAD_ERRORS; i++) {
    if (errors[i]) printf("  %s: %zu", load_error_names[i], errors[i]);
  }
}

static void print_counts(const struct load_result *r) {
  fputs("status", stdout);
  for (size_t i = 0; i < LOAD_STATUS_END; i++) {
    if (r->status[i]) printf("  %zu: %zu", i, r->status[i]);
  }
  size_t errors = load_error_count(r);
  printf("\nerrors  %zu", errors);
  if (errors) printf(" (%.3g %%)", 100 * (double)errors / (double)r->requests);
  print_errors(r->errors);
  putchar('\n');
  if (r->first_error[0]) printf("first error: %s\n", r->first_error);
}

static void print_notes(const struct load_output *o, const struct load_result *r) {
  if (r->interrupted) puts("interrupted: requests still under way are not counted");
  if (r->cpu_share > 0.7)
    puts("this program was busy itself: its own waiting is part of the times; lag ms shows how late it sent");
  if (r->connects > r->plan.connections + r->requests / 10)
    printf("%zu connections were opened for %zu requests: the server does not keep them\n", r->connects, r->requests);
  if (o->request->post && o->request->count > 1 && r->requests > o->request->count)
    printf("the %zu texts were sent more than once: a server that keeps answers may not have computed all\n",
           o->request->count);
}

void load_print_text(const struct load_output *o, const struct load_result *r) {
  const struct load_plan *p = &r->plan;
  if (o->search && o->search->rate > 0) {
    printf("\n%.4g requests per second keep P99 <= %g ms and errors <= %g %%", o->search->rate,
           o->search->limits.p99_ms, 100 * o->search->limits.max_error_rate);
    printf("%s%s\nmeasured last:\n", o->search->reason ? "; " : "", o->search->reason ? o->search->reason : "");
  } else if (o->search) {
    printf("\nno rate: %s\nmeasured last:\n", o->search->reason);
  }
  printf("%s %s  ", o->request->post ? "POST" : "GET", o->request->url);
  if (p->rate > 0) {
    printf("open loop, %s arrivals, up to %zu connections\n", p->uniform ? "uniform" : "Poisson", p->connections);
    printf("asked %.6g/s  ", p->rate);
  } else {
    printf("closed loop, %zu clients\n", p->connections);
  }
  if (r->window_s > 0)
    printf("sent %.6g/s  answered %.6g/s  ", (double)r->sent_in_window / r->window_s,
           (double)r->answered_in_window / r->window_s);
  if (r->tokens_in_window && r->window_s > 0) printf("%.6g tokens/s  ", (double)r->tokens_in_window / r->window_s);
  printf("%zu requests in %.3g s  client CPU %.1f %%\n\n", r->requests, r->window_s, 100 * r->cpu_share);
  printf("%-12s%10s%10s%10s", "", "n", "mean", "min");
  for (size_t i = 0; i < SHARES; i++) printf("%10s", shares[i].title);
  printf("%10s\n", "max");
  print_row("latency ms", &r->latency);
  if (p->rate > 0) print_row("service ms", &r->service);
  print_row("first token", &r->first_token);
  print_row("per token", &r->token);
  if (p->rate > 0) print_row("lag ms", &r->lag);
  putchar('\n');
  print_counts(r);
  print_notes(o, r);
}

void load_print_trial_head(void) {
  printf("%12s%12s%12s%10s%10s%10s\n", "rate /s", "answered /s", "P99 ms", "errors %", "requests", "seconds");
}

void load_print_trial(const struct load_trial *t) {
  printf("%12.5g%12.5g", t->rate, t->answered);
  if (isnan(t->p99_ms)) {
    printf("%12s", "-");
  } else {
    printf("%12.3f", t->p99_ms);
  }
  printf("%10.3g%10zu%10.3g  %s%s%s", 100 * t->error_rate, t->requests, t->window_s, t->meets ? "holds" : "fails",
         t->cut ? " (given up early)" : "", t->check ? " (check)" : "");
  print_errors(t->errors);
  putchar('\n');
  fflush(stdout);
}
