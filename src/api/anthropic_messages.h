#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace hearth::api::anthropic {

// A block of thinking has a signature, by which Anthropic knows it again. Ours, where the model's
// server has none, signs nothing; but clients drop a block whose signature is empty.
inline constexpr std::string_view kOwnSignature = "hearth";

struct Conversation {
    boost::json::array messages;  // in the words of inference/generate.h
    bool has_images = false;
    bool has_own_thinking = false;  // with our signature, which Anthropic's servers refuse
    // Of the first block that has no such words, which is left out: Unsupported.
    std::optional<Error> untranslatable = {};
};

// "system" and "messages" of a body, at most 100,000. Messages of one role that follow each other
// become one; results of tools become messages of their own, before what the user says beside them;
// blocks of thinking become "reasoning_content", one that is signed by another than us with its
// "reasoning_signature", what is redacted in them is left out. What only
// Anthropic's servers can read is untranslatable: blocks of tools that run inside them, PDF files,
// images and documents by their address. Errors: InvalidArgument with `param`.
Result<Conversation> translate_conversation(const boost::json::object& body);

}  // namespace hearth::api::anthropic
