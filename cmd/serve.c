// serve.c - pare serve
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "command.h"
#include "server/server.h"

struct options {
  struct args_common common;
  const char *config, *listen;
  struct args_list api_keys;
  bool original, no_cache, print_config, check_config;
};

static const struct arg_option table[] = {
    {"config", 'c', ARG_STRING, offsetof(struct options, config), "FILE",
     "the configuration, YAML; options below win over it"},
    {"listen", 0, ARG_STRING, offsetof(struct options, listen), "ADDRESS",
     "HOST:PORT, [IPV6]:PORT or PORT (127.0.0.1:8080); port 0 takes any free one"},
    {"api-key", 0, ARG_LIST, offsetof(struct options, api_keys), "KEY",
     "who sends this key may ask; may be given several times. Other users of\n"
     "this machine can see it here: a file's api_key_file is hidden from them"},
    {"original", 0, ARG_FLAG, offsetof(struct options, original), NULL, "use no quantized model"},
    {"no-cache", 0, ARG_FLAG, offsetof(struct options, no_cache), NULL, "compute every answer anew"},
    {"print-config", 0, ARG_FLAG, offsetof(struct options, print_config), NULL,
     "print the whole configuration as YAML, keys hidden, and end"},
    {"check-config", 0, ARG_FLAG, offsetof(struct options, check_config), NULL,
     "check the configuration, look for its models, and end"},
};

// What a configuration is loaded from, for the first time and at each SIGHUP.
struct source {
  const char *path;
  struct serve_flags flags;
  struct serve_paths paths;
};

static enum pare_status find(void *context, const char *name, char **path, struct pare_error *err) {
  (void)context;
  return resolve_shipped(name, path, err);
}

static enum pare_status load(void *context, struct serve_config *out, struct pare_error *err) {
  const struct source *s = context;
  return serve_config_load(s->path, &s->flags, &s->paths, out, err);
}

static enum pare_status print_config(const struct serve_config *c, struct pare_error *err) {
  struct buf text = {0};
  serve_config_print(c, &text);
  enum pare_status status = text.failed ? error_no_memory(err) : PARE_OK;
  if (!status) fwrite(text.data, 1, text.len, stdout); // main looks whether standard output took it
  buf_free(&text);
  return status;
}

static enum pare_status say_config(const struct options *o, const struct serve_config *c) {
  char address[SERVE_ADDRESS_CAP];
  serve_config_address(c, c->port, address);
  if (o->common.json) {
    printf("{\"config\":");
    if (o->config) {
      output_json_string(o->config, strlen(o->config));
    } else {
      printf("null");
    }
    printf(",\"listen\":\"%s\",\"api_keys\":%zu,\"models\":[", address, c->api_key_count);
    for (size_t i = 0; i < c->model_count; i++) {
      printf("%s{\"name\":\"%s\",\"path\":", i ? "," : "", c->models[i].name);
      output_json_string(c->models[i].path, strlen(c->models[i].path));
      printf(",\"use_quantization\":%s}", c->models[i].use_quantization ? "true" : "false");
    }
    printf("]}\n");
    return PARE_OK;
  }
  printf("address  %s\nkeys     %zu\n", address, c->api_key_count);
  for (size_t i = 0; i < c->model_count; i++) printf("model    %s (%s)\n", c->models[i].name, c->models[i].path);
  return PARE_OK;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (o->print_config && o->check_config)
    return error_set(err, PARE_USAGE, "serve: --print-config and --check-config exclude each other");
  if (o->print_config && o->common.json)
    return error_set(err, PARE_USAGE, "serve: --print-config prints YAML; --json does not go with it");
  struct source source = {.path = o->config,
                          .flags = {.listen = o->listen,
                                    .threads = o->common.threads,
                                    .isa = o->common.isa,
                                    .models = args->words,
                                    .model_count = args->count,
                                    .api_keys = o->api_keys.items,
                                    .api_key_count = o->api_keys.count,
                                    .original = o->original,
                                    .no_cache = o->no_cache,
                                    .quiet = o->common.quiet},
                          .paths = {.find = find}};
  struct serve_config config;
  enum pare_status status = load(&source, &config, err);
  if (status) return status;
  if (o->print_config) {
    status = print_config(&config, err);
  } else if (o->check_config) {
    status = say_config(o, &config);
  } else {
    status = server_run(&config, &(struct server_reload){load, &source}, err);
  }
  serve_config_free(&config);
  return status;
}

static const struct arg_spec spec = {
    .name = "serve",
    .usage = "[-c pare.yaml] [MODEL...] [options]",
    .about =
        "Answers over HTTP until it is told to end (SIGTERM, Ctrl-C). MODEL: as for every command, or NAME=PATH. With "
        "MODELs\n"
        "on the command line these are served, with what the file says about models of these names. SIGHUP loads the\n"
        "configuration again. Every key of the file, and a whole example: docs/serve.md.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare serve agnews-gpt2 --listen 8080\n"
        "  pare serve -c pare.yaml --check-config\n"
        "  pare serve agnews-gpt2 nli-minilm --print-config > pare.yaml\n",
    .run = run,
};

enum pare_status cmd_serve(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
