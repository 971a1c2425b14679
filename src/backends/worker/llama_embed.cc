#include "backends/worker/llama_embed.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/encoding.h"
#include "base/format.h"
#include "inference/json_members.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;
using inference::EmbedReply;
using inference::EmbedRequest;
using inference::list_at;
using inference::Overflow;
using inference::TokenIds;

std::unexpected<Error> nonsense() {
    return fail(Code::BadUpstream, "the engine's answer has another form than expected");
}

Result<json::object> read_answer(std::string_view body) {
    boost::system::error_code failed;
    json::value parsed = json::parse(body, failed);
    if (failed || !parsed.is_object()) return nonsense();
    return std::move(parsed.get_object());
}

Result<std::vector<float>> read_row(const json::object& item) {
    const json::value* text = item.if_contains("embedding");
    if (text == nullptr || !text->is_string()) return nonsense();
    TRY(const std::vector<std::byte> bytes, decode_base64(text->get_string()));
    if (bytes.empty() || bytes.size() % sizeof(float) != 0) return nonsense();
    std::vector<float> row(bytes.size() / sizeof(float));
    std::memcpy(row.data(), bytes.data(), bytes.size());
    return row;
}

void normalise(std::span<float> row) {
    const double squares = std::inner_product(row.begin(), row.end(), row.begin(), 0.0);
    if (squares <= 0) return;
    const auto scale = static_cast<float>(1 / std::sqrt(squares));
    for (float& value : row) value *= scale;
}

}  // namespace

std::string encode_tokenize(std::string_view text, bool with_special) {
    return json::serialize(
        json::object{{"content", text}, {"add_special", with_special}, {"parse_special", false}});
}

Result<TokenIds> decode_tokenize(std::string_view body) {
    TRY(const json::object answer, read_answer(body));
    const json::array* tokens = list_at(answer, "tokens");
    if (tokens == nullptr) return nonsense();
    TokenIds ids;
    ids.reserve(tokens->size());
    for (const json::value& token : *tokens) {
        if (!token.is_int64() || !std::in_range<std::int32_t>(token.get_int64())) return nonsense();
        ids.push_back(static_cast<std::int32_t>(token.get_int64()));
    }
    return ids;
}

Result<SpecialTokens> find_special(const TokenIds& with, const TokenIds& without) {
    const auto found = std::ranges::search(with, without);
    if (found.empty()) return nonsense();
    return SpecialTokens{.before = TokenIds(with.begin(), found.begin()),
                         .after = TokenIds(found.end(), with.end())};
}

Result<TokenIds> fit_tokens(TokenIds ids, const SpecialTokens& special, std::size_t tokens_max,
                            Overflow overflow, std::size_t index) {
    const std::size_t room = tokens_max - std::min(tokens_max, special.count());
    if (ids.size() > room) {
        if (overflow == Overflow::Refuse) {
            const std::string name = format("input[{}]", index);
            return fail({.code = Code::InvalidArgument,
                         .message = format("{} has {} tokens; the model's window is {}", name,
                                           ids.size() + special.count(), tokens_max),
                         .reason = "context_length_exceeded",
                         .param = name});
        }
        const auto extra = static_cast<std::ptrdiff_t>(ids.size() - room);
        if (overflow == Overflow::CutLeft) ids.erase(ids.begin(), ids.begin() + extra);
        ids.resize(room);
    }
    ids.insert(ids.begin(), special.before.begin(), special.before.end());
    ids.insert(ids.end(), special.after.begin(), special.after.end());
    return ids;
}

std::string encode_embeddings_call(std::span<const TokenIds> texts, bool normalize) {
    json::array inputs;
    for (const TokenIds& ids : texts) inputs.push_back(json::value_from(ids));
    return json::serialize(json::object{{"input", std::move(inputs)},
                                        {"encoding_format", "base64"},
                                        {"embd_normalize", normalize ? 2 : -1}});
}

Result<EmbedReply> decode_embeddings(std::string_view body, std::span<const TokenIds> texts,
                                     const EmbedRequest& request) {
    TRY(const json::object answer, read_answer(body));
    const json::array* data = list_at(answer, "data");
    if (data == nullptr || data->size() != texts.size()) return nonsense();
    EmbedReply reply;
    for (const TokenIds& ids : texts)
        reply.tokens.push_back(static_cast<std::uint32_t>(ids.size()));
    for (std::size_t i = 0; i < data->size(); ++i) {
        const json::object* item = (*data)[i].if_object();
        if (item == nullptr) return nonsense();
        TRY(std::vector<float> row, read_row(*item));
        const std::size_t full = row.size();
        const std::size_t dimension = request.dimensions.value_or(full);
        if (dimension > full) {
            return fail({.code = Code::InvalidArgument,
                         .message = format("dimensions {} is over the model's {}", dimension, full),
                         .param = "dimensions"});
        }
        if (reply.dimension == 0) reply.dimension = dimension;
        if (reply.dimension != dimension) return nonsense();
        row.resize(dimension);
        if (request.normalize && dimension < full) normalise(row);
        reply.vectors.insert(reply.vectors.end(), row.begin(), row.end());
    }
    return reply;
}

}  // namespace hearth::worker
