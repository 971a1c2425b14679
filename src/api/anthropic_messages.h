#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "base/error.h"

namespace hearth::api::anthropic {

struct Conversation {
    boost::json::array messages;  // in the words of inference/generate.h
    bool has_images = false;
};

// "system" and "messages" of a body, at most 100,000. Messages of one role that follow each other
// become one; results of tools become messages of their own, before what the user says beside them;
// blocks of thinking become "reasoning_content", what is redacted in them is left out. Errors:
// InvalidArgument with `param`; Unsupported for blocks of tools that run inside Anthropic's
// servers, for PDF files, and for images and documents by their address.
Result<Conversation> translate_conversation(const boost::json::object& body);

}  // namespace hearth::api::anthropic
