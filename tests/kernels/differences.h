// Checks of a kernel against the formula in float64: its results, and its gradients by central differences.

#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

typedef std::vector<double> Doubles;
typedef std::vector<float> Floats;

inline std::mt19937 generator(0);

inline Floats draw(long count, double scale = 1) {
    std::normal_distribution<double> normal(0, scale);
    Floats numbers(count);
    for (float& x : numbers) x = (float)normal(generator);
    return numbers;
}

inline void require(bool holds, const std::string& what) {
    if (holds) return;
    printf("wrong: %s\n", what.c_str());
    exit(1);
}

// Whether numbers equal a reference, to 1e-5 of the largest.
inline void require_close(const Floats& found, const Doubles& expected, const std::string& what) {
    require(found.size() == expected.size(), what + ": another size");
    double largest = 1e-6, error = 0;
    for (double x : expected) largest = std::fmax(largest, std::fabs(x));
    for (size_t i = 0; i < found.size(); i++) {
        require(std::isfinite(found[i]), what + ": not finite");
        error = std::fmax(error, std::fabs(found[i] - expected[i]));
    }
    require(error <= 1e-5 * largest, what + ": off by " + std::to_string(error / largest));
}

// A named input of a kernel, and the gradient that the kernel computes for it.
struct Input {
    std::string name;
    Floats *value, *gradient;
};

// Whether gradients match the differences of a loss: number by number, or along random directions if there are many.
inline void require_gradients(std::vector<Input> inputs, const std::function<double(const std::vector<Doubles>&)>& loss,
                              const std::string& what) {
    std::vector<Doubles> point;
    for (const Input& input : inputs) point.emplace_back(input.value->begin(), input.value->end());
    const double step = 1e-5;
    for (size_t k = 0; k < inputs.size(); k++) {
        const long size = inputs[k].value->size(), checks = size <= 64 ? size : 4;
        double norm = 0;
        for (float g : *inputs[k].gradient) norm = std::fmax(norm, std::fabs(g));
        for (long check = 0; check < checks; check++) {
            Doubles direction(size, 0.0);
            if (size <= 64) direction[check] = 1;
            else {
                const Floats drawn = draw(size);
                direction.assign(drawn.begin(), drawn.end());
            }
            double expected = 0, found = 0, scale = 0;
            for (double sign : {1.0, -1.0}) {
                for (long i = 0; i < size; i++) point[k][i] = (*inputs[k].value)[i] + sign * step * direction[i];
                expected += sign * loss(point) / (2 * step);
            }
            for (long i = 0; i < size; i++) {
                point[k][i] = (*inputs[k].value)[i];
                found += direction[i] * (*inputs[k].gradient)[i];
                scale += std::fabs(direction[i]);
            }
            const double error = std::fabs(found - expected);
            require(error <= 2e-4 * (norm + 1e-3) * std::sqrt(scale) + 1e-5,
                    what + ": gradient of " + inputs[k].name + " is off by " + std::to_string(error));
        }
    }
}
