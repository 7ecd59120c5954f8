// lbfgs.c - see lbfgs.h.
#include "train/lbfgs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { MEMORY = 8, BLOCK = 1 << 14, LANES = 16, MAX_HALVINGS = 30 };

struct vectors {
  struct pool *pool;
  size_t n, blocks;
  double *partial; // (blocks)
};
struct op {
  const struct vectors *v;
  const float *a, *b;
  float *out;
  float factor;
};

static void dot_block(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct op *o = context;
  const float *a = o->a + job * BLOCK, *b = o->b + job * BLOCK;
  size_t n = size_min(BLOCK, o->v->n - job * BLOCK), i = 0;
  double lanes[LANES] = {0}, sum = 0;
  for (; i + LANES <= n; i += LANES)
    for (size_t k = 0; k < LANES; k++) lanes[k] += (double)a[i + k] * (double)b[i + k];
  for (; i < n; i++) sum += (double)a[i] * (double)b[i];
  for (size_t k = 0; k < LANES; k++) sum += lanes[k];
  o->v->partial[job] = sum;
}

static double dot(const struct vectors *v, const float *a, const float *b) {
  struct op o = {.v = v, .a = a, .b = b};
  pool_run(v->pool, dot_block, &o, v->blocks);
  double sum = 0;
  for (size_t i = 0; i < v->blocks; i++) sum += v->partial[i];
  return sum;
}

static void combine_block(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct op *o = context;
  size_t from = job * BLOCK, n = size_min(BLOCK, o->v->n - from);
  for (size_t i = from; i < from + n; i++) o->out[i] = o->a[i] + o->factor * o->b[i];
}

// out = a + factor b; out may be a or b.
static void combine(const struct vectors *v, float *out, const float *a, double factor, const float *b) {
  struct op o = {.v = v, .a = a, .b = b, .out = out, .factor = (float)factor};
  pool_run(v->pool, combine_block, &o, v->blocks);
}

struct state {
  struct vectors v;
  float *g, *next_x, *next_g, *direction;
  float *s[MEMORY], *y[MEMORY]; // the last steps, and how the gradient changed over them
  double rho[MEMORY];           // 1 / (s . y)
  size_t kept, newest;          // of them
  float *memory;
};

// direction = -H g by the two loops over the kept pairs, newest first and back.
static void find_direction(struct state *t) {
  double alpha[MEMORY];
  combine(&t->v, t->direction, t->g, 0, t->g);
  for (size_t i = 0; i < t->kept; i++) {
    size_t k = (t->newest + MEMORY - i) % MEMORY;
    alpha[k] = t->rho[k] * dot(&t->v, t->s[k], t->direction);
    combine(&t->v, t->direction, t->direction, -alpha[k], t->y[k]);
  }
  double scale = 1;
  if (t->kept) scale = 1 / (t->rho[t->newest] * dot(&t->v, t->y[t->newest], t->y[t->newest]));
  for (size_t i = 0; i < t->v.n; i++) t->direction[i] *= (float)scale;
  for (size_t i = t->kept; i-- > 0;) {
    size_t k = (t->newest + MEMORY - i) % MEMORY;
    double beta = t->rho[k] * dot(&t->v, t->y[k], t->direction);
    combine(&t->v, t->direction, t->direction, alpha[k] - beta, t->s[k]);
  }
  for (size_t i = 0; i < t->v.n; i++) t->direction[i] = -t->direction[i];
}

// Takes the step from x to next_x into the memory, unless the function does not curve upwards along it.
static void remember(struct state *t, const float *x) {
  size_t k = t->kept ? (t->newest + 1) % MEMORY : 0;
  combine(&t->v, t->s[k], t->next_x, -1, x);
  combine(&t->v, t->y[k], t->next_g, -1, t->g);
  double sy = dot(&t->v, t->s[k], t->y[k]), yy = dot(&t->v, t->y[k], t->y[k]);
  if (!(sy > 1e-10 * yy)) {
    if (t->kept == MEMORY) t->kept--; // its place was the oldest pair's
    return;
  }
  t->rho[k] = 1 / sy;
  t->newest = k;
  if (t->kept < MEMORY) t->kept++;
}

static enum pare_status state_init(struct state *t, const struct lbfgs *l, struct pare_error *err) {
  *t = (struct state){.v = {.pool = l->pool, .n = l->n, .blocks = size_ceil_div(l->n, BLOCK)}};
  t->memory = reallocarray(NULL, l->n, (4 + 2 * MEMORY) * sizeof(float));
  t->v.partial = malloc((t->v.blocks + 1) * sizeof(double));
  if (!t->memory || !t->v.partial) return error_no_memory(err);
  float **all[] = {&t->g, &t->next_x, &t->next_g, &t->direction};
  for (size_t i = 0; i < 4; i++) *all[i] = t->memory + i * l->n;
  for (size_t i = 0; i < MEMORY; i++) {
    t->s[i] = t->memory + (4 + 2 * i) * l->n;
    t->y[i] = t->memory + (5 + 2 * i) * l->n;
  }
  return PARE_OK;
}

// The first step that decreases f by enough; false when none does.
static bool search(struct state *t, const struct lbfgs *l, const float *x, double *f) {
  double slope = dot(&t->v, t->g, t->direction), step = 1;
  if (!t->kept) step = 1 / fmax(1, sqrt(dot(&t->v, t->g, t->g)));
  for (int i = 0; i < MAX_HALVINGS && slope < 0; i++, step /= 2) {
    combine(&t->v, t->next_x, x, step, t->direction);
    double next = l->eval(l->context, t->next_x, t->next_g);
    if (!(next <= *f + 1e-4 * step * slope)) continue;
    *f = next;
    return true;
  }
  return false;
}

enum pare_status lbfgs_minimise(const struct lbfgs *l, float *x, size_t *iterations, struct pare_error *err) {
  struct state t;
  size_t done = 0;
  enum pare_status s = state_init(&t, l, err);
  double f = s ? 0 : l->eval(l->context, x, t.g);
  while (!s && done < l->max_iterations) {
    double before = f;
    find_direction(&t);
    if (!search(&t, l, x, &f)) break;
    done++;
    remember(&t, x);
    memcpy(x, t.next_x, l->n * sizeof *x);
    float *g = t.g;
    t.g = t.next_g;
    t.next_g = g;
    if (before - f <= l->tolerance * fabs(f)) break;
  }
  free(t.memory);
  free(t.v.partial);
  if (iterations) *iterations = done;
  return s;
}
