// state.h - what the parts of a running server share. Everything here outlives every request.
#ifndef PARE_SERVER_STATE_H
#define PARE_SERVER_STATE_H

#include "background.h"
#include "cache.h"
#include "log.h"
#include "metrics.h"
#include "models.h"
#include "server.h"

struct scheduler;
struct http;

struct kept_serve_config;

struct server {
  const struct serve_config *_Atomic config; // as it was last loaded; earlier ones stay as long as the server
  struct kept_serve_config *kept;            // the background's
  const struct server_reload *reload;
  pare_engine *engine;
  struct log *log;
  struct metrics *metrics;
  struct models *models;
  struct cache *cache;           // NULL: none
  struct background *background; // what somebody waits for: opening a form, answering a load call
  struct background *workshop;   // what nobody waits for, and may take minutes: quantizing
  struct scheduler *scheduler;
  struct http *http;
  _Atomic bool draining;
};

#endif
