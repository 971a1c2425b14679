#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/answer_writer.h"
#include "base/error.h"
#include "inference/generate.h"
#include "models/model.h"

// The generating half of the Anthropic dialect: POST /v1/messages and what counts its tokens. Pure
// functions. Source: anthropics/anthropic-sdk-python 2.12.0, November 2026.
namespace hearth::api::anthropic {

struct MessagesCall {
    inference::GenerateRequest request;
    bool stream = false;
    bool wants_images = false;
    bool hides_thinking = false;     // told that there was some, not what
    bool has_own_thinking = false;   // as of Conversation: not for Anthropic's servers as it is
    std::vector<std::string> stops;  // the caller's own stop sequences
};

// Body of POST /v1/messages. Images and documents must be in it: nothing is fetched on a caller's
// word. Members unknown here are passed over, as are "cache_control" and "metadata". Errors:
// InvalidArgument with `param`. What only Anthropic's own servers do is untranslatable.
Result<MessagesCall> parse_messages(std::string_view body);
// Body of POST /v1/messages/count_tokens: the same without what concerns the answer;
// what is untranslatable is Unsupported.
Result<MessagesCall> parse_count_tokens(std::string_view body);

// Refuses images for a model that cannot see. InvalidArgument.
Result<void> check_capabilities(const MessagesCall& call, const models::Model& model);

// What an answer bears, each unique.
struct Stamp {
    std::string message_id;  // "msg_..."
    std::string request_id;  // "req_...", of errors
};

// `model`: the name to answer with.
std::unique_ptr<AnswerWriter> make_writer(const MessagesCall& call, std::string model, Stamp stamp);

}  // namespace hearth::api::anthropic
