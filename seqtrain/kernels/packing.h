// Work before and after the blocks of a call: scratch memory, packed weights, gradients of the weights.

#pragma once

#include "schedule.h"

namespace {

struct Place {
    long gate, panel;
};

// Add a piece of work for each group of columns that packs W^T for the forward product. W is (rows of gates, depth), and
// place(column) gives the gate and the panel of its rows.
template <class ColumnPlace>
void pack_forward(std::vector<Packing>& work, float* to, const Problem& q, const float* weight, long depth, long columns,
                  ColumnPlace place) {
    const ColumnGroups groups(columns);
    for (long g = 0; g < groups.count; g++) {
        const long first = groups.first(g), padded = panels(depth) * W;
        Packing piece{to + first * W * padded, groups.size(g), {}, {}, depth, 1, depth, padded};
        for (long c = 0; c < piece.columns; c++) {
            const Place at = place(first + c);
            piece.from[c] = weight + (at.gate * q.H + at.panel * W) * depth;
            piece.width[c] = panel_width(q.H, at.panel);
        }
        work.push_back(piece);
    }
}

// Add pieces of work that pack W for the backward product; its rows are those of the given gates, in this order.
void pack_backward(std::vector<Packing>& work, float* to, const Problem& q, const float* weight, long width,
                   const std::vector<long>& gates) {
    const ColumnGroups groups(panels(width));
    for (long g = 0; g < groups.count; g++)
        for (size_t s = 0; s < gates.size(); s++) {
            const long first = groups.first(g), columns = groups.size(g), depth = panels(q.H) * W;
            Packing piece{to + (first * (long)gates.size() + (long)s * columns) * W * depth, columns, {}, {},
                          1, width, q.H, depth};
            for (long c = 0; c < columns; c++) {
                piece.from[c] = weight + gates[s] * q.H * width + (first + c) * W;
                piece.width[c] = panel_width(width, first + c);
            }
            work.push_back(piece);
        }
}

template <int cell>
Weights pack(const Problem& q, const Direction& d, Arena& arena, std::vector<Packing>& work, bool backward) {
    const long H = panels(q.H), I = panels(q.I);
    constexpr long G = gates(cell);
    Weights w{};
    if (backward) {
        std::vector<long> inputs(G), states(G);
        for (long s = 0; s < G; s++) inputs[s] = input_gate(cell, s);
        std::iota(states.begin(), states.end(), 0);
        if (d.grad_x) pack_backward(work, w.ih_backward = arena.floats(G * H * W * I * W), q, d.w_ih, q.I, inputs);
        w.hh_backward = arena.floats(G * H * W * H * W);
        if constexpr (cell == GRU_BEFORE) {
            w.hh_second_backward = w.hh_backward + 2 * H * W * H * W;
            pack_backward(work, w.hh_backward, q, d.w_hh, q.H, {0, 1});
            pack_backward(work, w.hh_second_backward, q, d.w_hh, q.H, {2});
        } else {
            pack_backward(work, w.hh_backward, q, d.w_hh, q.H, states);
        }
        return w;
    }
    w.ih = arena.floats(G * H * W * I * W);
    w.hh = arena.floats(G * H * W * H * W);
    pack_forward(work, w.ih, q, d.w_ih, q.I, G * H, [](long c) { return Place{input_gate(cell, c % G), c / G}; });
    if constexpr (cell == GRU_BEFORE) {
        w.hh_second = w.hh + 2 * H * W * H * W;
        pack_forward(work, w.hh, q, d.w_hh, q.H, 2 * H, [](long c) { return Place{c % 2, c / 2}; });
        pack_forward(work, w.hh_second, q, d.w_hh, q.H, H, [](long c) { return Place{2, c}; });
    } else {
        pack_forward(work, w.hh, q, d.w_hh, q.H, G * H, [](long c) { return Place{c % G, c / G}; });
    }
    w.bias = arena.floats(G * H * W);
    w.bias_state = arena.floats(H * W);
    for (long i = 0; i < H * W; i++) {
        auto of = [&](const float* bias, long gate) { return bias && i < q.H ? bias[gate * q.H + i] : 0.0f; };
        for (long s = 0; s < G; s++) {
            const long gate = input_gate(cell, s);
            const bool separate = cell == GRU_AFTER && s == 0;  // n: the reset gate scales the recurrent bias
            w.bias[(i / W * G + s) * W + i % W] = of(d.b_ih, gate) + (separate ? 0.0f : of(d.b_hh, gate));
        }
        w.bias_state[i] = cell == GRU_AFTER ? of(d.b_hh, 2) : 0.0f;
    }
    return w;
}

template <int cell>
Buffers allocate(const Problem& q, const Plan& plan, Arena& arena, bool backward) {
    const long H = panels(q.H) * W, I = panels(q.I) * W, rows = buffer_rows(plan.largest);
    const long chunk = buffer_rows(std::max(backward ? BACKWARD_CHUNK : FORWARD_CHUNK, plan.largest));
    Buffers m{};
    m.x = arena.floats(chunk * I);
    if (cell == LSTM) (backward ? m.grad_c : m.c) = arena.floats(rows * H);
    if (!backward) {
        m.gates = arena.floats(chunk * H * slots(cell));
        m.h = arena.floats(rows * H);
        m.next = arena.floats(rows * H);
        if (cell == GRU_BEFORE) m.reset = arena.floats(rows * H);
        return m;
    }
    m.before = arena.floats(chunk * H);
    m.grad = arena.floats(chunk * H);
    m.grad_gates = arena.floats(chunk * H * slots(cell));
    m.grad_h = arena.floats(rows * H);
    if (is_rnn(cell)) m.now = arena.floats(chunk * H);
    if (cell == GRU_BEFORE) {
        m.grad_reset = arena.floats(rows * H);
        m.reset_states = arena.floats(chunk * H);
    }
    return m;
}

template <int cell>
void allocate_sums(const Problem& q, Arena& arena, Buffers& m) {
    const long H = panels(q.H) * W, I = panels(q.I) * W;
    m.sums_ih = arena.floats(gates(cell) * H * I);
    m.sums_hh = arena.floats(gates(cell) * H * H);
    m.sums_bias = arena.floats(slots(cell) * H);
}

// Gradients of one direction's weights: the total over the jobs that ran it.
template <int cell>
void gather_gradients(const Problem& q, const Direction& d, const std::vector<Buffers>& jobs) {
    const long H = panels(q.H), G = gates(cell);
    std::vector<float*> ih, hh, second;
    for (const Buffers& m : jobs) {
        ih.push_back(m.sums_ih);
        hh.push_back(m.sums_hh);
        second.push_back(m.sums_hh + 2 * H * W * H * W);
    }
    auto bias = [&](float* to, long slot, long gate, long p) {
        vec sum{};
        for (const Buffers& m : jobs) sum += load(m.sums_bias + (slot * H + p) * W);
        if (to) store_partial(to + gate * q.H + p * W, sum, panel_width(q.H, p));
    };
    parallel(q.threads, G * H, [&](long i) {
        const long slot = i / H, p = i % H, there = panel_width(q.H, p), gate = input_gate(cell, slot);
        if (d.grad_w_ih) {
            unpack_gradient(d.grad_w_ih + (gate * q.H + p * W) * q.I, ih, G * H, i, there, q.I);
            float* to = d.grad_w_hh + (slot * q.H + p * W) * q.H;
            if (cell != GRU_BEFORE) unpack_gradient(to, hh, G * H, i, there, q.H);
            else if (slot < 2) unpack_gradient(to, hh, 2 * H, i, there, q.H);
            else unpack_gradient(to, second, H, p, there, q.H);
        }
        bias(d.grad_b_ih, slot, gate, p);
        bias(d.grad_b_hh, slot + state_slot(cell), slot, p);
    });
}

}  // namespace
