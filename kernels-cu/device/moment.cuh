// A softmax in parts that keeps its entropy as well: beside sum_j 2^(z_j - top) the sum of the same
// times z_j - top.
#pragma once
#include "device/softmax.cuh"

struct Moments {
    Softmax sum;
    float moment;
};

DEV Moments no_moments() { return {no_softmax(), 0.0f}; }

// An exponent, but none so small that 0 times it could come to -inf; a NaN stays one.
DEV float at_least(float exponent) { return exponent < -150.0f ? -150.0f : exponent; }

DEV void merge(Moments& own, const Moments& other) {
    float tops[2] = {own.sum.top, other.sum.top}, totals[2] = {own.sum.total, other.sum.total};
    Merge by = merge(own.sum, other.sum);
    float shift = finite_or_zero(own.sum.top);
    own.moment = by.own * (own.moment + totals[0] * at_least(tops[0] - shift)) +
                 by.other * (other.moment + totals[1] * at_least(tops[1] - shift));
}

// One more z_j.
DEV void add(Moments& own, float score) {
    if (score > own.sum.top) {
        float drop = at_least(own.sum.top - score), keep = exp2f(drop);
        own.moment = keep * (own.moment + own.sum.total * drop);
        own.sum.total *= keep;
        own.sum.top = score;
    }
    float exponent = at_least(score - finite_or_zero(own.sum.top)), power = exp2f(exponent);
    own.sum.total += power;
    own.moment += power * exponent;
}

// Merges the lanes of a warp; lane 0 has the result. Precondition: all 32 arrive.
DEV void merge_warp(Moments& own COLLECTIVE) {
#pragma unroll
    for (int lanes = WARP_LANES / 2; lanes; lanes >>= 1) {
        Moments other;
        other.sum.top = shuffle_xor(own.sum.top, lanes COLLECTIVE_LINE);
        other.sum.total = shuffle_xor(own.sum.total, lanes COLLECTIVE_LINE);
        other.moment = shuffle_xor(own.moment, lanes COLLECTIVE_LINE);
        merge(own, other);
    }
}
