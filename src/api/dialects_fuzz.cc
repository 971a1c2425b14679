// The first byte chooses the parser. Whatever comes back must be encodable, and an accepted request
// must keep its bounds.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/ollama.h"
#include "api/openai.h"
#include "api/tei.h"
#include "base/encoding.h"

namespace {

using hearth::Result;
using hearth::api::Reply;
using hearth::inference::EmbedRequest;

void require(bool condition) {
    if (!condition) __builtin_trap();
}

void check(const EmbedRequest& request) {
    require(request.inputs.size() <= 2048);
    std::size_t ids = 0;
    for (const auto& input : request.inputs) {
        if (const auto* text = std::get_if<std::string>(&input)) {
            require(hearth::is_utf8(*text));
        } else {
            ids += std::get<hearth::inference::TokenIds>(input).size();
        }
    }
    require(ids <= 300'000);
    require(!request.dimensions || *request.dimensions >= 1);
}

template <class T>
bool accepted(const Result<T>& parsed, Reply (*encode_error)(const hearth::Error&)) {
    if (parsed) return true;
    const Reply reply = encode_error(parsed.error());
    require(reply.status >= 400 && reply.status < 500);
    require(hearth::is_utf8(reply.body));
    return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace api = hearth::api;
    if (size == 0) return 0;
    const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 5) {
        case 0: {
            const auto call = api::openai::parse_embeddings(body);
            if (accepted(call, api::openai::encode_error)) check(call->request);
            break;
        }
        case 1: {
            const auto request = api::ollama::parse_embed(body);
            if (accepted(request, api::ollama::encode_error)) check(*request);
            break;
        }
        case 2: {
            const auto request = api::ollama::parse_embeddings(body);
            if (accepted(request, api::ollama::encode_error)) check(*request);
            break;
        }
        case 3: {
            const auto call = api::ollama::parse_show(body);
            if (accepted(call, api::ollama::encode_error)) require(!call->model.empty());
            break;
        }
        default: {
            const auto request = api::tei::parse_embed(body);
            if (accepted(request, api::tei::encode_error)) check(*request);
            break;
        }
    }
    return 0;
}
