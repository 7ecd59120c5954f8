// config_parts.h - the parts of config.c: the table of keys, and what reading and printing share. For config*.c and
// their tests alone.
#ifndef PARE_SERVER_CONFIG_PARTS_H
#define PARE_SERVER_CONFIG_PARTS_H

#include <jansson.h>

#include "base/yaml_file.h"
#include "config.h"

// ---- the table of keys (config_keys.c) ----
enum key_kind {
  KEY_SIZE,   // size_t
  KEY_U32,    // uint32_t
  KEY_REAL,   // double
  KEY_FLAG,   // bool
  KEY_MODE,   // enum rollout_mode
  KEY_TEXT,   // char *; NULL: not given
  KEY_SCHEME, // the same, and a scheme there is
  KEY_ISA,    // the same, and an instruction set of this machine
  KEY_LISTEN, // these have no offset
  KEY_API_KEYS,
  KEY_API_KEY_FILE,
  KEY_MODELS,
};
struct config_key {
  const char *path; // dotted, below the scope: "limits.body_kb"
  enum key_kind kind;
  size_t offset;               // where the value goes
  double least, most, initial; // of a number; a flag or mode has initial alone
  size_t unit;                 // the value is stored times this; 0: 1
  const char *preset;          // the default in words, where initial does not say it
  const char *help;            // one line
};
// A place in the file that has keys: the top, or a model. Both have the rollout's.
struct key_scope {
  const struct config_key *own;
  size_t own_count;
  size_t rollout; // where the struct rollout_config is in the scope's struct
};
extern const struct key_scope config_server_keys, config_model_keys;
extern const char *const config_mode_names[]; // of enum rollout_mode

size_t config_key_count(const struct key_scope *s);
// Keys of one section follow each other. *at: the offset in the scope's struct.
const struct config_key *config_key_at(const struct key_scope *s, size_t i, size_t *at);
// NULL: there is none.
const struct config_key *config_key_find(const struct key_scope *s, const char *path, size_t *at);
// "a whole number from 1 to 64"
void config_key_expected(const struct config_key *k, char *out, size_t cap);
// A number, flag or mode into its place; false: value is not one, or out of range.
bool config_key_store(const struct config_key *k, const json_t *value, void *place);
bool config_key_store_number(const struct config_key *k, double number, void *place);
void config_key_defaults(const struct key_scope *s, void *values); // numbers, flags, modes

// ---- what is being loaded ----
// Where a model of `out` comes from. Until it is resolved, its path is as it was written.
struct model_origin {
  size_t entry; // of the file's list; NO_ENTRY: the command line alone
  bool word;    // the path is the command line's
};
#define NO_ENTRY ((size_t)-1)
struct config_loading {
  const char *file; // NULL: none
  char *folder;     // the file's, absolute
  struct yaml_tree tree;
  const struct serve_flags *flags;
  const struct serve_paths *paths;
  struct serve_config *out;
  struct model_origin *origins; // (out->model_count)
  struct pare_error *err;
};

// ---- small parts (config_parse.c) ----
// "HOST:PORT", "[::1]:PORT", "PORT"; PARE_DATA, without text, when it is none of them.
enum pare_status config_listen(const char *text, char **host, uint16_t *port);
bool config_name_valid(const char *name);
extern const char config_name_expected[];
// PARE_USAGE for a name there is not, PARE_UNAVAILABLE for one this machine lacks.
enum pare_status config_isa(const char *name, struct pare_error *err);
bool config_api_key_valid(const char *key, size_t len); // 1 to 256 printable characters without spaces; not "***"
// Appends a copy; false: no memory, or too many.
bool config_add_api_key(struct serve_config *c, const char *key, size_t len);
enum pare_status config_api_key_file(const char *path, struct serve_config *c, struct pare_error *err);
// The name of a model at path that was given none: its last folder. To be freed; NULL: no memory.
char *config_model_name(const char *path);

// ---- the file (config_file.c) ----
// Opens the file: tree and folder.
enum pare_status config_file_open(struct config_loading *l, const char *path);
// Every key of the file; models are appended to l->out with their origins.
enum pare_status config_file_read(struct config_loading *l);
// One more model, with the settings that are general. NULL: no memory.
struct serve_model_config *config_add_model(struct config_loading *l, struct model_origin origin);
// PARE_DATA "FILE:LINE: KEY: expected ..., found ...".
enum pare_status config_wrong(const struct config_loading *l, const char *path, const char *expected,
                              const json_t *found);
// "FILE:LINE: KEY: " is put before the text of err, whose code is returned.
enum pare_status config_at(const struct config_loading *l, const char *path);
// text, which is relative to the file's folder, as one that holds anywhere. To be freed; NULL: no memory.
char *config_beside(const struct config_loading *l, const char *text);

#endif
