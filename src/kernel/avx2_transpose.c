// avx2_transpose.c - rows become columns in blocks of 8 rows and 32 bytes: 8 x 8 words of 32 bits change places in
// registers; words of 16 or 8 bits are then taken apart.
#include <immintrin.h>

#include "kernel/transpose.h"

enum { ROWS = 8, BYTES = 32 };

// One 32-bit column of 8 rows, which holds 4 / size columns of words. size is a constant at every call.
static inline __attribute__((always_inline)) void put(uint8_t *dst, size_t stride, size_t size, __m256i x) {
  if (size == 4) {
    _mm256_storeu_si256((__m256i *)dst, x);
  } else if (size == 2) {
    __m256i low = _mm256_and_si256(x, _mm256_set1_epi32(0xffff)), high = _mm256_srli_epi32(x, 16);
    __m256i both = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
    _mm_storeu_si128((__m128i *)dst, _mm256_castsi256_si128(both));
    _mm_storeu_si128((__m128i *)(dst + stride), _mm256_extracti128_si256(both, 1));
  } else {
    const __m256i bytes = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)); // of 4 rows: their bytes 0, then 1 ...
    const __m256i join = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i all = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(x, bytes), join);
    __m128i low = _mm256_castsi256_si128(all), high = _mm256_extracti128_si256(all, 1);
    _mm_storel_epi64((__m128i *)dst, low);
    _mm_storel_epi64((__m128i *)(dst + stride), _mm_srli_si128(low, 8));
    _mm_storel_epi64((__m128i *)(dst + 2 * stride), high);
    _mm_storel_epi64((__m128i *)(dst + 3 * stride), _mm_srli_si128(high, 8));
  }
}

static inline __attribute__((always_inline)) void block(const uint8_t *src, size_t src_stride, uint8_t *dst,
                                                        size_t dst_stride, size_t size) {
  __m256i x[ROWS], y[ROWS];
  for (size_t r = 0; r < ROWS; r++) x[r] = _mm256_loadu_si256((const __m256i *)(src + r * src_stride));
  for (size_t r = 0; r < ROWS; r += 2) {
    y[r] = _mm256_unpacklo_epi32(x[r], x[r + 1]);
    y[r + 1] = _mm256_unpackhi_epi32(x[r], x[r + 1]);
  }
  // After this lane l of x[r + c], r 0 or 4, is column 4 l + c of rows r to r + 3.
  for (size_t r = 0; r < ROWS; r += 4) {
    x[r] = _mm256_unpacklo_epi64(y[r], y[r + 2]);
    x[r + 1] = _mm256_unpackhi_epi64(y[r], y[r + 2]);
    x[r + 2] = _mm256_unpacklo_epi64(y[r + 1], y[r + 3]);
    x[r + 3] = _mm256_unpackhi_epi64(y[r + 1], y[r + 3]);
  }
  size_t step = 4 / size * dst_stride; // from one 32-bit column to the next
  for (size_t c = 0; c < 4; c++) {
    put(dst + c * step, dst_stride, size, _mm256_permute2x128_si256(x[c], x[4 + c], 0x20));
    put(dst + (4 + c) * step, dst_stride, size, _mm256_permute2x128_si256(x[c], x[4 + c], 0x31));
  }
}

void avx2_transpose(const struct transpose *t) {
  transpose_run(t, &(struct transpose_tile){ROWS, BYTES, block});
}
