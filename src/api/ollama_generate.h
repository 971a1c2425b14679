#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/answer_writer.h"
#include "api/reply.h"
#include "base/error.h"
#include "inference/generate.h"
#include "models/model.h"

// The generating half of the Ollama dialect: /api/generate and /api/chat. Pure functions.
// Source: ollama/ollama server/routes.go and api/types.go, August 2026.
namespace hearth::api::ollama {

struct TextCall {
    inference::GenerateRequest request;
    bool chat = false;  // of /api/chat
    bool stream = true;
    bool load_only = false;  // nothing to say: load the model, or (keep_alive 0) unload it
    bool truncate = true;    // messages that do not fit are left out, the oldest first
    bool wants_tools = false;
    bool wants_images = false;
    bool wants_thinking = false;
    bool hides_thinking = false;
    std::size_t top_logprobs = 0;  // alternatives to tell of each token
};

// Bodies of POST /api/generate and POST /api/chat. Errors: InvalidArgument with `param`.
Result<TextCall> parse_generate(std::string_view body);
Result<TextCall> parse_chat(std::string_view body);

// What the caller did not set is taken from the model's own manifest, then from this dialect's
// defaults.
void apply_dialect_defaults(inference::GenerateRequest& request);

// Refuses what the model cannot do: tools, images, thinking, a suffix. InvalidArgument.
Result<void> check_capabilities(const TextCall& call, const models::Model& model);

// Nanoseconds since 1970.
using Now = std::int64_t (*)();
std::int64_t system_now();

// `model`: as the caller wrote it.
std::unique_ptr<AnswerWriter> make_writer(const TextCall& call, std::string model,
                                          Now now = system_now);
// The answer to a call that only loads or unloads.
Reply encode_loaded(const TextCall& call, std::string_view model, std::chrono::nanoseconds load,
                    Now now = system_now);

}  // namespace hearth::api::ollama
