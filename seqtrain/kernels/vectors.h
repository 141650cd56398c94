// Vectors of the machine's width, and the functions of a cell's gates on them.
//
// Everything is laid out in panels of W numbers: number i of row r of a matrix stands at ((i / W) * rows + r) * W + i % W,
// so that a vector holds W neighbouring numbers of one row and the rows of a panel follow one another. Where a width is
// no multiple of W the rest of the last panel is zero.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// VECTOR_BYTES and REGISTERS can be given to the compiler, to test the layout of another machine on this one.
#if !defined(VECTOR_BYTES)
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#endif
#if !defined(REGISTERS)
#if defined(__AVX512F__) || defined(__aarch64__)
#define REGISTERS 32
#else
#define REGISTERS 16
#endif
#endif

namespace {

constexpr long W = VECTOR_BYTES / 4;  // numbers in a vector

typedef float vec __attribute__((vector_size(W * 4)));
typedef int32_t ivec __attribute__((vector_size(W * 4)));
typedef float unaligned_vec __attribute__((vector_size(W * 4), aligned(4), may_alias));

inline vec load(const float* from) { return *(const unaligned_vec*)from; }
inline void store(float* to, vec value) { *(unaligned_vec*)to = value; }
inline vec all(float value) { return value - vec{}; }

inline long panels(long width) { return (width + W - 1) / W; }
inline long in_panel(long width, long panel) { return width - panel * W < W ? width - panel * W : W; }

inline void store_some(float* to, vec value, long count) {
    if (count == W) store(to, value);
    else memcpy(to, &value, count * sizeof(float));
}

// A row of numbers into panels that are step apart; none is a row of zeros.
inline void to_panels(float* to, long step, const float* from, long width) {
    const long whole = from ? width / W : 0;
    for (long p = 0; p < whole; p++) store(to + p * step, load(from + p * W));
    for (long p = whole; p < panels(width); p++) {
        store(to + p * step, vec{});
        if (from) memcpy(to + p * step, from + p * W, in_panel(width, p) * sizeof(float));
    }
}

inline void from_panels(float* to, const float* from, long step, long width) {
    for (long p = 0; p < panels(width); p++) store_some(to + p * W, load(from + p * step), in_panel(width, p));
}

// These keep a NaN a NaN.
inline vec at_least(vec x, float bound) { return x < all(bound) ? all(bound) : x; }
inline vec at_most(vec x, float bound) { return x > all(bound) ? all(bound) : x; }

// e^x = power * (1 + rest), |x| < 87: x = n ln 2 + f, power = 2^n, and the polynomial is that of Cephes' expf.
inline void split_exp(vec x, vec& power, vec& rest) {
    const float shift = 12582912.0f;  // 1.5 * 2^23: n is then in the lowest bits
    const vec shifted = x * all(1.44269504f) + all(shift);
    const vec n = shifted - all(shift);
    vec f = x - n * all(0.693359375f);
    f = f + n * all(2.12194440e-4f);
    vec p = all(1.9875691500e-4f) * f + all(1.3981999507e-3f);
    p = p * f + all(8.3334519073e-3f);
    p = p * f + all(4.1665795894e-2f);
    p = p * f + all(1.6666665459e-1f);
    p = p * f + all(5.0000001201e-1f);
    rest = f * f * p + f;
    power = (vec)(((ivec)shifted << 23) + 0x3f800000);
}

// 1 / (1 + e^-x) and the same of y, with one division; they end at 2e-19, where the product below is still finite.
inline void sigmoids(vec& x, vec& y) {
    vec power, rest;
    split_exp(at_most(at_least(-x, -80.0f), 43.0f), power, rest);
    const vec a = all(1.0f) + (power * rest + power);
    split_exp(at_most(at_least(-y, -80.0f), 43.0f), power, rest);
    const vec b = all(1.0f) + (power * rest + power);
    const vec inverse = all(1.0f) / (a * b);
    x = b * inverse;
    y = a * inverse;
}

inline vec sigmoid(vec x) {
    vec power, rest;
    split_exp(at_most(at_least(-x, -80.0f), 43.0f), power, rest);
    return all(1.0f) / (all(1.0f) + (power * rest + power));
}

// (e^2x - 1) / (e^2x + 1); e^2x - 1 as power * rest + (power - 1) is exact where x is small.
inline vec hyperbolic_tangent(vec x) {
    vec power, rest;
    x = at_most(at_least(x, -10.0f), 10.0f);
    split_exp(x + x, power, rest);
    const vec e = power * rest + (power - all(1.0f));
    return e / (e + all(2.0f));
}

// Denormal numbers are flushed to zero while this lives, whatever the thread does otherwise.
struct FlushDenormals {
#if defined(__x86_64__)
    unsigned before = _mm_getcsr();
    FlushDenormals() { _mm_setcsr(before | 0x8040); }
    ~FlushDenormals() { _mm_setcsr(before); }
#elif defined(__aarch64__)
    uint64_t before;
    FlushDenormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before));
        asm volatile("msr fpcr, %0" ::"r"(before | 1 << 24));
    }
    ~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(before)); }
#endif
};

}  // namespace
