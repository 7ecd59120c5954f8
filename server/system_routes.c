// system_routes.c - what is about the server rather than about a model: /metrics, the page, the OpenAPI document.
#include "embedded.h"
#include "protocols.h"
#include "server_metrics.h"

static void metrics(struct exchange *x) {
  server_metrics_write(x->server, &x->out);
  exchange_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8");
}

static void page(struct exchange *x) {
  struct embedded e = embedded_page();
  buf_add(&x->out, (const char *)e.bytes, e.len);
  // Everything the page needs is in it, and it asks nobody but this server.
  exchange_header_set(x, "Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src data:");
  exchange_reply(x, 200, "text/html; charset=utf-8");
}

static void openapi(struct exchange *x) {
  struct embedded e = embedded_openapi();
  buf_add(&x->out, (const char *)e.bytes, e.len);
  exchange_reply(x, 200, "application/json");
}

const struct route system_routes[] = {
    {"GET", "/metrics", metrics, ERROR_PLAIN, "metrics"},
    {"GET", "/openapi.json", openapi, ERROR_PLAIN, "openapi"},
    {"GET", "/", page, ERROR_PLAIN, "page"},
};
const size_t system_route_count = sizeof system_routes / sizeof system_routes[0];
