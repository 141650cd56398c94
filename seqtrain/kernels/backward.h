// The backward pass of a block of rows.

#pragma once

#include "schedule.h"

namespace {

// Gradients of the gates of some rows at one step, from grad_h. Afterwards grad_h holds the gradient of the previous state,
// without the part that flows through the gates.
template <int cell>
void backward_gates(const Rows<cell>& b, const Buffers& m, long step, long first, long rows, const float* saved) {
    const long h_step = b.h_rows * W, slot = b.H * step * W;
    constexpr long S = saved_slots(cell);
    const vec one = broadcast(1.0f);
    for (long p = 0; p < b.H; p++) {
        vec sums[slots(cell)] = {};
        for (long r = 0; r < rows; r++) {
            const long place = (p * step + first + r) * W;
            float *grad_h = m.grad_h + p * h_step + r * W, *to = m.grad_gates + place;
            const float* from = saved + (p * rows + r) * S * W;
            const vec grad = load(grad_h) + load(m.grad + place);
            if constexpr (cell == GRU_AFTER) {
                const vec n = load(from), reset = load(from + W), z = load(from + 2 * W), state = load(from + 3 * W);
                const vec grad_n = grad * (one - z) * (one - n * n);
                const vec grad_reset = grad_n * state * reset * (one - reset);
                const vec grad_z = grad * (load(m.before + place) - n) * z * (one - z);
                const vec grad_state = grad_n * reset;
                store(to, grad_n);
                store(to + slot, grad_reset);
                store(to + 2 * slot, grad_z);
                store(to + 3 * slot, grad_state);
                store(grad_h, grad * z);
                sums[0] += grad_n;
                sums[1] += grad_reset;
                sums[2] += grad_z;
                sums[3] += grad_state;
            } else if constexpr (cell == GRU_BEFORE) {
                const vec z = load(from), candidate = load(from + 2 * W), before = load(m.before + place);
                const vec grad_z = grad * (candidate - before) * z * (one - z);
                const vec grad_candidate = grad * z * (one - candidate * candidate);
                store(to, grad_z);
                store(to + 2 * slot, grad_candidate);
                store(grad_h, grad * (one - z));
                store(m.grad_reset + p * h_step + r * W, vec{});
                sums[0] += grad_z;
                sums[2] += grad_candidate;
            } else if constexpr (cell == LSTM) {
                const vec i = load(from), f = load(from + W), g = load(from + 2 * W), o = load(from + 3 * W);
                const vec before = load(from + 4 * W), tanh_value = hyperbolic_tangent(f * before + i * g);
                float* grad_c = m.grad_c + p * h_step + r * W;
                const vec grad_state = load(grad_c) + grad * o * (one - tanh_value * tanh_value);
                const vec grad_i = grad_state * g * i * (one - i), grad_f = grad_state * before * f * (one - f);
                const vec grad_g = grad_state * i * (one - g * g), grad_o = grad * tanh_value * o * (one - o);
                store(to, grad_i);
                store(to + slot, grad_f);
                store(to + 2 * slot, grad_g);
                store(to + 3 * slot, grad_o);
                store(grad_c, grad_state * f);
                store(grad_h, vec{});
                sums[0] += grad_i;
                sums[1] += grad_f;
                sums[2] += grad_g;
                sums[3] += grad_o;
            } else {
                const vec h = load(m.now + place);
                const vec grad_sum = cell == RNN_TANH ? grad * (one - h * h) : h > vec{} ? grad : vec{};
                store(to, grad_sum);
                store(grad_h, vec{});
                sums[0] += grad_sum;
            }
        }
        for (long s = 0; s < slots(cell); s++) {
            float* to = m.sums_bias + (s * b.H + p) * W;
            store(to, load(to) + sums[s]);
        }
    }
}

// out += grad_gates times the weights, which are packed for the backward pass.
template <int cell>
void backward_product(const Rows<cell>& b, const float* grad_gates, long step, long depth, const float* weights, long rows,
                      float* out) {
    auto sums = [&](long p) { return Sums{out + p * b.h_rows * W, out + p * b.h_rows * W}; };
    multiply(grad_gates, step * W, rows, depth, weights, b.H, W, sums, no_callback);
}

// Gradient of a reset gate that acts before the product, from the gradient of reset * h.
inline void backward_reset(const Rows<GRU_BEFORE>& b, const Buffers& m, long step, long first, long rows,
                           const float* saved) {
    const long h_step = b.h_rows * W, slot = b.H * step * W;
    for (long p = 0; p < b.H; p++) {
        vec sum{};
        for (long r = 0; r < rows; r++) {
            const long place = (p * step + first + r) * W;
            const vec reset = load(saved + ((p * rows + r) * 3 + 1) * W), before = load(m.before + place);
            const vec grad = load(m.grad_reset + p * h_step + r * W);
            const vec grad_reset = grad * before * reset * (broadcast(1.0f) - reset);
            float* grad_h = m.grad_h + p * h_step + r * W;
            store(m.grad_gates + slot + place, grad_reset);
            store(m.reset_states + place, reset * before);
            store(grad_h, load(grad_h) + grad * reset);
            sum += grad_reset;
        }
        float* to = m.sums_bias + (b.H + p) * W;
        store(to, load(to) + sum);
    }
}

// Gradient of the inputs of a chunk.
template <int cell>
void backward_input(const Rows<cell>& b, const Weights& w, Buffers& m, const Chunk& chunk, long step) {
    const long panel = step * W;
    m.targets.resize(chunk.rows);
    chunk.each([&](long i, long s, long r) { m.targets[r] = b.grad_x(i, s); });
    alignas(64) static const float zero[W] = {};
    long p = 0;  // m.x is no longer needed: its memory holds the gradient, panel by panel
    multiply(m.grad_gates, panel, chunk.rows, gates(cell) * b.H, w.ih_backward, b.I, 0,
             [&](long c) { return Sums{zero, m.x + c * panel}; },
             [&](long columns) {
                 for (; p < columns; p++)
                     for (long r = 0; r < chunk.rows; r++) {
                         float* to = m.targets[r] + p * W;
                         const long width = panel_width(b.q.I, p);
                         vec sum = load(m.x + p * panel + r * W);
                         if (b.d.add_grad_x) {
                             vec there{};
                             memcpy(&there, to, width * sizeof(float));
                             sum += there;
                         }
                         store_partial(to, sum, width);
                     }
             });
}

template <int cell>
void backward_block(const Rows<cell>& b, const Weights& w, Buffers& m) {
    const long step = buffer_rows(std::max(BACKWARD_CHUNK, b.rows)), h_step = b.h_rows * W, panel = step * W;
    long steps_left = 0;
    for (long i = 0; i < b.rows; i++) {
        steps_left += b.length[i];
        to_panels(m.grad_h + i * W, h_step, b.state(b.d.grad_h_n, i), b.q.H);
        if (cell == LSTM) to_panels(m.grad_c + i * W, h_step, b.state(b.d.grad_h_n, i, 1), b.q.H);
        if (b.d.grad_x && !b.d.add_grad_x)
            memset(b.d.grad_x + (b.row[i] * b.q.T + b.length[i]) * b.q.I, 0,
                   (b.q.T - b.length[i]) * b.q.I * sizeof(float));
    }
    Chunk chunk;
    for (long begin = b.length[0], active = 0; begin > 0;) {
        const long end = begin;
        for (long taken = 0; begin > 0; begin--) {
            long next = active;
            while (next < b.rows && b.length[next] >= begin) next++;
            if (begin < end && taken + next > BACKWARD_CHUNK) break;
            taken += next;
            active = next;
        }
        chunk.set(begin, end, b.length, active);
        steps_left -= chunk.rows;
        chunk.each([&](long i, long s, long r) {
            to_panels(m.before + r * W, panel, s ? b.output(i, s - 1) : b.start(i), b.q.H);
            to_panels(m.grad + r * W, panel, b.grad(i, s), b.q.H);
            if (is_rnn(cell)) to_panels(m.now + r * W, panel, b.output(i, s), b.q.H);
            if (b.d.grad_w_ih) to_panels(m.x + r * W, panel, b.x(i, s), b.q.I);
        });
        for (long k = chunk.end - chunk.begin - 1; k >= 0; k--) {
            const long first = chunk.first[k], rows = chunk.count[k];
            const float* saved = b.saved(steps_left + first);
            const float* grad_gates = m.grad_gates + (state_slot(cell) * b.H * step + first) * W;
            backward_gates<cell>(b, m, step, first, rows, saved);
            if constexpr (cell == GRU_BEFORE) {
                backward_product(b, grad_gates + 2 * b.H * panel, step, b.H, w.hh_second_backward, rows, m.grad_reset);
                backward_reset(b, m, step, first, rows, saved);
                backward_product(b, grad_gates, step, 2 * b.H, w.hh_backward, rows, m.grad_h);
            } else if (chunk.begin + k > 0 || b.d.grad_h0) {
                backward_product(b, grad_gates, step, gates(cell) * b.H, w.hh_backward, rows, m.grad_h);
            }
        }
        if (b.d.grad_w_ih) {
            const float* grad_state = m.grad_gates + state_slot(cell) * b.H * panel;
            const long width = gates(cell) * b.H, direct = cell == GRU_BEFORE ? 2 * b.H : width;
            add_gradient(m.grad_gates, width, m.x, b.I, panel, chunk.rows, m.sums_ih);
            add_gradient(grad_state, direct, m.before, b.H, panel, chunk.rows, m.sums_hh);
            if constexpr (cell == GRU_BEFORE)
                add_gradient(grad_state + direct * panel, b.H, m.reset_states, b.H, panel, chunk.rows,
                             m.sums_hh + direct * W * b.H * W);
        }
        if (b.d.grad_x) backward_input<cell>(b, w, m, chunk, step);
    }
    for (long i = 0; b.d.grad_h0 && i < b.rows; i++) {
        from_panels(b.state(b.d.grad_h0, i), m.grad_h + i * W, h_step, b.q.H);
        if (cell == LSTM) from_panels(b.state(b.d.grad_h0, i, 1), m.grad_c + i * W, h_step, b.q.H);
    }
}

}  // namespace
