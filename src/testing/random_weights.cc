#include "testing/random_weights.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace hearth::testing {
namespace {

constexpr std::size_t kBlock = 32;  // values of a Q8_0 block, behind their scale
constexpr std::size_t kBlockBytes = kBlock + 2;
// Of bytes made odd, which leaves -127 to 127 in steps of two.
constexpr float kQuantDeviation = 73.9F;
constexpr int kTriangleMiddle = 255;
constexpr float kTriangleDeviation = 104.5F;

// The sum of two random bytes around zero: a bell with straight sides.
int triangle(std::uint64_t bits) {
    return static_cast<int>(bits & 0xFF) + static_cast<int>(bits >> 8 & 0xFF) - kTriangleMiddle;
}

// FNV-1a.
std::uint64_t hash_name(const std::string& name) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return hash;
}

void put_half(std::byte* to, float value) {
    const std::uint16_t half = half_of(value);
    std::memcpy(to, &half, sizeof(half));
}

void encode_block(std::span<const float> values, std::byte* block) {
    float largest = 0;
    for (const float value : values) largest = std::max(largest, std::fabs(value));
    const float scale = largest / 127;
    put_half(block, scale);
    for (std::size_t i = 0; i < kBlock; ++i) {
        const long quant = scale > 0 ? std::lround(values[i] / scale) : 0;
        block[2 + i] = static_cast<std::byte>(static_cast<std::int8_t>(quant));
    }
}

void encode_row(WeightType type, std::span<const float> values, std::span<std::byte> row) {
    if (type == WeightType::F32) {
        std::memcpy(row.data(), values.data(), row.size());
        return;
    }
    const std::size_t step = type == WeightType::F16 ? 1 : kBlock;
    for (std::size_t i = 0; i < values.size(); i += step) {
        if (type == WeightType::F16) {
            put_half(row.data() + i * sizeof(std::uint16_t), values[i]);
        } else {
            encode_block(values.subspan(i, kBlock), row.data() + i / kBlock * kBlockBytes);
        }
    }
}

}  // namespace

std::uint16_t half_of(float value) {
    const std::uint32_t sign = std::signbit(value) ? 0x8000U : 0U;
    const float magnitude = std::fabs(value);
    CHECK(magnitude <= 65504.0F);
    if (magnitude < 0x1p-14F) {
        return static_cast<std::uint16_t>(sign | std::lround(magnitude * 0x1p24F));
    }
    // Thirteen bits fewer in the fraction, an exponent whose zero is 112 lower.
    const std::uint32_t rounded = std::bit_cast<std::uint32_t>(magnitude) + 0x1000;
    return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112U << 10)));
}

std::uint64_t WeightTensor::rows() const {
    std::uint64_t count = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) count *= shape[i];
    return count;
}

std::uint64_t WeightTensor::row_bytes() const {
    switch (type) {
        case WeightType::F32: return columns() * sizeof(float);
        case WeightType::F16: return columns() * sizeof(std::uint16_t);
        case WeightType::Q8_0: return columns() / kBlock * kBlockBytes;
    }
    return 0;
}

RandomRows::RandomRows(const WeightTensor& tensor)
    : tensor_(tensor), state_(hash_name(tensor.name)) {
    CHECK(tensor.type != WeightType::Q8_0 || tensor.columns() % kBlock == 0);
    if (tensor.type != WeightType::F16) return;
    const float step = tensor.deviation / kTriangleDeviation;
    halves_.resize(std::size_t{1} << 16);
    for (std::size_t bits = 0; bits < halves_.size(); ++bits) {
        halves_[bits] = half_of(static_cast<float>(triangle(bits)) * step);
    }
}

void RandomRows::fill(std::span<std::byte> out) {
    const std::size_t bytes = tensor_.row_bytes();
    for (; out.size() >= bytes; out = out.subspan(bytes), ++row_) {
        const std::span<std::byte> row = out.first(bytes);
        if (fill_set(row)) continue;
        if (tensor_.first_row <= row_ && row_ < tensor_.end_row) {
            fill_random(row);
            clear_front(row);
        } else {
            std::ranges::fill(row, std::byte{0});
        }
    }
}

// SplitMix64.
std::uint64_t RandomRows::draw() {
    std::uint64_t value = state_ += 0x9E3779B97F4A7C15ULL;
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9ULL;
    value = (value ^ value >> 27) * 0x94D049BB133111EBULL;
    return value ^ value >> 31;
}

void RandomRows::fill_random(std::span<std::byte> row) {
    if (tensor_.type == WeightType::F32) {
        const float step = tensor_.deviation / kTriangleDeviation;
        for (std::size_t i = 0; i < row.size(); i += sizeof(float)) {
            const float value = tensor_.mean + static_cast<float>(triangle(draw())) * step;
            std::memcpy(row.data() + i, &value, sizeof(value));
        }
    } else if (tensor_.type == WeightType::F16) {
        for (std::size_t i = 0; i < row.size(); i += sizeof(std::uint64_t)) {
            std::uint64_t bits = draw();
            std::uint16_t four[4];
            for (std::uint16_t& half : four) {
                half = halves_[bits & 0xFFFF];
                bits >>= 16;
            }
            std::memcpy(row.data() + i, four, std::min(sizeof(four), row.size() - i));
        }
    } else {
        for (std::size_t i = 0; i < row.size(); i += kBlockBytes) {
            put_half(row.data() + i, tensor_.deviation / kQuantDeviation);
            for (std::size_t k = 2; k < kBlockBytes; k += sizeof(std::uint64_t)) {
                // Odd: a quantised weight is never -128, and ggml's kernels rely on it.
                const std::uint64_t eight = draw() | 0x0101010101010101ULL;
                std::memcpy(row.data() + i + k, &eight, sizeof(eight));
            }
        }
    }
}

void RandomRows::clear_front(std::span<std::byte> row) const {
    for (std::uint64_t column = 0; column < tensor_.first_column; ++column) {
        if (tensor_.type == WeightType::Q8_0) {
            row[column / kBlock * kBlockBytes + 2 + column % kBlock] = std::byte{0};
        } else {
            const std::size_t size = row.size() / tensor_.columns();
            std::ranges::fill(row.subspan(column * size, size), std::byte{0});
        }
    }
}

bool RandomRows::fill_set(std::span<std::byte> row) {
    if (next_set_ == tensor_.set.size() || tensor_.set[next_set_].row != row_) return false;
    std::vector<float> values(tensor_.columns());
    for (; next_set_ < tensor_.set.size() && tensor_.set[next_set_].row == row_; ++next_set_) {
        CHECK(tensor_.set[next_set_].column < values.size());
        values[tensor_.set[next_set_].column] = tensor_.set[next_set_].value;
    }
    encode_row(tensor_.type, values, row);
    return true;
}

}  // namespace hearth::testing
