// avx512_i8.h - the tile of an int8 product, shared by the AVX-512 tables.
#ifndef PARE_KERNEL_AVX512_I8_H
#define PARE_KERNEL_AVX512_I8_H

#include "kernel/isa.h"

enum { I8_MR = 6, I8_NV = 4, I8_NR = I8_PANEL }; // 6 rows, 4 vectors of 16 columns

#endif
