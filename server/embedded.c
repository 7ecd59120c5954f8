// embedded.c - see embedded.h. The assembler takes the bytes in as they are; the build names the folder.
#include "embedded.h"

#define EMBED(name, file)                                                                             \
  __asm__(".section .rodata\n.balign 16\n" #name "_begin:\n.incbin \"" PAGE_DIR "/" file "\"\n" #name \
          "_end:\n.byte 0\n.previous\n");                                                             \
  extern const unsigned char name##_begin[], name##_end[];                                            \
  struct embedded embedded_##name(void) {                                                             \
    return (struct embedded){name##_begin, (size_t)(name##_end - name##_begin)};                      \
  }

EMBED(page, "index.html")
EMBED(openapi, "openapi.json")
