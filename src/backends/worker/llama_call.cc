#include "backends/worker/llama_call.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "base/format.h"
#include "inference/json.h"
#include "inference/json_members.h"

namespace hearth::worker {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Inquiry;
using inference::Operation;
using inference::text_at;

// Seconds between signs of life while a prompt is read or a place is awaited.
constexpr int kPingSeconds = 5;

struct ErrorKind {
    std::string_view type;
    Code code;
};
constexpr std::array<ErrorKind, 8> kErrorKinds = {
    {{"invalid_request_error", Code::InvalidArgument},
     {"exceed_context_size_error", Code::InvalidArgument},
     {"not_found_error", Code::NotFound},
     {"not_supported_error", Code::Unsupported},
     {"unavailable_error", Code::Unavailable},
     {"server_error", Code::BadUpstream},
     {"permission_error", Code::BadUpstream},
     {"authentication_error", Code::BadUpstream}}};

Code code_of(std::string_view type, int status) {
    for (const ErrorKind& kind : kErrorKinds) {
        if (kind.type == type) return kind.code;
    }
    return status >= 400 && status < 500 ? Code::InvalidArgument : Code::BadUpstream;
}

// What llama-server says, with status 500, of a request that it cannot read: members of the wrong
// type, calls without a name, tokens outside the vocabulary. What we add to a request is right:
// this is the caller's.
bool complains(std::string_view message) {
    constexpr std::array<std::string_view, 4> kComplaints = {
        "[json.exception.type_error.", "Failed to parse messages", "Failed to parse tool",
        "vector::_M_range_check"};
    return std::ranges::any_of(kComplaints,
                               [&](std::string_view words) { return message.contains(words); });
}

Error error_of(const json::object& error, int status) {
    const std::string_view type = text_at(error, "type");
    Error answer{.code = code_of(type, status), .message = std::string(text_at(error, "message"))};
    if (answer.message.empty()) answer.message = "the engine failed and did not say why";
    const auto prompt = inference::count_at(error, "n_prompt_tokens");
    const auto room = inference::count_at(error, "n_ctx");
    if (type == "exceed_context_size_error" && prompt && room) {
        answer.message = format(
            "the prompt has {} tokens and the model's context has room for {}; shorten it, or load "
            "the model with a larger context",
            *prompt, *room);
        answer.reason = "context_length_exceeded";
        answer.amount = *prompt;
        answer.limit = *room;
    }
    if (answer.message.contains("input is not supported") ||
        answer.message.contains("does not support multimodal")) {
        return {.code = Code::Unsupported,
                .message =
                    "this model takes texts alone: no projector for images or sound is with "
                    "it; ask one with the capability \"vision\"",
                .reason = "model_cannot_see"};
    }
    if (complains(answer.message)) {
        return {.code = Code::InvalidArgument,
                .message = format("the model's engine does not take this: {}", answer.message)};
    }
    // llama-server drops every answer in progress then, and says no more than this.
    if (answer.message.starts_with("Context size has been exceeded")) {
        return {.code = Code::Overloaded,
                .message =
                    "the answers in progress share the model's context and have filled it; "
                    "send the request again, or load the model with a larger context or "
                    "for fewer answers at a time",
                .reason = "context_full",
                .retry_after = std::chrono::seconds(1)};
    }
    return answer;
}

bool wants(const GenerateRequest& request, std::string_view key) {
    const json::value* value = request.body.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

bool is_native(Operation operation) {
    return operation == Operation::Native || operation == Operation::Infill;
}

}  // namespace

std::string_view path_of(Operation operation) {
    switch (operation) {
        case Operation::Chat: return "/v1/chat/completions";
        case Operation::Completion: return "/v1/completions";
        case Operation::Native: return "/completion";
        case Operation::Infill: return "/infill";
    }
    return "/completion";
}

std::string_view path_of(Inquiry inquiry) {
    switch (inquiry) {
        case Inquiry::Tokenize: return "/tokenize";
        case Inquiry::Detokenize: return "/detokenize";
        case Inquiry::ApplyTemplate: return "/apply-template";
        case Inquiry::CountTokens: return "/v1/chat/completions/input_tokens";
        case Inquiry::Properties:
        case Inquiry::Describe: break;  // the one is asked for models elsewhere only
    }
    return "/props";
}

std::string encode_llama_call(const GenerateRequest& request) {
    json::object body = request.body;
    body["model"] = request.model;
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
    body["return_progress"] = true;
    body["sse_ping_interval"] = kPingSeconds;
    return json::serialize(body);
}

Error decode_llama_error(int status, std::string_view body) {
    boost::system::error_code failed;
    const json::value parsed = json::parse(body, failed);
    const json::object* outer = failed ? nullptr : parsed.if_object();
    const json::value* error = outer != nullptr ? outer->if_contains("error") : nullptr;
    if (error != nullptr && error->is_object()) return error_of(error->get_object(), status);
    return {.code = Code::BadUpstream,
            .message = format("the engine answered with status {} and no reason", status)};
}

LlamaStream::LlamaStream(const GenerateRequest& request)
    : native_(is_native(request.operation)), wants_progress_(wants(request, "return_progress")) {}

Result<void> LlamaStream::feed(std::string_view bytes) {
    return parser_.feed(bytes, [this](const http::Event& event) { return take(event.data); });
}

Result<void> LlamaStream::take(std::string_view data) {
    if (data == "[DONE]") {
        complete_ = true;
        return {};
    }
    boost::system::error_code failed;
    json::value parsed = inference::parse_json(data, failed);
    json::object* event = failed ? nullptr : parsed.if_object();
    if (event == nullptr) return fail(Code::BadUpstream, "the engine's stream is no JSON");
    if (const json::value* error = event->if_contains("error");
        error != nullptr && error->is_object()) {
        return fail(error_of(error->get_object(), 500));
    }
    inference::note_usage(*event, usage_);
    if (native_ && event->contains("stop_type")) complete_ = true;
    if (event->contains("prompt_progress") && !wants_progress_) return {};
    events_.push_back(std::move(*event));
    return {};
}

}  // namespace hearth::worker
