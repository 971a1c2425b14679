#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/answer_writer.h"
#include "base/error.h"
#include "inference/generate.h"

// Mistral's POST /v1/fim/completions: a prompt, a suffix, and what stands between, answered in the
// form of a chat. Pure functions. Source: docs.mistral.ai/api, FIM, August 2026.
namespace hearth::api::fim {

struct Call {
    inference::GenerateRequest request;  // of Operation::Infill
    bool stream = false;
};

// Members unknown here travel on to the engine. Errors: InvalidArgument, Unsupported, with `param`.
Result<Call> parse(std::string_view body);

struct Stamp {
    std::string id;  // unique
    std::int64_t created_unix = 0;
};

// `model`: the name to answer with. Usage stands in the last event of a stream.
std::unique_ptr<AnswerWriter> make_writer(const Call& call, std::string model, Stamp stamp);

}  // namespace hearth::api::fim
