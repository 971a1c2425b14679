#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "faulty_upstream.h"

namespace hearth::system_test {

enum class Words : std::uint8_t { Openai, Responses, Anthropic, Ollama };

// One way to ask the gateway, and how its dialect looks from outside. Written from the documents of
// each dialect and not from the gateway's own code.
struct CallerView {
    const char* name;
    const char* path;
    Words words;
    bool chat;
    bool embeds;                       // or ranks: no text is made
    const char* body;                  // after the model and "stream"
    const char* content_type;          // of a stream
    std::vector<const char*> endings;  // what only an answer that has come whole has
};
const std::vector<CallerView>& caller_views();

// The caller's bytes for each event of a stream in the server's own order: joined, the stream that
// the caller sees. Values that differ from call to call are as settled() leaves them.
std::vector<std::string> caller_pieces(const UpstreamWire& wire, const CallerView& caller,
                                       std::string_view model);
// The answer to a call of a chat without a stream, translated.
std::string caller_whole(const CallerView& caller, std::string_view model);
// Ids and times replaced: {"id":"chatcmpl-8f3a", "created":1700000000} has "id":"ID" and
// "created":0.
std::string settled(std::string_view bytes);

// An error as the answer's body, and as the last event of a stream.
std::string error_body(const CallerView& caller, const Error& error);
std::string error_event(const CallerView& caller, const Error& error);
int error_status(const CallerView& caller, const Error& error);

}  // namespace hearth::system_test
