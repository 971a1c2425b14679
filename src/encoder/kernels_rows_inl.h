// Part of kernels_inl.h: what works on one row at a time. The same rules hold.
// NOLINTBEGIN
template <class Narrow>
inline void store_narrow(void* to, VI v) {
    store(to, __builtin_convertvector(v, typename VectorOf<Narrow, L>::Type));
}
template <class Narrow>
inline void store_narrow_some(Narrow* to, VI v, std::size_t n) {
    std::int32_t lanes[L];
    store(lanes, v);
    for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<Narrow>(lanes[i]);
}

template <class Each>
inline void for_row(const float* x, std::size_t n, Each each) {
    std::size_t i = 0;
    for (; i + L <= n; i += L) each(load<VF>(x + i), i, static_cast<std::size_t>(L));
    if (i < n) each(load_some(x + i, n - i), i, n - i);
}

inline float absolute_max(const float* x, std::size_t n) {
    VF high = {};
    for_row(x, n, [&](VF v, std::size_t, std::size_t) { high = greater(high, greater(v, -v)); });
    return max_of(high);
}

constexpr float kTiny = 1e-30F;

// kScaled: every element is first brought to a like size by call.gain.
template <bool kScaled>
void quantise_i8_as(const QuantiseCall& call) {
    for (std::size_t r = 0; r < call.rows; ++r) {
        const float* x = call.x + r * call.x_stride;
        const auto value = [&](VF v, std::size_t at) {
            if constexpr (!kScaled) return v;
            return v * load<VF>(call.gain + at);
        };
        const auto single = [&](std::size_t at) { return kScaled ? x[at] * call.gain[at] : x[at]; };
        VF low = splat(single(0));
        VF high = low;
        std::size_t i = 0;
        for (; i + L <= call.n; i += L) {
            const VF v = value(load<VF>(x + i), i);
            low = lesser(low, v);
            high = greater(high, v);
        }
        float least = min_of(low);
        float most = max_of(high);
        for (; i < call.n; ++i) {
            const float v = single(i);
            least = v < least ? v : least;
            most = v > most ? v : most;
        }
        const float range = most - least > kTiny ? most - least : kTiny;
        const float inverse = kActivationMax / range;
        auto* out = reinterpret_cast<std::uint8_t*>(static_cast<std::int32_t*>(call.out) +
                                                    r * call.out_stride);
        for_row(x, call.n, [&](VF v, std::size_t at, std::size_t count) {
            const VI u = as_int((value(v, at) - least) * inverse + kRounder);
            if (count == L) {
                store_narrow<std::uint8_t>(out + at, u);
            } else {
                store_narrow_some(out + at, u, count);
            }
        });
        call.scale[r] = range / kActivationMax;
        call.offset[r] = least;
    }
}

void quantise_i8_rows(const QuantiseCall& call) {
    (call.gain != nullptr ? quantise_i8_as<true> : quantise_i8_as<false>)(call);
}

void quantise_i16_rows(const QuantiseCall& call) {
    for (std::size_t r = 0; r < call.rows; ++r) {
        const float* x = call.x + r * call.x_stride;
        const float most = absolute_max(x, call.n);
        const float range = most > kTiny ? most : kTiny;
        const float inverse = call.limit / range;
        auto* out = reinterpret_cast<std::int16_t*>(static_cast<std::int32_t*>(call.out) +
                                                    r * call.out_stride);
        for_row(x, call.n, [&](VF v, std::size_t at, std::size_t count) {
            const VI u = as_int(v * inverse + kRounder);
            if (count == L) {
                store_narrow<std::int16_t>(out + at, u);
            } else {
                store_narrow_some(out + at, u, count);
            }
        });
        call.scale[r] = range / call.limit;
    }
}

void quantise_bf16_rows(const QuantiseCall& call) {
    for (std::size_t r = 0; r < call.rows; ++r) {
        auto* out = reinterpret_cast<std::int16_t*>(static_cast<std::int32_t*>(call.out) +
                                                    r * call.out_stride);
        for_row(call.x + r * call.x_stride, call.n, [&](VF v, std::size_t at, std::size_t count) {
            // Round to nearest even; the upper half of the float is the bfloat16.
            const VI bits = as_int(v);
            const VI u = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
            if (count == L) {
                store_narrow<std::int16_t>(out + at, u);
            } else {
                store_narrow_some(out + at, u, count);
            }
        });
    }
}

void layer_norm_rows(float* x, std::size_t stride, std::size_t rows, std::size_t n,
                     const float* gain, const float* bias, float epsilon) {
    const float share = 1.0F / static_cast<float>(n);
    for (std::size_t r = 0; r < rows; ++r, x += stride) {
        VF total = {};
        for_row(x, n, [&](VF v, std::size_t, std::size_t) { total = total + v; });
        const float mean = sum_of(total) * share;
        VF squares = {};
        std::size_t i = 0;
        for (; i + L <= n; i += L) {
            const VF d = load<VF>(x + i) - mean;
            squares = squares + d * d;
        }
        float variance = sum_of(squares);
        for (; i < n; ++i) variance += (x[i] - mean) * (x[i] - mean);
        const float scale = 1.0F / __builtin_sqrtf(variance * share + epsilon);
        for (i = 0; i + L <= n; i += L) {
            const VF v = (load<VF>(x + i) - mean) * scale;
            store(x + i, v * load<VF>(gain + i) + load<VF>(bias + i));
        }
        for (; i < n; ++i) x[i] = (x[i] - mean) * scale * gain[i] + bias[i];
    }
}

void add_row(float* out, const float* x, std::size_t n) {
    std::size_t i = 0;
    for (; i + L <= n; i += L) store(out + i, load<VF>(out + i) + load<VF>(x + i));
    for (; i < n; ++i) out[i] += x[i];
}

// Scores are logarithms to base 2: the softmax scale carries log2(e). Whole registers are computed,
// and what lies beyond n is blanked first.
inline float prepare_scores(const SoftmaxCall& call) {
    for (std::size_t i = call.n; i < call.n_padded; ++i) call.scores[i] = -1e30F;
    VF high = load<VF>(call.scores);
    for (std::size_t i = L; i < call.n_padded; i += L) {
        high = greater(high, load<VF>(call.scores + i));
    }
    return max_of(high);
}

float softmax_f32_row(const SoftmaxCall& call) {
    const float most = prepare_scores(call);
    VF total = {};
    for (std::size_t i = 0; i < call.n_padded; i += L) {
        const VF e = exp2_of<Accuracy::Full>(load<VF>(call.scores + i) - most);
        store(call.scores + i, e);
        total = total + e;
    }
    return 1.0F / sum_of(total);
}

constexpr float kWeightsTotal = 32767.0F;

float softmax_i16_row(const SoftmaxCall& call) {
    const float most = prepare_scores(call);
    VF total = {};
    VF scaled_total = {};
    for (std::size_t i = 0; i < call.n_padded; i += L) {
        const VF e = exp2_of<Accuracy::Good>(load<VF>(call.scores + i) - most);
        const VF scaled = e * load<VF>(call.key_scale + i);
        store(call.scores + i, scaled);
        total = total + e;
        scaled_total = scaled_total + scaled;
    }
    const float sum = sum_of(scaled_total);
    const float factor = kWeightsTotal / sum;
    for (std::size_t i = 0; i < call.n_padded; i += L) {
        const VI w = as_int(load<VF>(call.scores + i) * factor + kRounder);
        store_narrow<std::int16_t>(call.out + i, w);
    }
    return sum / (kWeightsTotal * sum_of(total));
}

// A run of `out` at a time: rows are near, columns of `out` far apart.
void transpose_units(const std::int32_t* x, std::size_t x_stride, std::size_t rows, std::size_t n,
                     std::int32_t* out, std::size_t out_stride) {
    std::size_t r = 0;
    for (; r + L <= rows; r += L, x += L * x_stride) {
        for (std::size_t u = 0; u < n; ++u) {
            std::int32_t lanes[L];
            HEARTH_UNROLL
            for (int i = 0; i < L; ++i) lanes[i] = x[static_cast<std::size_t>(i) * x_stride + u];
            store(out + u * out_stride + r, load<VI>(lanes));
        }
    }
    for (; r < rows; ++r, x += x_stride) {
        for (std::size_t u = 0; u < n; ++u) out[u * out_stride + r] = x[u];
    }
}

void interleave_i16_rows(const std::int16_t* even, const std::int16_t* odd, std::size_t n,
                         std::int32_t* out) {
    using Narrow = VectorOf<std::int16_t, L>::Type;
    std::size_t i = 0;
    for (; i + L <= n; i += L) {
        const VI low = __builtin_convertvector(load<Narrow>(even + i), VI) & 0xFFFF;
        const VI high = __builtin_convertvector(load<Narrow>(odd + i), VI) << 16;
        store(out + i, low | high);
    }
    for (; i < n; ++i) out[i] = (even[i] & 0xFFFF) | static_cast<std::int32_t>(odd[i]) * 65536;
}
// NOLINTEND
