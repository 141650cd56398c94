// What a caller gives, and how a batch is split: into parts and blocks of rows, chunks of steps.

#pragma once

#include <algorithm>
#include <numeric>

#include "memory.h"
#include "products.h"
#include "threads.h"

extern "C" {

struct Direction {
    const float *w_ih, *w_hh;            // (gates H, I) and (gates H, H), in torch's order of gates
    const float *b_ih, *b_hh;            // (gates H), or none
    const float* h0;                     // state, (B, H), or of an LSTM h and c, (B, 2 H); none for zeros
    float* outputs;                      // (B, T, H), see Problem; zero on padding
    float* h_n;                          // state after each row's last step, likewise
    float* saved;                        // what backward needs, saved_numbers(cell, H) for each step of a row, or none
    const float *grad_outputs, *grad_h_n;  // none for zeros
    float* grad_x;                       // (B, T, I); all gradients from here on may be none, where they are not wanted
    float *grad_w_ih, *grad_w_hh;        // both or none
    float *grad_b_ih, *grad_b_hh, *grad_h0;
    int64_t reverse;                     // from each row's last step to its first
    int64_t add_grad_x;                  // to what is there
};

struct Problem {
    int64_t B, T, I, H;
    int64_t directions;
    int64_t threads;                     // of torch
    int64_t parts;                       // of the batch
    int64_t parallel_directions;                       // the directions of a part run side by side, else one after the other
    const int64_t* lengths;              // (B)
    const float* x;                      // (B, T, I)
    int64_t x_row, x_step;               // from one row or step to the next, as below
    int64_t outputs_row, outputs_step;
    int64_t grad_outputs_row, grad_outputs_step;
    Direction direction[2];
};
}

namespace {

enum Cell { GRU_AFTER, GRU_BEFORE, RNN_TANH, RNN_RELU, LSTM };

constexpr long BLOCK = 64;             // rows, more where there are few steps
constexpr long FORWARD_CHUNK = 64;     // rows times steps
constexpr long BACKWARD_CHUNK = 128;   // rows times steps

constexpr bool is_rnn(int cell) { return cell == RNN_TANH || cell == RNN_RELU; }
constexpr long gates(int cell) { return is_rnn(cell) ? 1 : cell == LSTM ? 4 : 3; }
constexpr long slots(int cell) { return cell == GRU_AFTER ? 4 : gates(cell); }
constexpr long saved_slots(int cell) { return is_rnn(cell) ? 0 : cell == LSTM ? 5 : slots(cell); }
constexpr long states(int cell) { return cell == LSTM ? 2 : 1; }
constexpr long state_slot(int cell) { return cell == GRU_AFTER ? 1 : 0; }  // first slot of the state's part

// Place of a panel of a gate among the panels of the forward pass.
template <int cell>
constexpr long slot(long panel, long gate) { return panel * slots(cell) + gate; }

// Place among torch's gates of a slot of the input's part.
constexpr long input_gate(int cell, long slot) { return cell == GRU_AFTER ? (slot + 2) % 3 : slot; }

// Rows of a buffer of panels: not a multiple of 16, so that the same row of several panels falls into other cache sets.
long buffer_rows(long rows) { return (rows + 7) / 8 * 8 | 8; }

struct Block {
    long first, rows;   // in the plan's order
    long steps_before;  // steps of the rows before it
};

struct Plan {
    std::vector<long> row, length;  // of the batch, part after part, longest rows first
    std::vector<std::vector<Block>> parts;
    long largest = 0;               // block

    explicit Plan(const Problem& q) : parts(q.parts) {
        std::vector<long> order(q.B);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](long a, long b) { return q.lengths[a] > q.lengths[b]; });
        const long limit = std::max<long>(BLOCK, BACKWARD_CHUNK / std::max<long>(q.T, 1));
        long steps = 0;
        for (long part = 0; part < q.parts; part++) {
            const long first = row.size();
            for (long i = 0; i < q.B; i++) {  // dealt there and back, so that parts have equal steps
                const long round = i / q.parts, place = i % q.parts;
                if ((round % 2 ? q.parts - 1 - place : place) == part) row.push_back(order[i]);
            }
            const long rows = row.size() - first, count = (rows + limit - 1) / limit;
            for (long i = 0; i < count; i++) {
                const Block block{first + i * rows / count, (i + 1) * rows / count - i * rows / count, steps};
                for (long j = block.first; j < block.first + block.rows; j++) {
                    length.push_back(q.lengths[row[j]]);
                    steps += length.back();
                }
                largest = std::max(largest, block.rows);
                parts[part].push_back(block);
            }
        }
    }
};

// Consecutive steps of a block.
struct Chunk {
    long begin = 0, end = 0, rows = 0;  // rows of all steps
    std::vector<long> first, count;     // of each step: rows before it, and its own

    void set(long from, long to, const long* length, long going) {
        begin = from;
        end = to;
        rows = 0;
        first.clear();
        count.clear();
        for (long s = begin; s < end; s++) {
            while (going && length[going - 1] <= s) going--;
            first.push_back(rows);
            count.push_back(going);
            rows += going;
        }
    }

    // Call work(row of the block, step, row of the chunk), a block's row after the other.
    template <class Work>
    void each(Work work) const {
        for (long i = 0; begin < end && i < count[0]; i++)
            for (long k = 0; k < end - begin && count[k] > i; k++) work(i, begin + k, first[k] + i);
    }
};

struct Weights {  // packed; _backward: for the product with a gradient of gates
    float *ih, *hh, *hh_second, *bias, *bias_state;
    float *ih_backward, *hh_backward, *hh_second_backward;
};

struct Buffers {  // of a job
    float *x, *gates, *h, *next, *c, *reset;
    float *before, *now, *grad, *grad_gates, *grad_h, *grad_c, *grad_reset, *reset_states;
    float *sums_ih, *sums_hh, *sums_bias;
    std::vector<float*> targets;
};

// How one block of one direction lies in memory.
template <int cell>
struct Rows {
    const Problem& q;
    const Direction& d;
    const long rows, steps_before;
    const long *row, *length;
    const long H = panels(q.H), I = panels(q.I);
    const long h_rows = buffer_rows(rows);

    Rows(const Problem& q, const Direction& d, const Plan& plan, const Block& block)
        : q(q), d(d), rows(block.rows), steps_before(block.steps_before),
          row(&plan.row[block.first]), length(&plan.length[block.first]) {}

    long time(long i, long s) const { return d.reverse ? length[i] - 1 - s : s; }
    const float* x(long i, long s) const { return q.x + row[i] * q.x_row + time(i, s) * q.x_step; }
    float* output(long i, long s) const { return d.outputs + row[i] * q.outputs_row + time(i, s) * q.outputs_step; }
    // Of a tensor of states: h of row i, or with 1 its c.
    template <class Number>
    Number* state(Number* from, long i, long which = 0) const {
        return from ? from + (row[i] * states(cell) + which) * q.H : nullptr;
    }
    const float* start(long i) const { return state(d.h0, i); }
    const float* grad(long i, long s) const {
        if (!d.grad_outputs) return nullptr;
        return d.grad_outputs + row[i] * q.grad_outputs_row + time(i, s) * q.grad_outputs_step;
    }
    float* grad_x(long i, long s) const { return d.grad_x + (row[i] * q.T + time(i, s)) * q.I; }
    float* saved(long steps) const { return d.saved + (steps_before + steps) * H * saved_slots(cell) * W; }
};
}  // namespace
