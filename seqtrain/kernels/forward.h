// The forward pass of a block of rows.

#pragma once

#include "schedule.h"

namespace {

// The input product W_ih x of a chunk of steps, biases included.
template <int cell>
void project(const Rows<cell>& b, const Weights& w, const Buffers& m, const Chunk& chunk, long step) {
    const long panel = step * W;
    chunk.each([&](long i, long s, long r) { to_panels(m.x + r * W, panel, b.x(i, s), b.q.I); });
    multiply(m.x, panel, chunk.rows, b.I, w.ih, gates(cell) * b.H, 0,
             [&](long c) {
                 return Sums{w.bias + c * W, m.gates + slot<cell>(c / gates(cell), c % gates(cell)) * panel};
             },
             no_callback);
    if constexpr (cell == GRU_AFTER)
        for (long p = 0; p < b.H; p++) {
            float* state = m.gates + slot<cell>(p, 3) * panel;
            for (long r = 0; r < chunk.rows; r++) store(state + r * W, load(w.bias_state + p * W));
        }
}

// One step of some rows: the recurrent product W_hh h, and the gates of each panel as soon as its product is computed.
template <int cell>
void forward_step(const Rows<cell>& b, const Weights& w, const Buffers& m, long step, long first, long rows, float* saved,
                  float* const* outputs) {
    const long h_step = b.h_rows * W, panel = step * W;
    float* const sums = m.gates + first * W;
    auto gate = [&](long p, long s) { return sums + slot<cell>(p, s) * panel; };
    auto finish = [&](long p, long r, vec h) {
        store(m.next + p * h_step + r * W, h);
        store_partial(outputs[r] + p * W, h, panel_width(b.q.H, p));
    };
    // Padding units have zero weights, but zero times infinity is NaN: reset their sums to zero.
    auto clear_padding = [&](long p) {
        for (long s = 0; s < slots(cell); s++)
            for (long r = 0; r < rows; r++) {
                float* at = gate(p, s) + r * W;
                for (long i = panel_width(b.q.H, p); i < W; i++) at[i] = 0;
            }
    };
    // Call work(panel) for each panel when its sums of `count` gates, in the slots after `from`, are computed.
    auto product = [&](const float* state, const float* weights, long from, long count, auto work) {
        long p = 0;
        multiply(state, h_step, rows, b.H, weights, count * b.H, W,
                 [&](long c) {
                     float* to = gate(c / count, from + c % count);
                     return Sums{to, to};
                 },
                 [&](long columns) {
                     for (; (p + 1) * count <= columns; p++) {
                         if ((p + 1) * W > b.q.H) clear_padding(p);
                         work(p);
                     }
                 });
    };
    if constexpr (cell == GRU_AFTER) {
        product(m.h, w.hh, 1, 3, [&](long p) {
            const float *n_of = gate(p, 0), *r_of = gate(p, 1), *z_of = gate(p, 2), *state_of = gate(p, 3);
            for (long r = 0; r < rows; r++) {
                vec reset = load(r_of + r * W), z = load(z_of + r * W);
                const vec state = load(state_of + r * W);
                sigmoids(reset, z);
                const vec n = hyperbolic_tangent(load(n_of + r * W) + reset * state);
                finish(p, r, n + z * (load(m.h + p * h_step + r * W) - n));
                if (saved) {
                    float* to = saved + (p * rows + r) * 4 * W;
                    store(to, n);
                    store(to + W, reset);
                    store(to + 2 * W, z);
                    store(to + 3 * W, state);
                }
            }
        });
    } else if constexpr (cell == GRU_BEFORE) {
        product(m.h, w.hh, 0, 2, [&](long p) {
            float *z_of = gate(p, 0), *r_of = gate(p, 1);
            for (long r = 0; r < rows; r++) {
                vec z = load(z_of + r * W), reset = load(r_of + r * W);
                sigmoids(z, reset);
                store(z_of + r * W, z);
                store(r_of + r * W, reset);
                store(m.reset + p * h_step + r * W, reset * load(m.h + p * h_step + r * W));
            }
        });
        product(m.reset, w.hh_second, 2, 1, [&](long p) {
            const float *z_of = gate(p, 0), *r_of = gate(p, 1), *candidate_of = gate(p, 2);
            for (long r = 0; r < rows; r++) {
                const vec z = load(z_of + r * W), before = load(m.h + p * h_step + r * W);
                const vec candidate = hyperbolic_tangent(load(candidate_of + r * W));
                finish(p, r, before + z * (candidate - before));
                if (saved) {
                    float* to = saved + (p * rows + r) * 3 * W;
                    store(to, z);
                    store(to + W, load(r_of + r * W));
                    store(to + 2 * W, candidate);
                }
            }
        });
    } else if constexpr (cell == LSTM) {
        product(m.h, w.hh, 0, 4, [&](long p) {
            const float *i_of = gate(p, 0), *f_of = gate(p, 1), *g_of = gate(p, 2), *o_of = gate(p, 3);
            for (long r = 0; r < rows; r++) {
                float* cell_state = m.c + p * h_step + r * W;
                vec i = load(i_of + r * W), f = load(f_of + r * W);
                const vec g = hyperbolic_tangent(load(g_of + r * W)), before = load(cell_state);
                sigmoids(i, f);
                const vec o = sigmoid(load(o_of + r * W)), c = f * before + i * g;
                store(cell_state, c);
                finish(p, r, o * hyperbolic_tangent(c));
                if (saved) {
                    float* to = saved + (p * rows + r) * 5 * W;
                    store(to, i);
                    store(to + W, f);
                    store(to + 2 * W, g);
                    store(to + 3 * W, o);
                    store(to + 4 * W, before);
                }
            }
        });
    } else {
        product(m.h, w.hh, 0, 1, [&](long p) {
            const float* sum_of = gate(p, 0);
            for (long r = 0; r < rows; r++) {
                const vec sum = load(sum_of + r * W);
                finish(p, r, cell == RNN_TANH ? hyperbolic_tangent(sum) : clamp_min(sum, 0.0f));
            }
        });
    }
}

template <int cell>
void forward_block(const Rows<cell>& b, const Weights& w, Buffers& m) {
    const long step = buffer_rows(std::max(FORWARD_CHUNK, b.rows)), h_step = b.h_rows * W;
    for (long i = 0; i < b.rows; i++) {
        to_panels(m.h + i * W, h_step, b.start(i), b.q.H);
        if (cell == LSTM) to_panels(m.c + i * W, h_step, b.state(b.d.h0, i, 1), b.q.H);
        for (long t = b.length[i]; t < b.q.T; t++)
            memset(b.d.outputs + b.row[i] * b.q.outputs_row + t * b.q.outputs_step, 0, b.q.H * sizeof(float));
    }
    std::vector<float*> outputs(b.rows);
    Chunk chunk;
    long active = b.rows, steps_done = 0;
    auto end_rows = [&](long s) {  // store the state of rows that have no more than s steps
        for (; active && b.length[active - 1] <= s; active--) {
            from_panels(b.state(b.d.h_n, active - 1), m.h + (active - 1) * W, h_step, b.q.H);
            if (cell == LSTM) from_panels(b.state(b.d.h_n, active - 1, 1), m.c + (active - 1) * W, h_step, b.q.H);
        }
    };
    end_rows(0);
    while (active) {
        long end = chunk.end + 1, taken = active;
        for (long next = active; end < b.length[0]; end++, taken += next) {
            while (b.length[next - 1] <= end) next--;
            if (taken + next > FORWARD_CHUNK) break;
        }
        chunk.set(chunk.end, end, b.length, active);
        project<cell>(b, w, m, chunk, step);
        for (long k = 0; k < chunk.end - chunk.begin; k++) {
            const long s = chunk.begin + k;
            for (long i = 0; i < active; i++) outputs[i] = b.output(i, s);
            forward_step<cell>(b, w, m, step, chunk.first[k], active, b.d.saved ? b.saved(steps_done) : nullptr,
                               outputs.data());
            std::swap(m.h, m.next);
            steps_done += active;
            end_rows(s + 1);
        }
    }
}

}  // namespace
