// The forward pass of a block of rows.

#pragma once

#include "schedule.h"

namespace {

template <int cell>
void project(const Rows<cell>& b, const Weights& w, const Buffers& m, const Chunk& chunk, long step) {
    chunk.each([&](long i, long s, long r) { to_panels(m.x + r * W, step * W, b.x(i, s), b.q.I); });
    if constexpr (is_rnn(cell)) {
        const Groups groups(b.H);
        for (long g = 0; g < groups.count; g++) {
            const long p = groups.first(g), columns = groups.size(g);
            in_tiles(chunk.rows, [&](long r, long count) {
                tile_of(count, columns)(m.x + r * W, step * W, b.I, w.ih + p * W * b.I * W, w.bias + p * W, 0, W,
                                        m.gates + (p * step + r) * W, W, step * W);
            });
        }
    } else {
        constexpr long S = slots(cell), C = columns(cell);
        for (long p = 0; p < b.H; p++) {
            float* sums = m.gates + p * step * S * W;
            for (long g = 0; g < gates(cell); g += C) {
                const long column = (p * gates(cell) + g) * W;
                in_tiles(chunk.rows, [&](long r, long count) {
                    tile_of(count, C)(m.x + r * W, step * W, b.I, w.ih + column * b.I * W, w.bias + column, 0, W,
                                      sums + (r * S + g) * W, S * W, W);
                });
            }
            if constexpr (cell == GRU_AFTER)
                for (long r = 0; r < chunk.rows; r++) store(sums + (r * S + 3) * W, load(w.bias_state + p * W));
        }
    }
}

// The product of the state with the weights and the gates of some rows, panel by panel.
template <int cell>
void forward_step(const Rows<cell>& b, const Weights& w, const Buffers& m, long step, long first, long rows, float* saved,
                  float* const* outputs) {
    const long h_step = b.h_rows * W;
    constexpr long S = slots(cell);
    auto finish = [&](long p, long r, vec h) {
        store(m.next + p * h_step + r * W, h);
        store_some(outputs[r] + p * W, h, in_panel(b.q.H, p));
    };
    if constexpr (cell == GRU_AFTER) {
        for (long p = 0; p < b.H; p++)
            in_tiles(rows, [&](long r0, long count) {
                float* gates = m.gates + (p * step + first + r0) * S * W;
                tile_of(count, 3)(m.h + r0 * W, h_step, b.H, w.hh + p * b.H * W * 3 * W, gates + W, S * W, W,
                                  gates + W, S * W, W);
                for (long r = r0; r < r0 + count; r++, gates += S * W) {
                    vec reset = load(gates + W), z = load(gates + 2 * W);
                    const vec state = load(gates + 3 * W);
                    sigmoids(reset, z);
                    const vec n = hyperbolic_tangent(load(gates) + reset * state);
                    finish(p, r, n + z * (load(m.h + p * h_step + r * W) - n));
                    if (saved) {
                        float* to = saved + (p * rows + r) * S * W;
                        store(to, n);
                        store(to + W, reset);
                        store(to + 2 * W, z);
                        store(to + 3 * W, state);
                    }
                }
            });
    } else if constexpr (cell == GRU_BEFORE) {
        for (long p = 0; p < b.H; p++)
            in_tiles(rows, [&](long r0, long count) {
                float* gates = m.gates + (p * step + first + r0) * S * W;
                tile_of(count, 2)(m.h + r0 * W, h_step, b.H, w.hh + p * b.H * W * 2 * W, gates, S * W, W,
                                  gates, S * W, W);
                for (long r = r0; r < r0 + count; r++, gates += S * W) {
                    vec z = load(gates), reset = load(gates + W);
                    sigmoids(z, reset);
                    store(gates, z);
                    store(gates + W, reset);
                    store(m.reset + p * h_step + r * W, reset * load(m.h + p * h_step + r * W));
                }
            });
        const Groups groups(b.H);
        for (long g = 0; g < groups.count; g++)
            in_tiles(rows, [&](long r0, long count) {
                const long p0 = groups.first(g), columns = groups.size(g);
                float* candidates = m.gates + ((p0 * step + first + r0) * S + 2) * W;
                tile_of(count, columns)(m.reset + r0 * W, h_step, b.H, w.hh_second + p0 * W * b.H * W,
                                        candidates, S * W, step * S * W, candidates, S * W, step * S * W);
                for (long p = p0; p < p0 + columns; p++)
                    for (long r = r0; r < r0 + count; r++) {
                        const float* gates = m.gates + (p * step + first + r) * S * W;
                        const vec z = load(gates), before = load(m.h + p * h_step + r * W);
                        const vec candidate = hyperbolic_tangent(load(gates + 2 * W));
                        finish(p, r, before + z * (candidate - before));
                        if (saved) {
                            float* to = saved + (p * rows + r) * S * W;
                            store(to, z);
                            store(to + W, load(gates + W));
                            store(to + 2 * W, candidate);
                        }
                    }
            });
    } else if constexpr (cell == LSTM) {
        for (long p = 0; p < b.H; p++)
            in_tiles(rows, [&](long r0, long count) {
                float* sums = m.gates + (p * step + first + r0) * S * W;
                for (long g = 0; g < S; g += columns(cell))
                    tile_of(count, columns(cell))(m.h + r0 * W, h_step, b.H, w.hh + (p * S + g) * W * b.H * W, sums + g * W, S * W, W,
                                      sums + g * W, S * W, W);
                for (long r = r0; r < r0 + count; r++, sums += S * W) {
                    float* cell_state = m.c + p * h_step + r * W;
                    vec i = load(sums), f = load(sums + W), o = load(sums + 3 * W);
                    const vec g = hyperbolic_tangent(load(sums + 2 * W)), before = load(cell_state);
                    sigmoids(i, f);
                    o = sigmoid(o);
                    const vec c = f * before + i * g;
                    store(cell_state, c);
                    finish(p, r, o * hyperbolic_tangent(c));
                    if (saved) {
                        float* to = saved + (p * rows + r) * saved_slots(cell) * W;
                        store(to, i);
                        store(to + W, f);
                        store(to + 2 * W, g);
                        store(to + 3 * W, o);
                        store(to + 4 * W, before);
                    }
                }
            });
    } else {
        const Groups groups(b.H);
        for (long g = 0; g < groups.count; g++)
            in_tiles(rows, [&](long r0, long count) {
                const long p0 = groups.first(g), columns = groups.size(g);
                float* sums = m.gates + (p0 * step + first + r0) * W;
                tile_of(count, columns)(m.h + r0 * W, h_step, b.H, w.hh + p0 * W * b.H * W, sums, W, step * W,
                                        sums, W, step * W);
                for (long p = p0; p < p0 + columns; p++)
                    for (long r = r0; r < r0 + count; r++) {
                        const vec sum = load(m.gates + (p * step + first + r) * W);
                        finish(p, r, cell == RNN_TANH ? hyperbolic_tangent(sum) : at_least(sum, 0.0f));
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
    long going = b.rows, steps_done = 0;
    auto end_rows = [&](long s) {  // rows with no step after s steps
        for (; going && b.length[going - 1] <= s; going--) {
            from_panels(b.state(b.d.h_n, going - 1), m.h + (going - 1) * W, h_step, b.q.H);
            if (cell == LSTM) from_panels(b.state(b.d.h_n, going - 1, 1), m.c + (going - 1) * W, h_step, b.q.H);
        }
    };
    end_rows(0);
    while (going) {
        long end = chunk.end + 1, taken = going;
        for (long next = going; end < b.length[0]; end++, taken += next) {
            while (b.length[next - 1] <= end) next--;
            if (taken + next > FORWARD_CHUNK) break;
        }
        chunk.set(chunk.end, end, b.length, going);
        project<cell>(b, w, m, chunk, step);
        for (long k = 0; k < chunk.end - chunk.begin; k++) {
            const long s = chunk.begin + k;
            for (long i = 0; i < going; i++) outputs[i] = b.output(i, s);
            forward_step<cell>(b, w, m, step, chunk.first[k], going, b.d.saved ? b.saved(steps_done) : nullptr,
                               outputs.data());
            std::swap(m.h, m.next);
            steps_done += going;
            end_rows(s + 1);
        }
    }
}
}  // namespace
