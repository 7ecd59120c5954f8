// shadow.c - which answers are offered to the shadow, and what becomes of those that are offered after its end.
#include "server/rollout_world.h"

#include "runner.h"

struct offers {
  struct world *world;
  struct scheduler scheduler;
  struct served served;
  struct runner runner;
  struct job *job;
};

static void begin(struct offers *o, enum job_op op) {
  struct rollout_config config = usual(ROLLOUT_ORIGINAL);
  struct pare_error err;
  *o = (struct offers){.world = open_world(&config)};
  assert_int_equal(shadow_open(&o->scheduler, &o->scheduler.shadow, &err), PARE_OK);
  o->served.rollout = o->world->r;
  o->served.has_quantized = true;
  atomic_init(&o->served.references, 1);
  o->runner = (struct runner){.s = &o->scheduler, .served = &o->served, .variant = VARIANT_ORIGINAL};
  o->job = job_new(&o->served, op, 1);
  assert_non_null(o->job);
}

static void end(struct offers *o) {
  assert_int_equal(atomic_load(&o->job->holds), 1); // nothing waits
  job_free(o->job);
  shadow_free(o->scheduler.shadow);
  close_world(o->world);
}

static double dropped(const struct offers *o) {
  return page_value(o->world, "pare_shadow_dropped_total{model=\"m\",scheme=\"int8\"} ");
}

static double taken(const struct offers *o) {
  return page_value(o->world, "pare_shadow_requests_total{model=\"m\",scheme=\"int8\"} ");
}

// Requests of linear models are answered by their own threads, which may end after the shadow.
static void offered_after_the_end(void **state) {
  (void)state;
  struct offers o;
  begin(&o, JOB_CLASSIFY);
  shadow_close(o.scheduler.shadow);
  for (int i = 1; i <= 9; i++) { // more than may wait
    shadow_offer(&o.runner, o.job, 0, 0.1);
    assert_int_equal(dropped(&o), i);
  }
  end(&o);
}

static void what_has_nothing_to_compare(void **state) {
  (void)state;
  struct offers o;
  begin(&o, JOB_GENERATE);
  shadow_close(o.scheduler.shadow);      // what is offered is counted and goes no further
  o.job->generate.max_tokens = PARE_OFF; // a prompt that is only echoed
  shadow_offer(&o.runner, o.job, 0, 0.1);
  o.job->generate.max_tokens = 4;
  o.job->generate.temperature = 1;
  shadow_offer(&o.runner, o.job, 0, 0.1);
  o.job->generate.temperature = 0;
  o.job->score = true;
  shadow_offer(&o.runner, o.job, 0, 0.1);
  o.job->score = false;
  o.job->items[0].cached = true;
  shadow_offer(&o.runner, o.job, 0, 0.1);
  assert_int_equal(taken(&o), 0);
  o.job->items[0].cached = false;
  shadow_offer(&o.runner, o.job, 0, 0.1);
  assert_int_equal(dropped(&o), 1);
  end(&o);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(offered_after_the_end),
                                     cmocka_unit_test(what_has_nothing_to_compare)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
