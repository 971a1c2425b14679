#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/connection.h"
#include "cli/conversation.h"
#include "cli/terminal_text.h"

namespace hearth::cli {

// What /api/show says of a model.
struct ModelFacts {
    std::vector<std::string> capabilities;
    std::uint64_t context_length = 0;

    bool can(std::string_view capability) const;
};

// Errors: the server's.
Result<ModelFacts> describe_model(Connection& connection, const std::string& model);

// Brings the model into memory. Errors: the server's; Cancelled by SIGINT.
Result<void> load_model(Connection& connection, const Conversation& conversation);

struct Said {
    std::string text;
    std::string thinking;
    boost::json::object last;  // the line with done:true, empty when there was none
    bool interrupted = false;  // by SIGINT: `text` is what had come
};

// Sends the conversation and prints the answer while it comes. Errors: the server's, also after a
// part of the answer.
Result<Said> ask(Connection& connection, const Conversation& conversation, AnswerPrinter& printer);

// Counts, times and rates of an answer, as `ollama run --verbose` shows them.
std::string print_metrics(const boost::json::object& last);

// "1.5s", "230ms", "1m2.25s": a time in the way of Ollama, from nanoseconds.
std::string print_duration(std::uint64_t nanoseconds);

}  // namespace hearth::cli
