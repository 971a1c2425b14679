#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer_writer.h"
#include "base/error.h"
#include "inference/generate.h"

// The generating half of the OpenAI dialect, and llama-server's own routes, which share its forms.
// Pure functions. Source: openai/openai-openapi, August 2026; llama.cpp tools/server, v0.5.0.
namespace hearth::api::openai {

// The shape of the answer. It differs from the request's operation in one case: a completion with a
// suffix is an infill to the engine.
enum class Form : std::uint8_t { Chat, Completion, Native };

struct GenerateCall {
    inference::GenerateRequest request;
    Form form = Form::Chat;
    bool stream = false;
    bool include_usage = false;  // of a stream
    // Of a stream that is not to tell tokens: its stream_options (JSON), but for that.
    std::string usage_wish = {};
    bool functions = false;   // asked with "functions": answered with "function_call"
    bool silent = false;      // no tokens are wanted, though an engine makes one
    std::size_t choices = 1;  // of each prompt
    // Alternatives to tell of each token; absent: all that the engine tells.
    std::optional<std::size_t> top_logprobs;
    std::vector<std::string> echo;  // of each prompt: its text, to stand before the answer
    // Of Form::Native: the only members the caller wants of the last event; empty: all.
    std::vector<std::string> fields;
};

// Body of POST /v1/chat/completions. Images and sounds must be in it: nothing is fetched on a
// caller's word. Unknown members travel on, null is absent. Errors: InvalidArgument with `param`.
// What only servers of this dialect can be sent is untranslatable: take_messages().
Result<GenerateCall> parse_chat(std::string_view body);
// The same, of a body that was read.
Result<GenerateCall> take_chat(boost::json::object body);
// Body of POST /v1/completions, at most 2,048 prompts; with a suffix it becomes a call of
// Operation::Infill.
Result<GenerateCall> parse_completion(std::string_view body);
// Bodies of POST /completion and POST /infill; the model may be left out where only one is served.
Result<GenerateCall> parse_native(std::string_view body);
Result<GenerateCall> parse_infill(std::string_view body);

// Bodies of POST /tokenize, /detokenize and /apply-template.
Result<inference::InquiryRequest> parse_inquiry(inference::Inquiry inquiry, std::string_view body);

// What an answer bears where the engine gives it none.
struct Stamp {
    std::string id;  // unique: "cmpl-..."
    std::int64_t created_unix = 0;
};

// `model`: the name to answer with.
std::unique_ptr<AnswerWriter> make_writer(const GenerateCall& call, std::string model, Stamp stamp);

}  // namespace hearth::api::openai
