// avx512_transpose.c - rows become columns in blocks of 16 rows and 64 bytes: 16 x 16 words of 32 bits change places in
// registers; words of 16 or 8 bits are then taken apart by narrowing. 16 rows are read from end to end, which keeps to
// as many streams as the hardware fetches ahead, and a word of each fills a cache line.
#include <immintrin.h>

#include "kernel/transpose.h"

enum { ROWS = 16, BYTES = 64 };

// One 32-bit column of 16 rows, which holds 4 / size columns of words. size is a constant at every call.
static inline __attribute__((always_inline)) void put(uint8_t *dst, size_t stride, size_t size, __m512i x) {
  if (size == 4) {
    _mm512_storeu_si512(dst, x);
  } else if (size == 2) {
    _mm256_storeu_si256((__m256i *)dst, _mm512_cvtepi32_epi16(x));
    _mm256_storeu_si256((__m256i *)(dst + stride), _mm512_cvtepi32_epi16(_mm512_srli_epi32(x, 16)));
  } else {
    _mm_storeu_si128((__m128i *)dst, _mm512_cvtepi32_epi8(x));
    _mm_storeu_si128((__m128i *)(dst + stride), _mm512_cvtepi32_epi8(_mm512_srli_epi32(x, 8)));
    _mm_storeu_si128((__m128i *)(dst + 2 * stride), _mm512_cvtepi32_epi8(_mm512_srli_epi32(x, 16)));
    _mm_storeu_si128((__m128i *)(dst + 3 * stride), _mm512_cvtepi32_epi8(_mm512_srli_epi32(x, 24)));
  }
}

static inline __attribute__((always_inline)) void block(const uint8_t *src, size_t src_stride, uint8_t *dst,
                                                        size_t dst_stride, size_t size) {
  __m512i x[ROWS], y[ROWS];
  for (size_t r = 0; r < ROWS; r++) x[r] = _mm512_loadu_si512(src + r * src_stride);
  for (size_t r = 0; r < ROWS; r += 2) {
    y[r] = _mm512_unpacklo_epi32(x[r], x[r + 1]);
    y[r + 1] = _mm512_unpackhi_epi32(x[r], x[r + 1]);
  }
  // After this lane l of x[r + c], r a multiple of 4, is column 4 l + c of rows r to r + 3.
  for (size_t r = 0; r < ROWS; r += 4) {
    x[r] = _mm512_unpacklo_epi64(y[r], y[r + 2]);
    x[r + 1] = _mm512_unpackhi_epi64(y[r], y[r + 2]);
    x[r + 2] = _mm512_unpacklo_epi64(y[r + 1], y[r + 3]);
    x[r + 3] = _mm512_unpackhi_epi64(y[r + 1], y[r + 3]);
  }
  size_t step = 4 / size * dst_stride; // from one 32-bit column to the next
  for (size_t c = 0; c < 4; c++) {
    __m512i even_low = _mm512_shuffle_i32x4(x[c], x[4 + c], 0x88), odd_low = _mm512_shuffle_i32x4(x[c], x[4 + c], 0xdd);
    __m512i even_high = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0x88),
            odd_high = _mm512_shuffle_i32x4(x[8 + c], x[12 + c], 0xdd);
    put(dst + c * step, dst_stride, size, _mm512_shuffle_i32x4(even_low, even_high, 0x88));
    put(dst + (4 + c) * step, dst_stride, size, _mm512_shuffle_i32x4(odd_low, odd_high, 0x88));
    put(dst + (8 + c) * step, dst_stride, size, _mm512_shuffle_i32x4(even_low, even_high, 0xdd));
    put(dst + (12 + c) * step, dst_stride, size, _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd));
  }
}

// Rows that fill no block: a short sequence has no others, and 8 of them fill one of AVX2's.
void avx512_transpose(const struct transpose *t) {
  struct transpose above = *t, below = *t;
  above.rows = t->rows / ROWS * ROWS;
  below.rows -= above.rows;
  below.src += above.rows * t->src_stride;
  below.dst += above.rows * t->size;
  transpose_run(&above, &(struct transpose_tile){ROWS, BYTES, block});
  avx2_transpose(&below);
}
