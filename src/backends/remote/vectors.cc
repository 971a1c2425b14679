#include "backends/remote/vectors.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/format.h"

namespace hearth::remote {
namespace {

using inference::EmbedInput;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::TokenIds;

// Of a sum of squares of floats that were normalised elsewhere.
constexpr double kUnitSlack = 1e-4;
constexpr std::uint64_t kTokensMax = 4'000'000'000;  // fits each share

double weight_of(const EmbedInput& input) {
    if (const auto* ids = std::get_if<TokenIds>(&input)) {
        return static_cast<double>(ids->size()) * 4;
    }
    return static_cast<double>(std::get<std::string>(input).size());
}

Result<void> check_row(std::span<const float> row, std::size_t dimension) {
    if (row.empty() || row.size() != dimension) {
        return fail(Code::BadUpstream, "the upstream's vectors differ in length");
    }
    if (std::ranges::all_of(row, [](float value) { return std::isfinite(value); })) return {};
    return fail(Code::BadUpstream, "the upstream's vector holds a value that is no number");
}

Result<std::size_t> wanted_dimension(std::size_t full, const EmbedRequest& request) {
    const std::size_t dimension = request.dimensions.value_or(full);
    if (dimension >= 1 && dimension <= full) return dimension;
    return fail({.code = Code::InvalidArgument,
                 .message = format("dimensions {} is over the model's {}", dimension, full),
                 .param = "dimensions"});
}

Result<void> check_tokens(std::span<const std::uint32_t> tokens, std::size_t most) {
    const auto total = std::accumulate(tokens.begin(), tokens.end(), std::uint64_t{0});
    if (most == 0 || total <= most) return {};
    return fail(
        {.code = Code::InvalidArgument,
         .message = format("the inputs have {} tokens together; {} are allowed", total, most),
         .param = "input"});
}

}  // namespace

void normalise(std::span<float> row) {
    double squares = 0;
    for (const double value : row) squares += value * value;
    if (squares <= 0 || std::abs(squares - 1) < kUnitSlack) return;
    const double scale = 1 / std::sqrt(squares);
    for (float& value : row) value = static_cast<float>(value * scale);
}

std::vector<std::uint32_t> share_tokens(std::optional<std::uint64_t> total,
                                        const std::vector<EmbedInput>& inputs) {
    std::vector<std::uint32_t> shares;
    if (!total) {
        for (const EmbedInput& input : inputs) {
            const auto* ids = std::get_if<TokenIds>(&input);
            shares.push_back(ids != nullptr ? static_cast<std::uint32_t>(ids->size()) : 0);
        }
        return shares;
    }
    const auto tokens = static_cast<double>(std::min(*total, kTokensMax));
    double sum = 0;
    for (const EmbedInput& input : inputs) sum += 1 + weight_of(input);
    double before = 0;
    std::uint64_t given = 0;
    for (const EmbedInput& input : inputs) {
        before += 1 + weight_of(input);
        const auto until = static_cast<std::uint64_t>(std::floor(tokens * (before / sum)));
        shares.push_back(static_cast<std::uint32_t>(until - given));
        given = until;
    }
    return shares;
}

Result<EmbedReply> make_reply(std::vector<std::vector<float>> rows, const EmbedRequest& request,
                              std::optional<std::uint64_t> tokens) {
    if (rows.size() != request.inputs.size()) {
        return fail(Code::BadUpstream, format("the upstream answered {} inputs with {} vectors",
                                              request.inputs.size(), rows.size()));
    }
    EmbedReply reply;
    reply.tokens = share_tokens(tokens, request.inputs);
    TRY_VOID(check_tokens(reply.tokens, request.tokens_max));
    if (rows.empty()) return reply;
    const std::size_t full = rows.front().size();
    if (full == 0) return fail(Code::BadUpstream, "the upstream's vectors are empty");
    TRY(reply.dimension, wanted_dimension(full, request));
    reply.vectors.reserve(rows.size() * reply.dimension);
    for (std::vector<float>& row : rows) {
        TRY_VOID(check_row(row, full));
        row.resize(reply.dimension);
        if (request.normalize) normalise(row);
        reply.vectors.insert(reply.vectors.end(), row.begin(), row.end());
    }
    return reply;
}

}  // namespace hearth::remote
