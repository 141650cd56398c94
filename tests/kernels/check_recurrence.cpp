// The recurrent kernels against float64, without Python: for other vector widths, compilers and machines.

#define CELL LSTM
#include "recurrence.cpp"

#include "differences.h"

struct Case {
    int cell;
    long B, T, I, H, directions, threads, parts, parallel_directions;
    std::vector<int64_t> lengths;
    std::vector<int64_t> reverse;
};

static double sigma(double x) { return 1 / (1 + std::exp(-x)); }

// Outputs (B, T, directions H) and last states (directions, B, states H) for x, h0 and four weights per direction.
static void reference(const Case& c, const std::vector<Doubles>& in, Doubles& outputs, Doubles& last) {
    const long G = gates(c.cell), H = c.H, S = states(c.cell);
    outputs.assign(c.B * c.T * c.directions * H, 0.0);
    last = in[1];
    for (long d = 0; d < c.directions; d++) {
        const Doubles &w = in[2 + 4 * d], &u = in[3 + 4 * d], &b = in[4 + 4 * d], &v = in[5 + 4 * d];
        for (long i = 0; i < c.B; i++) {
            double* state = &last[(d * c.B + i) * S * H];
            for (long s = 0; s < c.lengths[i]; s++) {
                const long t = c.reverse[d] ? c.lengths[i] - 1 - s : s;
                const double* x = &in[0][(i * c.T + t) * c.I];
                Doubles before(state, state + S * H), input(G * H), recurrent(G * H);
                auto product = [&](long row, const double* h) {
                    double sum = v[row];
                    for (long k = 0; k < H; k++) sum += u[row * H + k] * h[k];
                    return sum;
                };
                for (long row = 0; row < G * H; row++) {
                    input[row] = b[row];
                    for (long k = 0; k < c.I; k++) input[row] += w[row * c.I + k] * x[k];
                    recurrent[row] = product(row, before.data());
                }
                Doubles scaled(H);
                for (long j = 0; j < H && c.cell == GRU_BEFORE; j++)
                    scaled[j] = sigma(input[H + j] + recurrent[H + j]) * before[j];
                for (long j = 0; j < H; j++) {
                    auto gate = [&](long g) { return input[g * H + j] + recurrent[g * H + j]; };
                    if (c.cell == GRU_AFTER) {
                        const double n = std::tanh(input[2 * H + j] + sigma(gate(0)) * recurrent[2 * H + j]);
                        state[j] = n + sigma(gate(1)) * (before[j] - n);
                    } else if (c.cell == GRU_BEFORE) {
                        const double candidate = std::tanh(input[2 * H + j] + product(2 * H + j, scaled.data()));
                        state[j] = before[j] + sigma(gate(0)) * (candidate - before[j]);
                    } else if (c.cell == LSTM) {
                        state[H + j] = sigma(gate(1)) * before[H + j] + sigma(gate(0)) * std::tanh(gate(2));
                        state[j] = sigma(gate(3)) * std::tanh(state[H + j]);
                    } else {
                        state[j] = c.cell == RNN_TANH ? std::tanh(gate(0)) : std::fmax(gate(0), 0.0);
                    }
                    outputs[((i * c.T + t) * c.directions + d) * H + j] = state[j];
                }
            }
        }
    }
}

template <int cell>
static void check(Case c, const std::string& name) {
    c.cell = cell;
    const long G = gates(cell), H = c.H, S = states(cell), N = c.directions;
    std::vector<Floats> in{draw(c.B * c.T * c.I), draw(N * c.B * S * H)};
    for (long d = 0; d < N; d++) {
        in.push_back(draw(G * H * c.I, std::pow(c.I, -0.5)));
        in.push_back(draw(G * H * H, (cell == RNN_RELU ? 0.3 : 1) * std::pow(H, -0.5)));  // far from a kink
        in.push_back(draw(G * H));
        in.push_back(draw(G * H));
    }
    std::vector<Floats> grads;
    for (const Floats& tensor : in) grads.emplace_back(tensor.size(), NAN);
    Floats outputs(c.B * c.T * N * H, NAN), last(in[1].size(), NAN), by_output = draw(outputs.size()),
           by_state = draw(last.size());
    long steps = 0;
    for (int64_t length : c.lengths) steps += length;
    Floats saved(N * steps * panels(H) * W * saved_slots(cell) + 1), grad_x(N * in[0].size(), NAN);
    Problem q{};
    q.B = c.B, q.T = c.T, q.I = c.I, q.H = H, q.directions = N;
    q.threads = c.threads, q.parts = c.parts, q.parallel_directions = c.parallel_directions;
    q.lengths = c.lengths.data(), q.x = in[0].data();
    q.x_row = c.T * c.I, q.x_step = c.I;
    q.outputs_row = q.grad_outputs_row = c.T * N * H, q.outputs_step = q.grad_outputs_step = N * H;
    for (long d = 0; d < N; d++) {
        Direction& one = q.direction[d];
        one.w_ih = in[2 + 4 * d].data(), one.w_hh = in[3 + 4 * d].data();
        one.b_ih = in[4 + 4 * d].data(), one.b_hh = in[5 + 4 * d].data();
        one.h0 = &in[1][d * c.B * S * H], one.h_n = &last[d * c.B * S * H];
        one.outputs = &outputs[d * H], one.grad_outputs = &by_output[d * H];
        one.saved = &saved[d * (saved.size() / N)], one.grad_h_n = &by_state[d * c.B * S * H];
        one.grad_x = &grad_x[c.parallel_directions ? d * in[0].size() : 0];
        one.add_grad_x = d && !c.parallel_directions;
        one.grad_w_ih = grads[2 + 4 * d].data(), one.grad_w_hh = grads[3 + 4 * d].data();
        one.grad_b_ih = grads[4 + 4 * d].data(), one.grad_b_hh = grads[5 + 4 * d].data();
        one.grad_h0 = &grads[1][d * c.B * S * H], one.reverse = c.reverse[d];
    }
    run<cell>(q, false);
    run<cell>(q, true);
    for (size_t i = 0; i < in[0].size(); i++)
        grads[0][i] = grad_x[i] + (c.parallel_directions ? grad_x[in[0].size() + i] : 0);

    std::vector<Doubles> point;
    for (const Floats& tensor : in) point.emplace_back(tensor.begin(), tensor.end());
    Doubles expected, expected_last;
    reference(c, point, expected, expected_last);
    require_close(outputs, expected, name + ": outputs");
    require_close(last, expected_last, name + ": last states");
    std::vector<Input> inputs{{"x", &in[0], &grads[0]}, {"h0", &in[1], &grads[1]}};
    const char* names[] = {"w_ih", "w_hh", "b_ih", "b_hh"};
    for (long i = 2; i < (long)in.size(); i++) inputs.push_back({names[(i - 2) % 4], &in[i], &grads[i]});
    require_gradients(inputs, [&](const std::vector<Doubles>& at) {
        Doubles out, end;
        reference(c, at, out, end);
        double total = 0;
        for (size_t i = 0; i < out.size(); i++) total += out[i] * by_output[i];
        for (size_t i = 0; i < end.size(); i++) total += end[i] * by_state[i];
        return total;
    }, name);
    printf("%s: right\n", name.c_str());
}

static void check_cells(const Case& c, const std::string& name) {
    check<GRU_AFTER>(c, "gru_after, " + name);
    check<GRU_BEFORE>(c, "gru_before, " + name);
    check<RNN_TANH>(c, "rnn_tanh, " + name);
    check<RNN_RELU>(c, "rnn_relu, " + name);
    check<LSTM>(c, "lstm, " + name);
}

// After an infinite input a row's later steps are finite where the formula is: padding units must not contribute.
template <int cell>
static void check_infinity() {
    const long B = 2, T = 3, I = 2, H = 5, G = gates(cell);
    std::vector<int64_t> lengths{T, T};
    Floats x = draw(B * T * I), w = draw(G * H * I), u = draw(G * H * H), b = draw(G * H);
    x[0] = INFINITY;
    Floats outputs(B * T * H), last(B * H * states(cell)), saved(B * T * panels(H) * W * 5);
    Problem q{};
    q.B = B, q.T = T, q.I = I, q.H = H, q.directions = 1, q.threads = q.parts = 1;
    q.lengths = lengths.data(), q.x = x.data(), q.x_row = T * I, q.x_step = I;
    q.outputs_row = T * H, q.outputs_step = H;
    Direction& one = q.direction[0];
    one.w_ih = w.data(), one.w_hh = u.data(), one.b_ih = b.data(), one.b_hh = b.data();
    one.outputs = outputs.data(), one.h_n = last.data(), one.saved = saved.data();
    run<cell>(q, false);
    for (float number : outputs) require(std::isfinite(number), "an infinite input makes other units infinite");
}

int main() {
    printf("vectors of %ld numbers, %d registers\n", W, REGISTERS);
    check_cells({0, 3, 4, 2, 5, 1, 1, 1, 0, {4, 1, 2}, {0}}, "small");
    check_cells({0, 3, 4, 2, 5, 1, 1, 1, 0, {4, 0, 2}, {1}}, "reversed, an empty row");
    check_cells({0, 1, 1, 1, 1, 1, 1, 1, 0, {1}, {0}}, "one of each");
    check_cells({0, 5, 7, 33, 20, 2, 2, 2, 0, {7, 1, 3, 7, 2}, {0, 1}}, "two directions");
    check_cells({0, 4, 6, 9, 31, 2, 2, 1, 1, {6, 6, 2, 4}, {0, 1}}, "two directions in parallel");
    check_cells({0, 70, 3, 5, 16, 1, 1, 1, 0, std::vector<int64_t>(70, 3), {0}}, "more rows than a block");
    check_cells({0, 9, 40, 3, 50, 1, 1, 1, 0, {40, 39, 2, 17, 40, 1, 5, 33, 40}, {1}}, "more steps than a chunk");
    check_infinity<GRU_AFTER>();
    check_infinity<GRU_BEFORE>();
    check_infinity<RNN_TANH>();
    check_infinity<LSTM>();
    return 0;
}
