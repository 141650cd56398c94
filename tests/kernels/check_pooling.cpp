// The pooling kernel against float64, without Python: for other vector widths, compilers and machines.

#include "pooling.cpp"

#include "differences.h"

static void reference(const Pooling& q, const std::vector<Doubles>& in, Doubles& pooled, Doubles& weights) {
    const Doubles &h = in[0], &w = in[1], &b = in[2], &v = in[3];
    pooled.assign(q.B * q.M, 0.0);
    weights.assign(q.B * q.T, 0.0);
    for (long i = 0; i < q.B; i++) {
        double sum = 0;
        for (long t = 0; t < q.lengths[i]; t++) {
            const double* state = &h[(i * q.T + t) * q.M];
            double score = 0;
            for (long j = 0; j < q.M; j++) {
                double before = b[j];
                for (long k = 0; k < q.M; k++) before += w[j * q.M + k] * state[k];
                score += v[j] * std::tanh(before);
            }
            sum += weights[i * q.T + t] = std::exp(score);
        }
        for (long t = 0; t < q.lengths[i]; t++) {
            weights[i * q.T + t] /= sum;
            for (long j = 0; j < q.M; j++) pooled[i * q.M + j] += weights[i * q.T + t] * h[(i * q.T + t) * q.M + j];
        }
    }
}

static void check(long T, long M, std::vector<int64_t> lengths, long threads) {
    const long B = lengths.size();
    const std::string name = "pooling of " + std::to_string(B) + " rows, " + std::to_string(M) + " features";
    std::vector<Floats> in{draw(B * T * M), draw(M * M, std::pow(M, -0.5)), draw(M), draw(M)};
    std::vector<Floats> grads;
    for (const Floats& tensor : in) grads.emplace_back(tensor.size(), NAN);
    long steps = 0;
    for (int64_t length : lengths) steps += length;
    Floats pooled(B * M, NAN), weights(B * T, NAN), saved(steps * saved_numbers(M)), by_pooled = draw(B * M);
    Pooling q{};
    q.B = B, q.T = T, q.M = M, q.threads = threads, q.lengths = lengths.data();
    q.states = in[0].data(), q.weight = in[1].data(), q.bias = in[2].data(), q.query = in[3].data();
    q.states_row = T * M, q.states_step = M, q.pooled = pooled.data(), q.weights = weights.data();
    forward(&q);
    const Floats without_saving = pooled;
    q.saved = saved.data();
    forward(&q);
    require(pooled == without_saving, name + ": another result where the gradient is wanted");
    q.grad_pooled = by_pooled.data(), q.grad_states = grads[0].data();
    q.grad_weight = grads[1].data(), q.grad_bias = grads[2].data(), q.grad_query = grads[3].data();
    backward(&q);
    std::vector<Doubles> point;
    for (const Floats& tensor : in) point.emplace_back(tensor.begin(), tensor.end());
    Doubles expected, expected_weights;
    reference(q, point, expected, expected_weights);
    require_close(pooled, expected, name + ": pooled");
    require_close(weights, expected_weights, name + ": weights");
    require_gradients({{"states", &in[0], &grads[0]}, {"weight", &in[1], &grads[1]}, {"bias", &in[2], &grads[2]},
                       {"query", &in[3], &grads[3]}},
                      [&](const std::vector<Doubles>& at) {
                          Doubles out, ignored;
                          reference(q, at, out, ignored);
                          double total = 0;
                          for (size_t i = 0; i < out.size(); i++) total += out[i] * by_pooled[i];
                          return total;
                      }, name);
    printf("%s: right\n", name.c_str());
}

int main() {
    printf("vectors of %ld numbers, %d registers\n", W, REGISTERS);
    check(1, 1, {1}, 1);
    check(4, 5, {4, 1, 3}, 1);
    check(3, 33, {3, 2, 3, 1}, 2);
    check(90, 20, {90, 1, 77, 90}, 2);
    return 0;
}
