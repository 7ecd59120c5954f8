// args.c - see args.h.
#include "args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/nearest.h"

static const struct arg_option common_options[] = {
    {"threads", 0, ARG_SIZE, offsetof(struct args_common, threads), "N", "threads to compute with (all cores)"},
    {"isa", 0, ARG_STRING, offsetof(struct args_common, isa), "NAME",
     "instruction set: scalar avx2 avx512 avx512_vnni avx512_bf16 neon neon_dot neon_i8mm (the best here)"},
    {"json", 0, ARG_FLAG, offsetof(struct args_common, json), NULL, "one JSON object per line on standard output"},
    {"quiet", 'q', ARG_FLAG, offsetof(struct args_common, quiet), NULL, "no progress and no notes on standard error"},
    {"verbose", 'v', ARG_FLAG, offsetof(struct args_common, verbose), NULL,
     "say what is used: machine, threads, load times"},
    {"help", 'h', ARG_FLAG, offsetof(struct args_common, help), NULL, "this text"},
};
enum { COMMON_COUNT = sizeof common_options / sizeof common_options[0] };

static size_t option_total(const struct arg_spec *spec) {
  return spec->option_count + spec->shared_count + spec->more_count + COMMON_COUNT;
}

static const struct arg_option *option_at(const struct arg_spec *spec, size_t i) {
  if (i < spec->option_count) return &spec->options[i];
  i -= spec->option_count;
  if (i < spec->shared_count) return &spec->shared[i];
  i -= spec->shared_count;
  return i < spec->more_count ? &spec->more[i] : &common_options[i - spec->more_count];
}

static const char *option_name(const void *spec, size_t i) {
  return option_at(spec, i)->name;
}

static enum pare_status unknown_option(const struct arg_spec *spec, const char *word, size_t name_len,
                                       struct pare_error *err) {
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)(name_len < sizeof name ? name_len : sizeof name - 1), word);
  const char *bare = name + strspn(name, "-");
  const char *near = nearest_name(bare, spec, option_total(spec), option_name);
  if (near) return error_set(err, PARE_USAGE, "%s: unknown option %s; did you mean --%s?", spec->name, name, near);
  return error_set(err, PARE_USAGE, "%s: unknown option %s; `pare %s --help` lists them", spec->name, name, spec->name);
}

// ---- values ----

static enum pare_status parse_u64(const char *text, const char *option, uint64_t *out, struct pare_error *err) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  // strtoull takes "-1" and " 1"; a count is digits only.
  if (text[0] < '0' || text[0] > '9' || *end || errno) {
    return error_set(err, PARE_USAGE, "--%s: expected a whole number, found '%s'", option, text);
  }
  *out = value;
  return PARE_OK;
}

// Records are JSON, whose readers hold whole numbers exactly up to here.
static const uint64_t seed_max = ((uint64_t)1 << 53) - 1;

static enum pare_status parse_seed(const char *text, const char *option, uint64_t *out, struct pare_error *err) {
  enum pare_status status = parse_u64(text, option, out, err);
  if (status != PARE_OK || *out <= seed_max) return status;
  return error_set(err, PARE_USAGE, "--%s: expected a whole number up to %llu, found %s", option,
                   (unsigned long long)seed_max, text);
}

static enum pare_status add_to_list(struct args *a, struct args_list *list, const char *text, size_t most,
                                    struct pare_error *err) {
  if (!list->items) {
    list->items = calloc(most, sizeof *list->items);
    if (!list->items) return error_no_memory(err);
    a->lists[a->list_count++] = list;
  }
  list->items[list->count++] = text;
  return PARE_OK;
}

static enum pare_status store(struct args *a, const struct arg_option *o, void *values, const char *text, size_t most,
                              struct pare_error *err) {
  char *at = (char *)values + o->offset;
  uint64_t number = 0;
  enum pare_status status = PARE_OK;
  switch (o->kind) {
    case ARG_FLAG: *(bool *)at = true; break;
    case ARG_STRING: *(const char **)at = text; break;
    case ARG_SEED: status = parse_seed(text, o->name, (uint64_t *)at, err); break;
    case ARG_SIZE:
      status = parse_u64(text, o->name, &number, err);
      if (status == PARE_OK) *(size_t *)at = (size_t)number;
      break;
    case ARG_LIST: status = add_to_list(a, (struct args_list *)at, text, most, err); break;
  }
  return status;
}

static const struct arg_option *find_option(const struct arg_spec *spec, const char *word, size_t *name_len) {
  bool is_long = word[1] == '-';
  *name_len = is_long ? strcspn(word, "=") : strlen(word);
  for (size_t i = 0; i < option_total(spec); i++) {
    const struct arg_option *o = option_at(spec, i);
    if (is_long && strlen(o->name) == *name_len - 2 && strncmp(o->name, word + 2, *name_len - 2) == 0) return o;
    if (!is_long && o->letter && word[1] == o->letter && !word[2]) return o;
  }
  return NULL;
}

static bool wants_help(int argc, char **argv) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
  }
  return false;
}

static enum pare_status parse_option(const struct arg_spec *spec, int argc, char **argv, int *i, void *values,
                                     struct args *out, struct pare_error *err) {
  const char *word = argv[*i];
  size_t name_len;
  const struct arg_option *o = find_option(spec, word, &name_len);
  if (!o) return unknown_option(spec, word, name_len, err);
  const char *text = word[name_len] == '=' ? word + name_len + 1 : NULL;
  if (o->kind == ARG_FLAG && text) return error_set(err, PARE_USAGE, "--%s takes no value, found '%s'", o->name, text);
  if (o->kind != ARG_FLAG && !text) {
    if (*i + 1 >= argc) return error_set(err, PARE_USAGE, "--%s: expected %s after it", o->name, o->value);
    text = argv[++*i];
  }
  return store(out, o, values, text, (size_t)argc, err);
}

// Words a shell would read differently are put in single quotes.
static char *join_command(int argc, char **argv) {
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%";
  struct buf b = {0};
  buf_puts(&b, "pare");
  for (int i = 0; i < argc; i++) {
    bool bare = argv[i][0] && argv[i][strspn(argv[i], plain)] == 0;
    buf_puts(&b, bare ? " " : " '");
    for (const char *p = argv[i]; *p; p++) {
      if (*p == '\'') {
        buf_puts(&b, "'\\''");
      } else {
        buf_add(&b, p, 1);
      }
    }
    if (!bare) buf_puts(&b, "'");
  }
  return buf_take(&b);
}

enum pare_status args_parse(const struct arg_spec *spec, int argc, char **argv, void *values, struct args *out,
                            struct pare_error *err) {
  *out = (struct args){.words = calloc((size_t)argc, sizeof *out->words)};
  out->command = join_command(argc, argv);
  if (!out->words || !out->command) return error_no_memory(err);
  if (wants_help(argc, argv)) {
    ((struct args_common *)values)->help = true;
    return PARE_OK;
  }
  bool options_end = false;
  for (int i = 1; i < argc; i++) {
    if (options_end || argv[i][0] != '-' || !argv[i][1]) { // "-" alone is standard input
      out->words[out->count++] = argv[i];
    } else if (strcmp(argv[i], "--") == 0) {
      options_end = true;
    } else {
      enum pare_status status = parse_option(spec, argc, argv, &i, values, out, err);
      if (status != PARE_OK) return status;
    }
  }
  return PARE_OK;
}

void args_free(struct args *a) {
  for (size_t i = 0; i < a->list_count; i++) free(a->lists[i]->items);
  free(a->words);
  free(a->command);
  *a = (struct args){0};
}

// ---- lists in one word ----

enum pare_status args_split(const char *text, const char *option, const char ***items, size_t *count,
                            struct pare_error *err) {
  size_t n = 1, bytes = strlen(text) + 1;
  for (const char *p = text; *p; p++) n += *p == ',';
  const char **list = malloc(n * sizeof *list + bytes);
  if (!list) return error_no_memory(err);
  char *at = memcpy(list + n, text, bytes);
  for (size_t i = 0; i < n; i++) {
    size_t len = strcspn(at, ",");
    if (len == 0) {
      free(list);
      return error_set(err, PARE_USAGE, "--%s: expected values separated by commas, found '%s'", option, text);
    }
    list[i] = at;
    at[len] = 0;
    at += len + 1;
  }
  *items = list;
  *count = n;
  return PARE_OK;
}

// "1,2,3" -> numbers in [least, most].
static enum pare_status split_numbers(const char *text, const char *option, uint64_t least, uint64_t most,
                                      uint64_t **out, size_t *count, struct pare_error *err) {
  const char **words = NULL;
  enum pare_status status = args_split(text, option, &words, count, err);
  if (status != PARE_OK) return status;
  uint64_t *numbers = calloc(*count, sizeof *numbers);
  if (!numbers) status = error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < *count; i++) {
    status = parse_u64(words[i], option, &numbers[i], err);
    if (status == PARE_OK && numbers[i] < least) {
      status = error_set(err, PARE_USAGE, "--%s: expected numbers of at least %llu, found %s", option,
                         (unsigned long long)least, words[i]);
    } else if (status == PARE_OK && numbers[i] > most) {
      status = error_set(err, PARE_USAGE, "--%s: expected numbers up to %llu, found %s", option,
                         (unsigned long long)most, words[i]);
    }
  }
  free(words);
  if (status != PARE_OK) {
    free(numbers);
    return status;
  }
  *out = numbers;
  return PARE_OK;
}

enum pare_status args_split_sizes(const char *text, const char *option, size_t **items, size_t *count,
                                  struct pare_error *err) {
  uint64_t *numbers = NULL;
  enum pare_status status = split_numbers(text, option, 1, SIZE_MAX, &numbers, count, err);
  if (status != PARE_OK) return status;
  *items = calloc(*count, sizeof **items);
  if (!*items) status = error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < *count; i++) (*items)[i] = (size_t)numbers[i];
  free(numbers);
  return status;
}

enum pare_status args_split_ids(const char *text, const char *option, uint32_t **ids, size_t *count,
                                struct pare_error *err) {
  uint64_t *numbers = NULL;
  enum pare_status status = split_numbers(text, option, 0, UINT32_MAX, &numbers, count, err);
  if (status != PARE_OK) return status;
  *ids = calloc(*count, sizeof **ids);
  if (!*ids) status = error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < *count; i++) (*ids)[i] = (uint32_t)numbers[i];
  free(numbers);
  return status;
}

// ---- help ----

// The help column starts here; a longer option has its help on the next line.
enum { HELP_COLUMN = 30 };

static void print_option(const struct arg_option *o) {
  char left[96];
  snprintf(left, sizeof left, "  %s%c%s--%s%s%s", o->letter ? "-" : "", o->letter ? o->letter : ' ',
           o->letter ? ", " : "   ", o->name, o->value ? " " : "", o->value ? o->value : "");
  printf("%-*s", HELP_COLUMN, left);
  if (strlen(left) >= HELP_COLUMN) printf("\n%*s", HELP_COLUMN, "");
  for (const char *p = o->help; *p; p++) {
    putchar(*p);
    if (*p == '\n') printf("%*s", HELP_COLUMN, "");
  }
  putchar('\n');
}

static void print_help(const struct arg_spec *spec) {
  printf("usage: pare %s %s\n\n%s\n", spec->name, spec->usage, spec->about);
  size_t own = spec->option_count + spec->shared_count + spec->more_count;
  if (own) printf("\noptions:\n");
  for (size_t i = 0; i < option_total(spec); i++) {
    if (i == own) printf("\ncommon options:\n");
    print_option(option_at(spec, i));
  }
  printf("\nexample:\n%s", spec->example);
}

enum pare_status args_run(const struct arg_spec *spec, int argc, char **argv, void *values, struct pare_error *err) {
  struct args args;
  enum pare_status status = args_parse(spec, argc, argv, values, &args, err);
  if (status == PARE_OK && ((struct args_common *)values)->help) {
    print_help(spec);
  } else if (status == PARE_OK) {
    status = spec->run(values, &args, err);
  }
  args_free(&args);
  return status;
}

enum pare_status args_real(const char *text, const char *option, double *out, struct pare_error *err) {
  *out = 0;
  if (!text) return PARE_OK;
  char *end;
  errno = 0;
  double x = strtod(text, &end);
  if (end == text || *end || errno)
    return error_set(err, PARE_USAGE, "--%s: expected a number, found '%s'", option, text);
  *out = x;
  return PARE_OK;
}
