#include "backends/remote/verbatim.h"

#include <array>
#include <boost/json.hpp>

#include "backends/remote/splice.h"
#include "backends/remote/wire_json.h"
#include "inference/json.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;
using inference::Dialect;
using inference::Usage;

// Of a whole answer: what tells a failure, or how much it took.
constexpr std::array<std::string_view, 9> kTelling = {"error",
                                                      "type",
                                                      "usage",
                                                      "prompt_eval_count",
                                                      "eval_count",
                                                      "stop_type",
                                                      "tokens_evaluated",
                                                      "tokens_predicted",
                                                      "timings"};

struct Way {
    Dialect dialect;
    std::string_view kind;
    std::string_view target;
};
constexpr Way kWays[] = {
    {Dialect::OpenAiChat, "openai", "/v1/chat/completions"},
    {Dialect::OpenAiCompletion, "openai", "/v1/completions"},
    {Dialect::AnthropicMessages, "anthropic", "/v1/messages"},
    {Dialect::OllamaChat, "ollama", "/api/chat"},
    {Dialect::OllamaGenerate, "ollama", "/api/generate"},
};

void take(std::optional<std::uint64_t> count, std::optional<std::uint64_t>& to) {
    if (count) to = count;
}

// The words of all three; no answer has those of two.
Usage usage_of(const json::object& answer) {
    Usage usage;
    inference::note_usage(answer, usage);
    take(count_at(answer, "prompt_eval_count"), usage.prompt_tokens);
    take(count_at(answer, "eval_count"), usage.completion_tokens);
    const json::object* counted = object_at(answer, "usage");
    if (counted == nullptr) return usage;
    const json::object& tokens = *counted;
    take(count_at(tokens, "output_tokens"), usage.completion_tokens);
    if (const auto fresh = count_at(tokens, "input_tokens")) {
        usage.cached_tokens = count_at(tokens, "cache_read_input_tokens");
        usage.cache_write_tokens = count_at(tokens, "cache_creation_input_tokens");
        usage.prompt_tokens =
            *fresh + usage.cached_tokens.value_or(0) + usage.cache_write_tokens.value_or(0);
    }
    return usage;
}

}  // namespace

bool speaks(std::string_view kind, Dialect dialect) {
    for (const Way& way : kWays) {
        if (way.kind == kind && way.dialect == dialect) return true;
    }
    return false;
}

http::Call verbatim_call(const inference::Original& original, std::string_view model) {
    http::Call call{.method = http::Method::Post};
    for (const Way& way : kWays) {
        if (way.dialect == original.dialect) call.target = way.target;
    }
    call.headers.add("content-type", "application/json");
    for (const auto& [name, value] : original.headers) call.headers.add(name, value);
    constexpr std::string_view kVersion = "anthropic-version";
    if (original.dialect == Dialect::AnthropicMessages && !call.headers.find(kVersion)) {
        call.headers.add(kVersion, "2023-06-01");
    }
    call.body = with_model(original.body, model);
    if (!original.usage_wish.empty()) {
        call.body = with_member(call.body, "stream_options", original.usage_wish);
    }
    return call;
}

bool tells_only_usage(std::string_view event) {
    // Most events need no second look.
    if (!event.contains("prompt_tokens")) return false;
    const std::size_t begin = event.find('{');
    const std::size_t end = event.rfind('}');
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin)
        return false;
    boost::system::error_code failed;
    const json::value parsed = json::parse(event.substr(begin, end + 1 - begin), failed);
    if (failed || !parsed.is_object()) return false;
    const json::value* choices = parsed.get_object().if_contains("choices");
    return choices != nullptr && choices->is_array() && choices->get_array().empty();
}

Framing framing_of(Dialect dialect) {
    const bool lines = dialect == Dialect::OllamaChat || dialect == Dialect::OllamaGenerate;
    return lines ? Framing::Lines : Framing::EventStream;
}

Result<Usage> check_whole(const Wire& wire, std::string_view body) {
    std::array<unsigned char, 2 << 10> memory;
    json::monotonic_resource resource(memory.data(), memory.size());
    boost::system::error_code failed;
    const json::value parsed = inference::parse_members(body, kTelling, failed, &resource);
    if (failed || !parsed.is_object()) {
        return fail({.code = Code::BadUpstream,
                     .message = "the answer is no JSON object",
                     .reason = "upstream_malformed"});
    }
    const json::object& answer = parsed.get_object();
    const json::value* error = answer.if_contains("error");
    const bool is_error = (error != nullptr && !error->is_null()) ||
                          (answer.contains("type") && answer.at("type") == "error");
    // Whoever tells a failure under the status of success has no better one for it.
    if (is_error) return fail(wire.error_of(502, {}, body));
    return usage_of(answer);
}

}  // namespace hearth::remote
