#include "encoder/weights.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/format.h"

namespace hearth::encoder {
namespace {

constexpr std::string_view kFile = "model.safetensors";

float half_to_float(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 31U;
    const std::uint32_t fraction = half & 1023U;
    if (exponent == 0) {
        const float tiny = std::ldexp(static_cast<float>(fraction), -24);
        return sign != 0 ? -tiny : tiny;
    }
    const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}

std::size_t bytes_of(models::TensorType type) { return type == models::TensorType::F32 ? 4 : 2; }

std::vector<float> to_floats(const models::TensorView& tensor, std::size_t count) {
    std::vector<float> values(count);
    const std::byte* from = tensor.bytes.data();
    if (tensor.type == models::TensorType::F32) {
        if (count > 0) std::memcpy(values.data(), from, count * sizeof(float));
        return values;
    }
    for (std::size_t i = 0; i < count; ++i) {
        std::uint16_t half = 0;
        std::memcpy(&half, from + 2 * i, sizeof(half));
        values[i] = tensor.type == models::TensorType::BF16
                        ? std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16)
                        : half_to_float(half);
    }
    return values;
}

// Large loops over plain bits: an infinite or undefined value has all exponent bits set.
bool all_finite(const std::vector<float>& values) {
    std::uint32_t bad = 0;
    for (const float value : values) {
        bad |= (std::bit_cast<std::uint32_t>(value) & 0x7F800000U) == 0x7F800000U ? 1U : 0U;
    }
    return bad == 0;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        text += format("{}{}", i == 0 ? "" : ", ", shape[i]);
    }
    return text + "]";
}

std::unexpected<Error> refuse(std::string_view name, std::string_view what) {
    return fail(Code::InvalidArgument, format("{}: tensor {} {}", kFile, name, what));
}

// `count` floats from the front of a tensor whose shape is known to be right.
Result<std::vector<float>> read(const models::TensorView& tensor, std::string_view name,
                                std::size_t count) {
    if (tensor.bytes.size() / bytes_of(tensor.type) < count) {
        return refuse(name, "has fewer bytes than its shape needs");
    }
    std::vector<float> values = to_floats(tensor, count);
    if (!all_finite(values)) return refuse(name, "holds a value that is not finite");
    return values;
}

}  // namespace

Result<TensorSource> TensorSource::open(const std::filesystem::path& folder,
                                        std::span<const std::string_view> prefixes,
                                        std::string_view anchor) {
    TRY(auto file, models::Safetensors::open(folder / kFile));
    for (const std::string_view prefix : prefixes) {
        if (file->header().entries.contains(format("{}{}", prefix, anchor))) {
            return TensorSource(std::move(file), std::string(prefix));
        }
    }
    return refuse(anchor, "is missing");
}

bool TensorSource::has(std::string_view name) const {
    return file_->header().entries.contains(format("{}{}", prefix_, name));
}

Result<std::vector<float>> TensorSource::vector(std::string_view name, std::size_t size) const {
    const std::string full = format("{}{}", prefix_, name);
    if (!has(name)) return refuse(full, "is missing");
    TRY(const auto tensor, file_->find(full));
    if (tensor.shape != std::vector<std::size_t>{size}) {
        return refuse(full, format("has shape {}, expected [{}]", shape_text(tensor.shape), size));
    }
    return read(tensor, full, size);
}

Result<std::vector<float>> TensorSource::matrix(std::string_view name, std::size_t rows,
                                                std::size_t columns) const {
    const std::string full = format("{}{}", prefix_, name);
    if (!has(name)) return refuse(full, "is missing");
    TRY(const auto tensor, file_->find(full));
    if (tensor.shape != std::vector<std::size_t>{rows, columns}) {
        return refuse(full, format("has shape {}, expected [{}, {}]", shape_text(tensor.shape),
                                   rows, columns));
    }
    return read(tensor, full, rows * columns);
}

Result<std::vector<float>> TensorSource::first_row(std::string_view name,
                                                   std::size_t columns) const {
    const std::string full = format("{}{}", prefix_, name);
    if (!has(name)) return refuse(full, "is missing");
    TRY(const auto tensor, file_->find(full));
    if (tensor.shape.size() != 2 || tensor.shape[0] == 0 || tensor.shape[1] != columns) {
        return refuse(full, format("has shape {}, expected [1 or more, {}]",
                                   shape_text(tensor.shape), columns));
    }
    return read(tensor, full, columns);
}

Result<LinearWeights> TensorSource::linear(std::string_view name, std::size_t in,
                                           std::size_t out) const {
    LinearWeights linear{.in = in, .out = out, .weight = {}, .bias = std::vector<float>(out)};
    TRY(linear.weight, matrix(format("{}.weight", name), out, in));
    const std::string bias = format("{}.bias", name);
    if (has(bias)) {
        TRY(linear.bias, vector(bias, out));
    }
    return linear;
}

Result<NormWeights> TensorSource::norm(std::string_view name, std::size_t size) const {
    NormWeights norm;
    // Checkpoints converted from TensorFlow call the two gamma and beta.
    const bool old_names = has(format("{}.gamma", name));
    TRY(norm.gain, vector(format("{}.{}", name, old_names ? "gamma" : "weight"), size));
    TRY(norm.bias, vector(format("{}.{}", name, old_names ? "beta" : "bias"), size));
    return norm;
}

}  // namespace hearth::encoder
