// Recurrent layers in one or two directions on the CPU, forward and backward, in fp32.
//
// The rows of a batch are split into parts, one for each thread, and a part into blocks of at most BLOCK rows. A block runs
// through all its steps alone. Its longest rows come first, so each step computes a prefix of the rows: those that have not
// ended. Steps are grouped in chunks. The input product is computed for a whole chunk, and so are, in the backward pass, the
// gradients of inputs and weights, so that intermediate values stay in the cache. "Step s" of a row is the s-th step in the
// order of the direction.
//
// Gates are stored in slots, a vector of each in turn:
//   GRU_AFTER   n, r, z, and the recurrent part of n; the input product has the first three, the recurrent the last three
//   GRU_BEFORE  z, r, candidate
//   LSTM        i, f, g, o
//   RNN_*       the state before its nonlinearity
//
// The macro CELL selects the cell of a library; it is defined on the compiler's command line.

#include "backward.h"
#include "forward.h"
#include "packing.h"

namespace {

template <int cell>
void run(const Problem& q, bool backward) {
    static thread_local Arena arena;
    arena.reset();
    const Plan plan(q);
    const long jobs = q.parallel_directions ? q.parts * q.directions : q.parts;
    const long H = panels(q.H) * W, I = panels(q.I) * W;
    std::vector<Packing> packing;
    Weights weights[2];
    std::vector<Buffers> buffers[2];  // for each direction
    for (long i = 0; i < q.directions; i++) {
        weights[i] = pack<cell>(q, q.direction[i], arena, packing, backward);
        for (long part = 0; part < q.parts; part++) {
            const bool shared = i && !q.parallel_directions;  // then a job runs both directions in turn
            buffers[i].push_back(shared ? buffers[0][part] : allocate<cell>(q, plan, arena, backward));
            if (backward) allocate_sums<cell>(q, arena, buffers[i].back());
        }
    }
    parallel(q.threads, packing.size(), [&](long i) { packing[i](); });
    parallel(q.threads, jobs, [&](long job) {
        const FlushDenormals flush;
        const long first = q.parallel_directions ? job / q.parts : 0, last = q.parallel_directions ? first + 1 : q.directions;
        for (long i = first; i < last; i++) {
            const Direction& d = q.direction[i];
            Buffers& m = buffers[i][job % q.parts];
            if (backward) {
                memset(m.sums_ih, 0, gates(cell) * H * I * sizeof(float));
                memset(m.sums_hh, 0, gates(cell) * H * H * sizeof(float));
                memset(m.sums_bias, 0, slots(cell) * H * sizeof(float));
            }
            for (const Block& block : plan.parts[job % q.parts]) {
                const Rows<cell> rows(q, d, plan, block);
                if (backward) backward_block<cell>(rows, weights[i], m);
                else forward_block<cell>(rows, weights[i], m);
            }
        }
    });
    for (long i = 0; backward && i < q.directions; i++)
        gather_gradients<cell>(q, q.direction[i], buffers[i]);
}

}  // namespace

extern "C" {

int64_t saved_numbers(int64_t H) { return panels(H) * W * saved_slots(CELL); }
void forward(const Problem* problem) { run<CELL>(*problem, false); }
void backward(const Problem* problem) { run<CELL>(*problem, true); }
}
