// The arguments of a call, and how a batch is split into parts, blocks of rows and chunks of steps.

#pragma once

#include <algorithm>
#include <numeric>

#include "memory.h"
#include "products.h"
#include "threads.h"

extern "C" {

struct Direction {
    const float *w_ih, *w_hh;            // (gates H, I) and (gates H, H), in torch's order of gates
    const float *b_ih, *b_hh;            // (gates H), or null
    const float* h0;                     // initial state (B, H), or (B, 2 H) of an LSTM: h, then c; null means zeros
    float* outputs;                      // (B, T, H), strides in Problem; zero on padding
    float* h_n;                          // state after each row's last step, with the shape of h0
    float* saved;                        // values for backward, saved_numbers(cell, H) for each step of a row, or null
    const float *grad_outputs, *grad_h_n;  // null means zeros
    float* grad_x;                       // (B, T, I); gradients from here on may be null if they are not needed
    float *grad_w_ih, *grad_w_hh;        // both or neither
    float *grad_b_ih, *grad_b_hh, *grad_h0;
    int64_t reverse;                     // run from each row's last step to its first
    int64_t add_grad_x;                  // add to grad_x instead of overwriting it
};

struct Problem {
    int64_t B, T, I, H;                  // batch, time, input size, hidden size
    int64_t directions;
    int64_t threads;                     // number of torch's threads
    int64_t parts;                       // number of parts of the batch
    int64_t parallel_directions;                       // the directions of a part run side by side, else one after the other
    const int64_t* lengths;              // (B)
    const float* x;                      // (B, T, I)
    int64_t x_row, x_step;               // strides of row and step, as in the lines below
    int64_t outputs_row, outputs_step;
    int64_t grad_outputs_row, grad_outputs_step;
    Direction direction[2];
};
}

namespace {

enum Cell { GRU_AFTER, GRU_BEFORE, RNN_TANH, RNN_RELU, LSTM };

constexpr long BLOCK = 64;             // rows; more if there are few steps
constexpr long FORWARD_CHUNK = 64;     // rows times steps
constexpr long BACKWARD_CHUNK = 128;   // rows times steps

constexpr bool is_rnn(int cell) { return cell == RNN_TANH || cell == RNN_RELU; }
constexpr long gates(int cell) { return is_rnn(cell) ? 1 : cell == LSTM ? 4 : 3; }
constexpr long slots(int cell) { return cell == GRU_AFTER ? 4 : gates(cell); }
constexpr long saved_slots(int cell) { return is_rnn(cell) ? 0 : cell == LSTM ? 5 : slots(cell); }
constexpr long states(int cell) { return cell == LSTM ? 2 : 1; }
constexpr long state_slot(int cell) { return cell == GRU_AFTER ? 1 : 0; }  // first slot of the recurrent product

// Index of a gate's panel among the panels of the forward pass.
template <int cell>
constexpr long slot(long panel, long gate) { return panel * slots(cell) + gate; }

// Index in torch's order of the gate in a slot of the input product.
constexpr long input_gate(int cell, long slot) { return cell == GRU_AFTER ? (slot + 2) % 3 : slot; }

// Rows of a buffer of panels: never a multiple of 16, so that the same row of several panels uses different cache sets.
long buffer_rows(long rows) { return (rows + 7) / 8 * 8 | 8; }

struct Block {
    long first, rows;   // first row in the plan's order, and number of rows
    long steps_before;  // steps of all rows before the block
};

struct Plan {
    std::vector<long> row, length;  // row of the batch and its length; part after part, longest rows first
    std::vector<std::vector<Block>> parts;
    long largest = 0;               // rows of the largest block

    explicit Plan(const Problem& q) : parts(q.parts) {
        std::vector<long> order(q.B);
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](long a, long b) { return q.lengths[a] > q.lengths[b]; });
        const long limit = std::max<long>(BLOCK, BACKWARD_CHUNK / std::max<long>(q.T, 1));
        long steps = 0;
        for (long part = 0; part < q.parts; part++) {
            const long first = row.size();
            for (long i = 0; i < q.B; i++) {  // dealt in alternating order, so that parts have about equal steps
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

// A chunk of consecutive steps of a block.
struct Chunk {
    long begin = 0, end = 0, rows = 0;  // first and last (exclusive) step; sum of the rows of all steps
    std::vector<long> first, count;     // for each step: rows of the steps before it, and its own rows

    void set(long from, long to, const long* length, long active) {
        begin = from;
        end = to;
        rows = 0;
        first.clear();
        count.clear();
        for (long s = begin; s < end; s++) {
            while (active && length[active - 1] <= s) active--;
            first.push_back(rows);
            count.push_back(active);
            rows += active;
        }
    }

    // Call work(row of the block, step, row of the chunk), ordered by row of the block.
    template <class Work>
    void each(Work work) const {
        for (long i = 0; begin < end && i < count[0]; i++)
            for (long k = 0; k < end - begin && count[k] > i; k++) work(i, begin + k, first[k] + i);
    }
};

struct Weights {  // packed weights; _backward: for the product with the gradients of the gates
    float *ih, *hh, *hh_second, *bias, *bias_state;
    float *ih_backward, *hh_backward, *hh_second_backward;
};

struct Buffers {  // scratch memory of a job
    float *x, *gates, *h, *next, *c, *reset;
    float *before, *now, *grad, *grad_gates, *grad_h, *grad_c, *grad_reset, *reset_states;
    float *sums_ih, *sums_hh, *sums_bias;
    std::vector<float*> targets;
};

// Addresses of the data of one block in one direction.
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
    // Row i of a tensor of states: its h, or with which = 1 its c.
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
