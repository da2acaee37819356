// A softmax in parts: scores in powers of two, z log2(e), whose largest is kept beside the sum of
// their powers. Parts without a score have top -inf and total 0, and merge as nothing.
#pragma once
#include "device/types.cuh"

#define LOG2_E 1.44269504f
#define LN_2 0.693147181f

// total = sum_j 2^(z_j - top)
struct Softmax { float top, total; };

// What the sums of either side are multiplied by, to be added.
struct Merge { float own, other; };

DEV Softmax no_softmax() { return {-INFINITY, 0.0f}; }

// -inf minus -inf is no number: nothing is subtracted where no score is.
DEV float finite_or_zero(float top) { return top == -INFINITY ? 0.0f : top; }

DEV Merge merge(Softmax& own, Softmax other) {
    float top = fmaxf(own.top, other.top), shift = finite_or_zero(top);
    Merge by = {exp2f(own.top - shift), exp2f(other.top - shift)};
    own = {top, own.total * by.own + other.total * by.other};
    return by;
}

// A weighted sum over its weights; 0 where there are none.
DEV float share(float value, Softmax sum) { return sum.total == 0.0f ? 0.0f : value / sum.total; }

// Natural: ln sum_j e^z_j.
DEV float log_sum_exp(Softmax sum) {
    return sum.total == 0.0f ? -INFINITY : (sum.top + log2f(sum.total)) * LN_2;
}
