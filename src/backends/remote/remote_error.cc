#include "backends/remote/remote_error.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "backends/remote/wire_json.h"
#include "base/encoding.h"
#include "base/format.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

constexpr std::size_t kShownBytesMax = 500;

struct Word {
    std::string_view word;
    Code code;
};
// Types and codes of errors: OpenAI's, Anthropic's and llama-server's.
constexpr std::array kWords = {
    Word{"invalid_request_error", Code::InvalidArgument},
    Word{"BadRequestError", Code::InvalidArgument},
    Word{"exceed_context_size_error", Code::InvalidArgument},
    Word{"context_length_exceeded", Code::InvalidArgument},
    Word{"request_too_large", Code::TooLarge},
    Word{"rate_limit_error", Code::RateLimited},
    Word{"rate_limit_exceeded", Code::RateLimited},
    Word{"overloaded_error", Code::Overloaded},
    Word{"timeout_error", Code::Unavailable},
    Word{"unavailable_error", Code::Unavailable},
    Word{"not_supported_error", Code::Unsupported},
    Word{"api_error", Code::BadUpstream},
    Word{"server_error", Code::BadUpstream},
};
constexpr std::array<std::string_view, 5> kAuthWords = {"authentication_error", "permission_error",
                                                        "invalid_api_key", "permission_denied",
                                                        "AuthenticationError"};
constexpr std::array<std::string_view, 3> kQuotaWords = {"insufficient_quota", "billing_error",
                                                         "billing_not_active"};

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> parts) {
    return std::ranges::any_of(parts, [&](std::string_view part) { return text.contains(part); });
}

template <std::size_t N>
bool is_one_of(const Told& told, const std::array<std::string_view, N>& words) {
    return std::ranges::any_of(
        words, [&](std::string_view word) { return told.type == word || told.code == word; });
}

bool is_overflow(const Told& told, std::string_view message) {
    if (told.code == "context_length_exceeded" || told.type == "exceed_context_size_error") {
        return true;
    }
    if (told.status == 429) return false;  // "too many tokens" of a minute
    if (message.contains("maximum context length")) return true;
    if (has_any(message, {"prompt is too long", "input is too long"})) return true;
    // Ours, in the dialects that have no code.
    if (has_any(message, {"model's context has room for", "this model takes at most"})) return true;
    return has_any(message,
                   {"context length", "context window", "context size", "context limit"}) &&
           has_any(message, {"exceed", "too long", "larger than", "longer than", "greater than"});
}

bool is_missing_model(const Told& told, std::string_view message) {
    if (told.code == "model_not_found" || told.type == "model_not_found") return true;
    if (message.starts_with("request for unknown model")) return true;
    if (told.status != 404 && told.type != "not_found_error") return false;
    // Anthropic's message is "model: NAME".
    return message.contains("model");
}

// llama-server's words, and Ollama's, under the status of a server's failure.
bool is_blindness(std::string_view message) {
    return has_any(message, {"image input is not supported", "audio input is not supported",
                             "does not support multimodal", "data required for image input"});
}

// The first number that stands behind one of the words.
std::optional<std::uint64_t> number_behind(std::string_view text,
                                           std::initializer_list<std::string_view> words) {
    for (const std::string_view word : words) {
        const std::size_t at = text.find(word);
        if (at == std::string_view::npos) continue;
        const std::string_view rest = text.substr(at + word.size());
        std::uint64_t number = 0;
        const auto end = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (end.ec == std::errc{} && number < 1'000'000'000'000) return number;
    }
    return std::nullopt;
}

// vLLM's and OpenAI's "maximum context length is 4096 tokens. However, you requested 5000 tokens",
// Anthropic's "prompt is too long: 208310 tokens > 200000 maximum", llama-server's "request (5000
// tokens) exceeds the available context size (4096 tokens)", our own "the prompt has 5000 tokens
// and the model's context has room for 4096" and "input[1] has 302 tokens; this model takes at most
// 256".
Error overflow_error(const Told& told, std::string_view message) {
    const auto amount = told.prompt_tokens
                            ? told.prompt_tokens
                            : number_behind(message, {"you requested ", "resulted in ",
                                                      "too long: ", "contains at least ",
                                                      "request (", "the prompt has ", "] has "});
    const auto limit = told.context
                           ? told.context
                           : number_behind(message, {"maximum context length is ", "tokens > ",
                                                     "context size (", "maximum context length of ",
                                                     "has room for ", "takes at most "});
    Error error{
        .code = Code::InvalidArgument,
        .message = format("the prompt is over the model's context: {}", shown(told.message)),
        .reason = "context_length_exceeded"};
    if (amount && limit) {
        error.message =
            format("the call needs {} tokens and the model's context has room for {}; shorten it",
                   *amount, *limit);
        error.amount = static_cast<std::size_t>(*amount);
        error.limit = static_cast<std::size_t>(*limit);
    }
    return error;
}

Error of_operator(std::string reason, std::string_view what, int status) {
    std::string message = format("the upstream {}", what);
    if (status != 0) message += format(" (status {})", status);
    message += "; whoever runs this server can put that right";
    return {.code = Code::BadUpstream, .message = std::move(message), .reason = std::move(reason)};
}

Code code_of_status(const Told& told, std::string_view message) {
    switch (told.status) {
        case 408:
        case 425:
        case 502:
        case 504: return Code::Unavailable;
        case 413: return Code::TooLarge;
        case 429: return Code::RateLimited;
        case 405:
        case 501: return Code::Unsupported;
        case 404: return Code::BadUpstream;  // no such route: the address is wrong
        case 503:
            return has_any(message, {"busy", "queue", "maximum pending", "overload", "capacity"})
                       ? Code::Overloaded
                       : Code::Unavailable;
        case 529: return Code::Overloaded;
        default: break;
    }
    for (const Word& word : kWords) {
        if (told.type == word.word || told.code == word.word) return word.code;
    }
    if (told.status == 0 && has_any(message, {"overloaded"})) return Code::Overloaded;
    return told.status >= 400 && told.status < 500 ? Code::InvalidArgument : Code::BadUpstream;
}

std::string message_of(const Told& told, Code code) {
    std::string text = shown(told.message);
    const bool is_callers = code == Code::InvalidArgument || code == Code::TooLarge;
    if (is_callers && !text.empty()) return text;
    std::string out = "the upstream failed";
    if (told.status != 0) out = format("the upstream answered with status {}", told.status);
    return text.empty() ? out + " and no reason" : format("{}: {}", out, text);
}

std::string text_or_number(const json::object& from, std::string_view name) {
    const json::value* value = find(from, name);
    if (value == nullptr) return {};
    if (value->is_string()) return std::string(value->get_string());
    return value->is_number() ? json::serialize(*value) : std::string();
}

// FastAPI's list of what is wrong with a request.
std::string details_text(const json::array& details) {
    std::string out;
    for (const json::value& detail : details) {
        if (!detail.is_object() || out.size() > kShownBytesMax) break;
        if (!out.empty()) out += "; ";
        if (const json::array* place = list_at(detail.get_object(), "loc");
            place != nullptr && !place->empty() && place->back().is_string()) {
            out += format("{}: ", std::string_view(place->back().get_string()));
        }
        out += text_at(detail.get_object(), "msg");
    }
    return out;
}

void read_error_object(const json::object& error, Told& told) {
    told.type = text_at(error, "type");
    told.code = text_or_number(error, "code");
    told.param = text_at(error, "param");
    told.message = text_at(error, "message");
    told.prompt_tokens = count_at(error, "n_prompt_tokens");
    told.context = count_at(error, "n_ctx");
}

Told told_of(int status, const json::object& body) {
    Told told{.status = status, .type = {}, .code = {}, .param = {}, .message = {}};
    if (const json::value* error = find(body, "error")) {
        if (error->is_object()) read_error_object(error->get_object(), told);
        if (error->is_string()) told.message = error->get_string();
        if (told.message.empty()) told.message = text_at(body, "message");
        return told;
    }
    read_error_object(body, told);
    if (const json::array* details = list_at(body, "detail")) told.message = details_text(*details);
    if (told.message.empty()) told.message = text_at(body, "detail");
    return told;
}

}  // namespace

Told read_told(int status, std::string_view body) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(body, failed);
    if (!failed && parsed.is_object()) return told_of(status, parsed.get_object());
    Told told{.status = status, .type = {}, .code = {}, .param = {}, .message = {}};
    // A page of markup tells a caller nothing.
    if (!trimmed(body).starts_with('<')) told.message = body.substr(0, 2 * kShownBytesMax);
    return told;
}

std::optional<Told> told_in_stream(const json::object& event) {
    if (find(event, "error") == nullptr && text_at(event, "object") != "error") return std::nullopt;
    return told_of(0, event);
}

Result<json::object> read_sound_answer(std::string_view body) {
    TRY(json::object answer, read_answer(body));
    if (const auto told = told_in_stream(answer)) return fail(judge(*told));
    return answer;
}

Error judge(const Told& told) {
    const std::string message = lower(told.message);
    if (told.status == 401 || told.status == 403 || told.status == 407 ||
        is_one_of(told, kAuthWords)) {
        return of_operator("upstream_auth", "refuses the credentials it was given", told.status);
    }
    if (told.status == 402 || is_one_of(told, kQuotaWords)) {
        return of_operator("upstream_quota", "says that its account is used up", told.status);
    }
    if (is_overflow(told, message)) return overflow_error(told, message);
    if (is_missing_model(told, message)) {
        return {.code = Code::NotFound,
                .message = format("the upstream does not have this model: {}", shown(told.message)),
                .reason = "model_not_found"};
    }
    if (is_blindness(message)) {
        return {
            .code = Code::Unsupported,
            .message = format("the upstream's model takes texts alone: {}", shown(told.message)),
            .reason = "model_cannot_see"};
    }
    const Code code = code_of_status(told, message);
    Error error{.code = code, .message = message_of(told, code)};
    if (code == Code::InvalidArgument) error.param = shown(told.param);
    return error;
}

Error remote_error(int status, const http::Headers& headers, std::string_view body) {
    Error error = judge(read_told(status, body));
    const bool may_retry = error.code == Code::RateLimited || error.code == Code::Overloaded ||
                           error.code == Code::Unavailable || status >= 500;
    if (may_retry) error.retry_after = retry_after_of(headers);
    return error;
}

}  // namespace hearth::remote
