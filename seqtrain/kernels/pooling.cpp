// Additive attention pooling on the CPU, forward and backward, in fp32:
//
//   u_t = tanh(W h_t + b);  s_t = v u_t;  a = softmax of s over the real steps of a row;  pooled = sum_t a_t h_t
//
// The real steps of all rows are concatenated and split into chunks. Product, tanh and score of a chunk are computed while
// it is in the cache, and so are all its gradients in the backward pass. Threads share the chunks, and then the rows.

#include <algorithm>
#include <cmath>

#include "memory.h"
#include "products.h"
#include "threads.h"

extern "C" {

struct Pooling {
    int64_t B, T, M, threads;
    const int64_t* lengths;           // (B)
    const float *states, *weight, *bias, *query;  // h (B, T, M), W (M, M), b (M), v (M)
    int64_t states_row, states_step;  // strides of row and step
    float *pooled, *weights;          // (B, M), and a (B, T), zero on padding
    float* saved;                     // u, saved_numbers(M) for each real step, or null
    const float* grad_pooled;         // (B, M)
    float* grad_states;               // (B, T, M); gradients from here on may be null if they are not needed
    float *grad_weight, *grad_bias, *grad_query;  // all or none of them
};
}

namespace {

constexpr long CHUNK = 128;            // steps
constexpr long STEP = CHUNK + 8;       // rows of a buffer of panels, see buffer_rows in schedule.h

// The real steps of a batch, concatenated.
struct Steps {
    std::vector<long> row, time, first;  // row and time of each step, and the first step of each row
    long count = 0, chunks = 0;

    explicit Steps(const Pooling& q) {
        for (long i = 0; i < q.B; i++) {
            first.push_back(count);
            for (long t = 0; t < q.lengths[i]; t++) {
                row.push_back(i);
                time.push_back(t);
            }
            count += q.lengths[i];
        }
        chunks = (count + CHUNK - 1) / CHUNK;
    }

    // Call work(step of the chunk, row, time).
    template <class Work>
    void each(long chunk, Work work) const {
        const long from = chunk * CHUNK, to = std::min(from + CHUNK, count);
        for (long s = from; s < to; s++) work(s - from, row[s], time[s]);
    }
    long size(long chunk) const { return std::min(CHUNK, count - chunk * CHUNK); }
};

// Packed weights of a call.
struct Packed {
    float *weight, *bias, *query;

    Packed(const Pooling& q, Arena& arena, bool backward) {
        const long M = panels(q.M), padded = M * W;
        weight = arena.floats(padded * padded);
        bias = arena.floats(padded);
        query = arena.floats(padded);
        to_panels(bias, W, q.bias, q.M);
        to_panels(query, W, q.query, q.M);
        const ColumnGroups groups(M);
        parallel(q.threads, groups.count, [&](long g) {
            const long first = groups.first(g);
            Packing piece{weight + first * W * padded, groups.size(g), {}, {}, backward ? 1 : q.M, backward ? q.M : 1,
                          q.M, padded};
            for (long c = 0; c < piece.columns; c++) {
                piece.from[c] = q.weight + (first + c) * W * (backward ? 1 : q.M);
                piece.width[c] = panel_width(q.M, first + c);
            }
            piece();
        });
    }
};

const float* state(const Pooling& q, long i, long t) { return q.states + i * q.states_row + t * q.states_step; }

float total(vec x) {
    float sum = 0;
    for (long i = 0; i < W; i++) sum += x[i];
    return sum;
}

// Dot product of two vectors of n numbers.
float inner(const float* a, const float* b, long n) {
    vec sum{};
    long i = 0;
    for (; i + W <= n; i += W) sum += load(a + i) * load(b + i);
    float result = total(sum);
    for (; i < n; i++) result += a[i] * b[i];
    return result;
}

// to += factor x, n numbers.
void add(float* to, float factor, const float* x, long n) {
    long i = 0;
    for (; i + W <= n; i += W) store(to + i, load(to + i) + broadcast(factor) * load(x + i));
    for (; i < n; i++) to[i] += factor * x[i];
}

// Compute u of a chunk, in panels, and store the scores where the weights will be.
void score(const Pooling& q, const Packed& w, const Steps& steps, long chunk, float* x, float* u) {
    const long rows = steps.size(chunk), M = panels(q.M);
    vec sums[CHUNK] = {};
    steps.each(chunk, [&](long r, long i, long t) { to_panels(x + r * W, STEP * W, state(q, i, t), q.M); });
    long p = 0;
    multiply(x, STEP * W, rows, M, w.weight, M, 0,
             [&](long c) { return Sums{w.bias + c * W, u + c * rows * W}; },
             [&](long columns) {
                 for (; p < columns; p++) {
                     const vec query = load(w.query + p * W);
                     for (long r = 0; r < rows; r++) {
                         float* at = u + (p * rows + r) * W;
                         // padding units have zero weights, but zero times infinity is NaN
                         for (long i = panel_width(q.M, p); i < W; i++) at[i] = 0;
                         const vec tanh_value = hyperbolic_tangent(load(at));
                         store(at, tanh_value);
                         sums[r] += query * tanh_value;
                     }
                 }
             });
    steps.each(chunk, [&](long r, long i, long t) { q.weights[i * q.T + t] = total(sums[r]); });
}

// Turn the scores of a row into weights, and sum the weighted states.
void pool(const Pooling& q, long i) {
    float *weights = q.weights + i * q.T, *pooled = q.pooled + i * q.M, highest = -INFINITY, sum = 0;
    const long length = q.lengths[i];
    for (long t = 0; t < length; t++) highest = weights[t] > highest ? weights[t] : highest;
    for (long t = 0; t < length; t++) sum += weights[t] = std::exp(weights[t] - highest);
    memset(pooled, 0, q.M * sizeof(float));
    for (long t = 0; t < length; t++) add(pooled, weights[t] /= sum, state(q, i, t), q.M);
    memset(weights + length, 0, (q.T - length) * sizeof(float));
}

// Gradients of a row's scores: a_t (g h_t - sum_k a_k g h_k).
void score_gradients(const Pooling& q, long i, float* to) {
    const float *grad = q.grad_pooled + i * q.M, *weights = q.weights + i * q.T;
    float mean = 0;
    for (long t = 0; t < q.lengths[i]; t++) mean += weights[t] * (to[t] = inner(grad, state(q, i, t), q.M));
    for (long t = 0; t < q.lengths[i]; t++) to[t] = weights[t] * (to[t] - mean);
}

// Scratch memory of one thread of the backward pass.
struct Buffers {
    float *x, *g, *out, *weight, *bias, *query;
};

// All gradients of a chunk, from the gradients of its scores.
void backward_chunk(const Pooling& q, const Packed& w, const Steps& steps, long chunk, const float* grad_scores,
                    const Buffers& m) {
    const long rows = steps.size(chunk), M = panels(q.M), panel = STEP * W;
    const float* u = q.saved + chunk * CHUNK * M * W;
    grad_scores += chunk * CHUNK;
    for (long p = 0; p < M; p++) {
        const vec query = load(w.query + p * W), one = broadcast(1.0f);
        vec bias = load(m.bias + p * W), by_query = load(m.query + p * W);
        for (long r = 0; r < rows; r++) {
            const vec tanh_value = load(u + (p * rows + r) * W), grad = broadcast(grad_scores[r]);
            const vec before = grad * query * (one - tanh_value * tanh_value);
            store(m.g + p * panel + r * W, before);
            bias += before;
            by_query += grad * tanh_value;
        }
        store(m.bias + p * W, bias);
        store(m.query + p * W, by_query);
    }
    if (q.grad_weight) {
        steps.each(chunk, [&](long r, long i, long t) { to_panels(m.x + r * W, panel, state(q, i, t), q.M); });
        add_gradient(m.g, M, m.x, M, panel, rows, m.weight);
    }
    if (!q.grad_states) return;
    alignas(64) static const float zero[W] = {};
    multiply(m.g, panel, rows, M, w.weight, M, 0, [&](long c) { return Sums{zero, m.out + c * panel}; }, no_callback);
    steps.each(chunk, [&](long r, long i, long t) {
        float* to = q.grad_states + (i * q.T + t) * q.M;
        from_panels(to, m.out + r * W, panel, q.M);
        add(to, q.weights[i * q.T + t], q.grad_pooled + i * q.M, q.M);
    });
}

// A part's range of chunks, [first, last).
struct Part {
    long first, last;
    Part(const Steps& steps, long part, long parts)
        : first(part * steps.chunks / parts), last((part + 1) * steps.chunks / parts) {}
};

}  // namespace

extern "C" {

int64_t saved_numbers(int64_t M) { return panels(M) * W; }

void forward(const Pooling* problem) {
    static thread_local Arena arena;
    arena.reset();
    const Pooling& q = *problem;
    const Steps steps(q);
    const Packed w(q, arena, false);
    const long padded = panels(q.M) * W, parts = std::max<long>(q.threads, 1);
    std::vector<float*> x, u;
    for (long part = 0; part < parts; part++) {
        x.push_back(arena.floats(STEP * padded));
        u.push_back(q.saved ? nullptr : arena.floats(CHUNK * padded));
    }
    parallel(q.threads, parts, [&](long part) {
        const FlushDenormals flush;
        const Part own(steps, part, parts);
        for (long chunk = own.first; chunk < own.last; chunk++)
            score(q, w, steps, chunk, x[part], q.saved ? q.saved + chunk * CHUNK * padded : u[part]);
    });
    parallel(q.threads, q.B, [&](long i) {
        const FlushDenormals flush;
        pool(q, i);
    });
}

void backward(const Pooling* problem) {
    static thread_local Arena arena;
    arena.reset();
    const Pooling& q = *problem;
    const Steps steps(q);
    const Packed w(q, arena, true);
    const long padded = panels(q.M) * W, parts = std::max<long>(q.threads, 1);
    float* grad_scores = arena.floats(steps.count);
    std::vector<Buffers> buffers;
    for (long part = 0; part < parts; part++)
        buffers.push_back({arena.floats(STEP * padded), arena.floats(STEP * padded), arena.floats(STEP * padded),
                           arena.floats(padded * padded), arena.floats(padded), arena.floats(padded)});
    parallel(q.threads, q.B, [&](long i) {
        const FlushDenormals flush;
        score_gradients(q, i, grad_scores + steps.first[i]);
    });
    parallel(q.threads, parts, [&](long part) {
        const FlushDenormals flush;
        const Buffers& m = buffers[part];
        memset(m.weight, 0, padded * padded * sizeof(float));
        memset(m.bias, 0, padded * sizeof(float));
        memset(m.query, 0, padded * sizeof(float));
        const Part own(steps, part, parts);
        for (long chunk = own.first; chunk < own.last; chunk++) backward_chunk(q, w, steps, chunk, grad_scores, m);
    });
    if (q.grad_states)
        for (long i = 0; i < q.B; i++)
            memset(q.grad_states + (i * q.T + q.lengths[i]) * q.M, 0, (q.T - q.lengths[i]) * q.M * sizeof(float));
    if (!q.grad_weight) return;
    std::vector<float*> sums;
    for (const Buffers& m : buffers) sums.push_back(m.weight);
    parallel(q.threads, panels(q.M), [&](long p) {
        const long there = panel_width(q.M, p);
        unpack_gradient(q.grad_weight + p * W * q.M, sums, panels(q.M), p, there, q.M);
        vec bias{}, query{};
        for (const Buffers& m : buffers) {
            bias += load(m.bias + p * W);
            query += load(m.query + p * W);
        }
        store_partial(q.grad_bias + p * W, bias, there);
        store_partial(q.grad_query + p * W, query, there);
    });
}
}
