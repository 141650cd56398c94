// SIMD vectors of the machine's width, and the activation functions on them.
//
// Matrices are stored in panels of W columns: number i of row r is at ((i / W) * rows + r) * W + i % W. A vector holds W
// neighbouring numbers of one row, and the rows of a panel follow one another. If the width is not a multiple of W, the
// last panel is padded with zeros.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// VECTOR_BYTES and REGISTERS can be defined on the command line, to test the layout of another machine on this one.
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
inline vec broadcast(float value) { return value - vec{}; }

// Number of panels, and columns of a panel without its padding.
inline long panels(long width) { return (width + W - 1) / W; }
inline long panel_width(long width, long panel) { return width - panel * W < W ? width - panel * W : W; }

inline void store_partial(float* to, vec value, long count) {
    if (count == W) store(to, value);
    else memcpy(to, &value, count * sizeof(float));
}

// Copy a row of numbers into panels that are step apart. A null pointer stands for a row of zeros.
inline void to_panels(float* to, long step, const float* from, long width) {
    const long whole = from ? width / W : 0;
    for (long p = 0; p < whole; p++) store(to + p * step, load(from + p * W));
    for (long p = whole; p < panels(width); p++) {
        store(to + p * step, vec{});
        if (from) memcpy(to + p * step, from + p * W, panel_width(width, p) * sizeof(float));
    }
}

inline void from_panels(float* to, const float* from, long step, long width) {
    for (long p = 0; p < panels(width); p++) store_partial(to + p * W, load(from + p * step), panel_width(width, p));
}

// Clamping that keeps NaN.
inline vec clamp_min(vec x, float bound) { return x < broadcast(bound) ? broadcast(bound) : x; }
inline vec clamp_max(vec x, float bound) { return x > broadcast(bound) ? broadcast(bound) : x; }

// e^x = power * (1 + rest) for |x| < 87, with x = n ln 2 + f and power = 2^n. Source: the polynomial of Cephes' expf.
inline void split_exp(vec x, vec& power, vec& rest) {
    const float shift = 12582912.0f;  // 1.5 * 2^23 moves the integer n to the lowest bits
    const vec shifted = x * broadcast(1.44269504f) + broadcast(shift);
    const vec n = shifted - broadcast(shift);
    vec f = x - n * broadcast(0.693359375f);
    f = f + n * broadcast(2.12194440e-4f);
    vec p = broadcast(1.9875691500e-4f) * f + broadcast(1.3981999507e-3f);
    p = p * f + broadcast(8.3334519073e-3f);
    p = p * f + broadcast(4.1665795894e-2f);
    p = p * f + broadcast(1.6666665459e-1f);
    p = p * f + broadcast(5.0000001201e-1f);
    rest = f * f * p + f;
    power = (vec)(((ivec)shifted << 23) + 0x3f800000);
}

// Sigmoid of x and of y with a single division. Values below 2e-19 are clamped, so that the product a * b stays finite.
inline void sigmoids(vec& x, vec& y) {
    vec power, rest;
    split_exp(clamp_max(clamp_min(-x, -80.0f), 43.0f), power, rest);
    const vec a = broadcast(1.0f) + (power * rest + power);
    split_exp(clamp_max(clamp_min(-y, -80.0f), 43.0f), power, rest);
    const vec b = broadcast(1.0f) + (power * rest + power);
    const vec inverse = broadcast(1.0f) / (a * b);
    x = b * inverse;
    y = a * inverse;
}

inline vec sigmoid(vec x) {
    vec power, rest;
    split_exp(clamp_max(clamp_min(-x, -80.0f), 43.0f), power, rest);
    return broadcast(1.0f) / (broadcast(1.0f) + (power * rest + power));
}

// tanh x = (e^2x - 1) / (e^2x + 1). Computing e^2x - 1 as power * rest + (power - 1) is accurate for small x.
inline vec hyperbolic_tangent(vec x) {
    vec power, rest;
    x = clamp_max(clamp_min(x, -10.0f), 10.0f);
    split_exp(x + x, power, rest);
    const vec e = power * rest + (power - broadcast(1.0f));
    return e / (e + broadcast(2.0f));
}

// Flushes denormal numbers to zero during its lifetime, then restores the thread's setting.
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
