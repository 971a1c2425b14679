#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/answer_writer.h"
#include "api/openai_generate.h"
#include "base/error.h"

// OpenAI's POST /v1/responses without its memory: every call brings the whole conversation. Pure
// functions. Source: openai/openai-openapi, August 2026; llama.cpp tools/server, v0.5.0.
namespace hearth::api::responses {

struct Call {
    openai::GenerateCall chat;  // the same call in the words of /v1/chat/completions
    // What an answer repeats of its request: instructions, tools, metadata...
    boost::json::object asked;
    bool truncate = false;  // what does not fit is left out, the oldest first
};

// Body of POST /v1/responses, and of /v1/responses/input_tokens. At most 10,000 items. Members
// unknown here travel on to the engine. What would need something kept from an earlier call, and
// tools that run inside a server, are Unsupported. Errors: InvalidArgument, Unsupported, with
// `param`.
Result<Call> parse(std::string_view body);

// What an answer bears.
struct Stamp {
    std::string id;  // unique; the response's and its items' are made of it
    std::int64_t created_unix = 0;
};

// `model`: the name to answer with.
std::unique_ptr<AnswerWriter> make_writer(const Call& call, std::string model, Stamp stamp);

}  // namespace hearth::api::responses
