// Matrix products of matrices in panels.

#pragma once

#include <vector>

#include "vectors.h"

namespace {

// Register tiles. A product keeps ROWS x COLUMNS vectors of sums in registers, with COLUMNS vectors of weights and one
// broadcast number: 8 x 3 with 32 registers, 6 x 2 with 16. The gradient of a weight matrix keeps GATES x INPUTS vectors of
// sums: 8 x 3 or 4 x 6 with 32 registers, 4 x 3 with 16.
constexpr int COLUMNS = REGISTERS == 32 ? 3 : 2, ROWS = REGISTERS == 32 ? 8 : 6;
constexpr int GATES = REGISTERS == 32 && W >= 8 ? 8 : 4, INPUTS = REGISTERS == 32 ? 24 / GATES : 3;

// Panels of a matrix, split as evenly as possible into groups of at most SIZE: a product handles one group at a time.
template <long SIZE>
struct Groups {
    long total, count;
    explicit Groups(long total) : total(total), count((total + SIZE - 1) / SIZE) {}
    long first(long group) const { return group * total / count; }
    long size(long group) const { return first(group + 1) - first(group); }
};
typedef Groups<COLUMNS> ColumnGroups;
typedef Groups<INPUTS> InputGroups;

// Copies a group of columns of a matrix, row after row, into the order in which a product reads it.
struct Packing {
    float* to;
    long columns;                // panels
    const float* from[COLUMNS];  // first number of each panel
    long width[COLUMNS];         // columns of each panel; the rest is padded with zeros
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

// Initial and final sums of one panel of a product; consecutive rows are W numbers apart.
struct Sums {
    const float* start;
    float* out;
};

// Arguments of a product with a group of columns: out = start + a b.
struct Factors {
    const float* a;       // depth panels, a_step apart
    long a_step, depth;
    const float* b;       // packed, W * depth rows
    long start_row;       // distance between the initial sums of two rows: W, or 0 if all rows share them
    Sums sums[COLUMNS];
};

// Compute R rows of a product, from row r on. Prefetches the weights of the next group, from next on.
template <int R, int C>
void tile(const Factors& f, long r, const float* next) {
    vec sum[R][C];
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) sum[i][c] = load(f.sums[c].start + (r + i) * f.start_row);
    const float *a = f.a + r * W, *b = f.b;
    for (long depth = f.depth; depth > 0; depth--, a += f.a_step) {
#pragma GCC unroll 1
        for (int part = 0; part < W; part += 4) {
#pragma GCC unroll 3
            for (int line = 0; line < (C * W < 16 ? 1 : C * W / 16); line++, next += 16) __builtin_prefetch(next);
#pragma GCC unroll 4
            for (int k = part; k < part + 4; k++, b += C * W) {
                vec weight[C];
#pragma GCC unroll 3
                for (int c = 0; c < C; c++) weight[c] = *(const vec*)(b + c * W);
#pragma GCC unroll 8
                for (int i = 0; i < R; i++) {
                    const vec x = broadcast(a[i * W + k]);
#pragma GCC unroll 3
                    for (int c = 0; c < C; c++) sum[i][c] += x * weight[c];
                }
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
#pragma GCC unroll 3
        for (int c = 0; c < C; c++) store(f.sums[c].out + (r + i) * W, sum[i][c]);
}

typedef void (*Tile)(const Factors&, long, const float*);

template <int C>
Tile tile_of_rows(long rows) {
    static_assert(ROWS == 6 || ROWS == 8, "a table for each");
    constexpr bool eight = ROWS == 8;
    static const Tile tiles[8] = {tile<1, C>, tile<2, C>, tile<3, C>, tile<4, C>, tile<5, C>,
                                  tile<6, C>, tile<eight ? 7 : 1, C>, tile<eight ? 8 : 1, C>};
    return tiles[rows - 1];
}

inline Tile tile_of(long rows, long columns) {
    return columns == 1 ? tile_of_rows<1>(rows) : columns == 2 ? tile_of_rows<2>(rows) : tile_of_rows<COLUMNS>(rows);
}

// The product of rows with a matrix of `columns` panels, group after group.
//   sums_of(c): the sums of panel c.  done(c): called when all panels before c are computed.
template <class SumsOf, class Done>
void multiply(const float* a, long a_step, long rows, long depth, const float* b, long columns, long start_row,
              SumsOf sums_of, Done done) {
    const ColumnGroups groups(columns);
    const long tiles = (rows + ROWS - 1) / ROWS;
    for (long g = 0; g < groups.count; g++) {
        const long first = groups.first(g), size = groups.size(g), numbers = size * W * depth * W;
        Factors factors{a, a_step, depth, b, start_row, {}};
        for (long c = 0; c < size; c++) factors.sums[c] = sums_of(first + c);
        b += numbers;
        for (long i = 0; i < tiles; i++) {
            const long r = i * rows / tiles, count = (i + 1) * rows / tiles - r;
            tile_of(count, size)(factors, r, b + i * (numbers / 4));
        }
        done(first + size);
    }
}

inline void no_callback(long) {}

// sums += g^T x over all rows, for GATES columns of g and C panels of x.
template <int C>
void gradient_tile(const float* g, const float* x, long x_step, long rows, float* sums) {
    vec sum[GATES][C];
#pragma GCC unroll 8
    for (int r = 0; r < GATES; r++)
#pragma GCC unroll 6
        for (int c = 0; c < C; c++) sum[r][c] = load(sums + (r * C + c) * W);
#pragma GCC unroll 4
    for (long k = 0; k < rows; k++) {
        vec value[C];
#pragma GCC unroll 6
        for (int c = 0; c < C; c++) value[c] = *(const vec*)(x + c * x_step + k * W);
#pragma GCC unroll 8
        for (int r = 0; r < GATES; r++) {
            const vec gate = broadcast(g[k * W + r]);
#pragma GCC unroll 6
            for (int c = 0; c < C; c++) sum[r][c] += gate * value[c];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < GATES; r++)
#pragma GCC unroll 6
        for (int c = 0; c < C; c++) store(sums + (r * C + c) * W, sum[r][c]);
}

typedef void (*GradientTile)(const float*, const float*, long, long, float*);

inline GradientTile gradient_tile_of(long columns) {
    constexpr bool six = INPUTS == 6;
    static const GradientTile tiles[6] = {gradient_tile<1>, gradient_tile<2>, gradient_tile<3>, gradient_tile<six ? 4 : 1>,
                                          gradient_tile<six ? 5 : 1>, gradient_tile<six ? 6 : 1>};
    return tiles[columns - 1];
}

// The gradient of a weight matrix over a chunk: sums += g^T x, for panels of g and x that are step apart. The sums are
// stored tile after tile in the order of computation: groups of x's panels, panels of g, GATES of its columns.
inline void add_gradient(const float* g, long g_panels, const float* x, long x_panels, long step, long rows, float* sums) {
    const InputGroups groups(x_panels);
    for (long group = 0; group < groups.count; group++) {
        const long columns = groups.size(group);
        const float* values = x + groups.first(group) * step;
        for (long p = 0; p < g_panels; p++)
            for (long gate = 0; gate < W; gate += GATES, sums += GATES * columns * W) {
                const float* gates = g + p * step + gate;
                gradient_tile_of(columns)(gates, values, step, rows, sums);
            }
    }
}

// Add the sums of add_gradient for one panel of g over all parts, and store them as rows of the matrix.
//   to: the panel's first row, of width numbers.  there: rows of the panel without padding.
inline void unpack_gradient(float* to, const std::vector<float*>& parts, long g_panels, long panel, long there, long width) {
    const InputGroups groups(panels(width));
    for (long group = 0; group < groups.count; group++) {
        const long first = groups.first(group), columns = groups.size(group);
        const long start = first * W * g_panels * W + panel * W * columns * W;
        for (long r = 0; r < there; r++)
            for (long c = 0; c < columns; c++) {
                vec sum{};
                for (const float* part : parts) sum += load(part + start + (r * columns + c) * W);
                store_partial(to + r * width + (first + c) * W, sum, panel_width(width, first + c));
            }
    }
}

}  // namespace
