// Matrix products of panels, memory, and threads.

#pragma once

#include <cstdlib>
#include <vector>

#include "vectors.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

// torch's own OpenMP runtime, found among what the process has loaded, so that no second pool of threads is started. Its
// functions are called by name, which works whichever compiler and flags made this file; without them all runs serially.
extern "C" {
void GOMP_parallel(void (*)(void*), void*, unsigned, unsigned) __attribute__((weak));
int omp_get_thread_num() __attribute__((weak));
int omp_get_num_threads() __attribute__((weak));
}

namespace {

// Call work(0), ..., work(jobs - 1), side by side in a team of threads. The team is always of the size that torch's is: the
// runtime would end the threads that a smaller one leaves over, and start them again for torch.
template <class Work>
void parallel(long threads, long jobs, Work work) {
    struct Team {
        long jobs;
        Work* work;
    } team{jobs, &work};
    if (threads < 2 || !GOMP_parallel || !omp_get_thread_num || !omp_get_num_threads) {
        for (long job = 0; job < jobs; job++) work(job);
        return;
    }
    auto member = [](void* data) {
        const Team& team = *(Team*)data;
        for (long job = omp_get_thread_num(); job < team.jobs; job += omp_get_num_threads()) (*team.work)(job);
    };
    GOMP_parallel(member, &team, (unsigned)threads, 0);
}

// Memory for one call, kept for the next: all of it comes from one block, once the size is known from a first call. Where
// the system has huge pages the block lies in them, without which a tenth or two of the speed is lost. Under the address
// sanitizer each piece is a block of its own, so that a step past its end is seen.
class Arena {
  public:
    ~Arena() { release(); }

    // Forget what was handed out.
    void reset() {
        const size_t size = total;
        if (blocks.size() != 1 || CHECKED) release();
        if (blocks.empty() && size && !CHECKED) grow(size);
        used = total = 0;
    }

    float* floats(long count) {
        const size_t size = (count * sizeof(float) + 127) / 64 * 64;  // a line apart, so that threads share none
        total += size;
        if (CHECKED || blocks.empty() || used + size > blocks.back().size) grow(CHECKED ? count * sizeof(float) : size);
        float* place = (float*)(blocks.back().start + used);
        used += size;
        return place;
    }

  private:
    static constexpr size_t HUGE_PAGE = 1 << 21;
#if defined(__SANITIZE_ADDRESS__)
    static constexpr bool CHECKED = true;
#else
    static constexpr bool CHECKED = false;
#endif
    struct Block {
        char *start, *taken;
        size_t size;
    };
    std::vector<Block> blocks;
    size_t used = 0, total = 0;

    void grow(size_t size) {
        Block block{nullptr, nullptr, size};
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
        block.size = (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        void* taken = mmap(nullptr, block.size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (taken == MAP_FAILED) abort();
        block.taken = (char*)taken;
        block.start = (char*)(((uintptr_t)taken + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
        madvise(block.start, block.size, MADV_HUGEPAGE);
#else
        void* taken = nullptr;
        if (posix_memalign(&taken, 64, size + 1)) abort();
        block.start = block.taken = (char*)taken;
#endif
        blocks.push_back(block);
        used = 0;
    }

    void release() {
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
        for (const Block& block : blocks) munmap(block.taken, block.size + HUGE_PAGE);
#else
        for (const Block& block : blocks) free(block.taken);
#endif
        blocks.clear();
    }
};

// Panels of a matrix in groups of at most 3, as even as can be: the columns that a product takes at a time.
struct Groups {
    long total, count;
    explicit Groups(long total) : total(total), count((total + 2) / 3) {}
    long first(long group) const { return group * total / count; }
    long size(long group) const { return first(group + 1) - first(group); }
};

// A group of columns of a matrix, row after row, for a product.
struct Packing {
    float* to;
    long columns;          // panels
    const float* from[3];  // first number of each panel
    long width[3];         // columns of each panel that are there; the others are zero
    long column_step, row_step, rows, padded_rows;

    void operator()() const {
        for (long k = 0; k < padded_rows; k++)
            for (long c = 0; c < columns; c++) {
                float* row = to + (k * columns + c) * W;
                const long there = k < rows ? width[c] : 0;
                for (long i = 0; i < there; i++) row[i] = from[c][k * row_step + i * column_step];
                for (long i = there; i < W; i++) row[i] = 0;
            }
    }
};

// out = start + a b for R rows and C panels of columns.
//   a: panels of the rows, a_step apart, depth of them;  b: packed, W * depth rows;
//   start and out: vectors, those of a row row_step apart from the next row's, those of a panel column_step.
template <int R, int C>
void tile(const float* a, long a_step, long depth, const float* b, const float* start, long start_row_step,
          long start_column_step, float* out, long row_step, long column_step) {
    vec sum[R][C];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) sum[r][c] = load(start + r * start_row_step + c * start_column_step);
    for (; depth > 0; depth--, a += a_step) {
#pragma GCC unroll 4
        for (int k = 0; k < W; k++, b += C * W) {
            vec weight[C];
#pragma GCC unroll 3
            for (int c = 0; c < C; c++) weight[c] = *(const vec*)(b + c * W);
#pragma GCC unroll 8
            for (int r = 0; r < R; r++) {
                const vec x = all(a[r * W + k]);
#pragma GCC unroll 3
                for (int c = 0; c < C; c++) sum[r][c] += x * weight[c];
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) store(out + r * row_step + c * column_step, sum[r][c]);
}

typedef void (*Tile)(const float*, long, long, const float*, const float*, long, long, float*, long, long);

template <int C>
Tile tile_of_rows(long rows) {
    static_assert(ROWS == 4 || ROWS == 8, "a table for each");
    static const Tile tiles[8] = {tile<1, C>, tile<2, C>, tile<3, C>, tile<4, C>,
                                  tile<ROWS == 8 ? 5 : 1, C>, tile<ROWS == 8 ? 6 : 1, C>,
                                  tile<ROWS == 8 ? 7 : 1, C>, tile<ROWS, C>};
    return tiles[rows - 1];
}

inline Tile tile_of(long rows, long columns) {
    return columns == 1 ? tile_of_rows<1>(rows) : columns == 2 ? tile_of_rows<2>(rows) : tile_of_rows<3>(rows);
}

// Call work(first row, rows) for rows in even pieces of at most ROWS.
template <class Work>
void in_tiles(long rows, Work work) {
    const long count = (rows + ROWS - 1) / ROWS;
    for (long i = 0; i < count; i++) work(i * rows / count, (i + 1) * rows / count - i * rows / count);
}

// sums += g^T x over all rows, for GATES columns of g and C panels of x.
constexpr int GATES = ROWS < W ? ROWS : W;

template <int C>
void gradient_tile(const float* g, const float* x, long x_step, long rows, float* sums) {
    vec sum[GATES][C];
#pragma GCC unroll 8
    for (int r = 0; r < GATES; r++)
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) sum[r][c] = load(sums + (r * C + c) * W);
#pragma GCC unroll 4
    for (long k = 0; k < rows; k++) {
        vec value[C];
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) value[c] = *(const vec*)(x + c * x_step + k * W);
#pragma GCC unroll 8
        for (int r = 0; r < GATES; r++) {
            const vec gate = all(g[k * W + r]);
#pragma GCC unroll 3
            for (int c = 0; c < C; c++) sum[r][c] += gate * value[c];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < GATES; r++)
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) store(sums + (r * C + c) * W, sum[r][c]);
}

// The gradient of a weight matrix over a chunk: sums += g^T x, for panels of g and of x that are step apart. The sums lie
// tile after tile, in the order in which they are made: groups of x's panels, panels of g, GATES of its columns.
inline void add_gradient(const float* g, long g_panels, const float* x, long x_panels, long step, long rows, float* sums) {
    const Groups groups(x_panels);
    for (long group = 0; group < groups.count; group++) {
        const long columns = groups.size(group);
        const float* values = x + groups.first(group) * step;
        for (long p = 0; p < g_panels; p++)
            for (long gate = 0; gate < W; gate += GATES, sums += GATES * columns * W) {
                const float* gates = g + p * step + gate;
                if (columns == 3) gradient_tile<3>(gates, values, step, rows, sums);
                else if (columns == 2) gradient_tile<2>(gates, values, step, rows, sums);
                else gradient_tile<1>(gates, values, step, rows, sums);
            }
    }
}

// The sums of add_gradient for one panel of g, added up over parts and laid out as the rows of the matrix.
//   to: the first of the panel's rows, width numbers each;  there: rows of the panel that are there.
inline void unpack_gradient(float* to, const std::vector<float*>& parts, long g_panels, long panel, long there, long width) {
    const Groups groups(panels(width));
    for (long group = 0; group < groups.count; group++) {
        const long first = groups.first(group), columns = groups.size(group);
        const long start = first * W * g_panels * W + panel * W * columns * W;
        for (long r = 0; r < there; r++)
            for (long c = 0; c < columns; c++) {
                vec sum{};
                for (const float* part : parts) sum += load(part + start + (r * columns + c) * W);
                store_some(to + r * width + (first + c) * W, sum, in_panel(width, first + c));
            }
    }
}

}  // namespace
