// The answer to an inference: a JSON head, and tensors behind it.
#include <algorithm>
#include <array>
#include <bit>
#include <boost/json.hpp>
#include <charconv>
#include <cstring>
#include <utility>

#include "backends/remote/kserve_call.h"
#include "backends/remote/vectors.h"
#include "backends/remote/wire_json.h"
#include "base/encoding.h"
#include "base/format.h"

namespace hearth::remote::kserve {
namespace {

namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::TokenIds;

enum class Number : std::uint8_t { Float32, Float16, BFloat16 };

struct Datatype {
    std::string_view name;
    Number number;
    std::size_t bytes;
};
constexpr std::array kDatatypes = {Datatype{"FP32", Number::Float32, 4},
                                   Datatype{"FP16", Number::Float16, 2},
                                   Datatype{"BF16", Number::BFloat16, 2}};

// One output: its shape, and the values.
struct Values {
    std::vector<std::size_t> shape;
    std::vector<float> values;
};

// IEEE 754 binary16.
float half_to_float(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000U) << 16;
    const std::uint32_t exponent = half >> 10 & 0x1FU;
    const std::uint32_t fraction = half & 0x3FFU;
    if (exponent == 0) {  // zero, or below the smallest normal number
        const float value = static_cast<float>(fraction) * 0x1p-24F;
        return sign != 0 ? -value : value;
    }
    const std::uint32_t wide = exponent == 31 ? 0xFFU : exponent + 112;
    return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

float read_number(const char* from, Number number) {
    if (number == Number::Float32) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, from, sizeof(bits));
        return std::bit_cast<float>(bits);
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, from, sizeof(bits));
    if (number == Number::Float16) return half_to_float(bits);
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

Result<std::size_t> head_size(const http::Headers& headers, std::string_view body) {
    const auto field = headers.find("inference-header-content-length");
    if (!field) return body.size();  // all of it is JSON
    const std::string_view text = trimmed(*field);
    std::size_t size = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), size);
    if (end.ec != std::errc{} || end.ptr != text.data() + text.size() || size > body.size()) {
        return wrong_form("Inference-Header-Content-Length is not the length of its head");
    }
    return size;
}

Result<std::vector<std::size_t>> read_shape(const json::object& output) {
    const json::array* list = list_at(output, "shape");
    if (list == nullptr || list->empty() || list->size() > 3) {
        return wrong_form("the vectors have no shape of rows, tokens and dimensions");
    }
    std::vector<std::size_t> shape;
    std::size_t count = 1;
    for (const json::value& size : *list) {
        const bool sound = size.is_int64() && size.get_int64() > 0 &&
                           static_cast<std::uint64_t>(size.get_int64()) <= kValuesMax / count;
        if (!sound) return wrong_form("the shape of the vectors is out of bounds");
        shape.push_back(static_cast<std::size_t>(size.get_int64()));
        count *= shape.back();
    }
    return shape;
}

std::size_t count_of(const std::vector<std::size_t>& shape) {
    std::size_t count = 1;
    for (const std::size_t size : shape) count *= size;
    return count;
}

Result<std::vector<float>> read_binary(const json::object& output, std::string_view bytes,
                                       std::size_t count) {
    const auto type = std::ranges::find(kDatatypes, text_at(output, "datatype"), &Datatype::name);
    if (type == kDatatypes.end()) return wrong_form("the vectors are neither FP32, FP16 nor BF16");
    if (bytes.size() != count * type->bytes) {
        return wrong_form("the vectors have another size than their shape says");
    }
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        values[i] = read_number(bytes.data() + i * type->bytes, type->number);
    }
    return values;
}

// Numbers in a list, nested or not. As deep as JSON is read: 32 levels.
bool append_numbers(const json::value& from, std::vector<float>& to) {
    if (from.is_number()) {
        to.push_back(static_cast<float>(from.to_number<double>()));
        return true;
    }
    if (!from.is_array()) return false;
    return std::ranges::all_of(from.get_array(),
                               [&to](const json::value& one) { return append_numbers(one, to); });
}

Result<std::vector<float>> read_listed(const json::object& output, std::size_t count) {
    const json::value* data = find(output, "data");
    std::vector<float> values;
    if (data == nullptr || !append_numbers(*data, values) || values.size() != count) {
        return wrong_form("the vectors have other data than their shape says");
    }
    return values;
}

std::optional<std::uint64_t> binary_size(const json::object& output) {
    const json::object* parameters = object_at(output, "parameters");
    return parameters != nullptr ? count_at(*parameters, "binary_data_size") : std::nullopt;
}

Result<Values> read_output(const json::object& output, std::string_view bytes, bool is_binary) {
    Values out;
    TRY(out.shape, read_shape(output));
    const std::size_t count = count_of(out.shape);
    TRY(out.values, is_binary ? read_binary(output, bytes, count) : read_listed(output, count));
    return out;
}

// The binary tensors stand behind the head in the order of the outputs, which other models' clients
// may have asked for more of.
Result<Values> find_output(const json::array& outputs, std::string_view name,
                           std::string_view tensors) {
    for (const json::value& value : outputs) {
        const json::object* output = value.if_object();
        if (output == nullptr) return wrong_form("an output is no object");
        const auto size = binary_size(*output);
        if (size.value_or(0) > tensors.size()) return wrong_form("an output is cut off");
        const std::string_view bytes = tensors.substr(0, size.value_or(0));
        if (text_at(*output, "name") == name) {
            return read_output(*output, bytes, size.has_value());
        }
        tensors.remove_prefix(bytes.size());
    }
    return wrong_form(format("there is no output {}", name));
}

// The mean over the tokens that are not padding.
std::vector<float> mean_of(std::span<const float> tokens, std::size_t count,
                           std::size_t dimension) {
    std::vector<double> sums(dimension);
    for (std::size_t token = 0; token < count; ++token) {
        for (std::size_t i = 0; i < dimension; ++i) sums[i] += tokens[token * dimension + i];
    }
    std::vector<float> mean(dimension);
    for (std::size_t i = 0; i < dimension; ++i) {
        mean[i] = static_cast<float>(sums[i] / static_cast<double>(count));
    }
    return mean;
}

std::vector<float> pool(std::span<const float> tokens, std::size_t count, std::size_t dimension,
                        Pooling pooling) {
    if (pooling == Pooling::Mean) return mean_of(tokens, count, dimension);
    const std::size_t token = pooling == Pooling::First ? 0 : count - 1;
    const auto one = tokens.subspan(token * dimension, dimension);
    return {one.begin(), one.end()};
}

// `lengths`: the tokens of each row; 0: whoever has them has pooled them.
Result<std::vector<std::vector<float>>> rows_of(const Values& found,
                                                std::span<const std::size_t> lengths,
                                                Pooling pooling) {
    const bool is_pooled = found.shape.size() == 2;
    if (found.shape.size() < 2 || found.shape.front() != lengths.size()) {
        return wrong_form("the vectors are not as many as the inputs");
    }
    const std::size_t dimension = found.shape.back();
    const std::size_t length = is_pooled ? 1 : found.shape[1];
    std::vector<std::vector<float>> out;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        const std::span<const float> all(found.values);
        const auto row = all.subspan(i * length * dimension, length * dimension);
        if (is_pooled) {
            out.emplace_back(row.begin(), row.end());
            continue;
        }
        if (lengths[i] == 0 || lengths[i] > length) {
            return wrong_form("the vectors have fewer tokens than the inputs");
        }
        out.push_back(pool(row, lengths[i], dimension, pooling));
    }
    return out;
}

Result<EmbedReply> decode_rows(const EmbedPlan& plan, const http::Headers& headers,
                               std::string_view body, std::span<const std::size_t> lengths,
                               const EmbedRequest& request) {
    TRY(const std::size_t size, head_size(headers, body));
    TRY(const json::object head, read_answer(body.substr(0, size)));
    const json::array* outputs = list_at(head, "outputs");
    if (outputs == nullptr) return wrong_form("there are no outputs");
    TRY(const Values found, find_output(*outputs, plan.output, body.substr(size)));
    TRY(auto vectors, rows_of(found, lengths, plan.pooling));
    TRY(EmbedReply reply, make_reply(std::move(vectors), request, std::nullopt));
    reply.model = text_at(head, "model_name");
    return reply;
}

}  // namespace

Result<EmbedReply> decode_embed(const EmbedPlan& plan, const http::Headers& headers,
                                std::string_view body, std::span<const TokenIds> rows,
                                const EmbedRequest& request) {
    EmbedRequest counted = request;
    counted.inputs.assign(rows.begin(), rows.end());
    std::vector<std::size_t> lengths;
    for (const TokenIds& row : rows) lengths.push_back(row.size());
    return decode_rows(plan, headers, body, lengths, counted);
}

Result<EmbedReply> decode_texts(const EmbedPlan& plan, const http::Headers& headers,
                                std::string_view body, std::span<const std::string> rows,
                                const EmbedRequest& request) {
    EmbedRequest counted = request;
    counted.inputs.assign(rows.begin(), rows.end());
    return decode_rows(plan, headers, body, std::vector<std::size_t>(rows.size()), counted);
}

}  // namespace hearth::remote::kserve
