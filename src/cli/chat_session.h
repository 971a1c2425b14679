#pragma once

#include "cli/chat.h"
#include "cli/line_editor.h"

namespace hearth::cli {

struct SessionOptions {
    bool verbose = false;           // counts and rates after each answer
    std::filesystem::path history;  // empty: none is kept
};

// A chat on the terminal, until /bye, Ctrl-D, or Ctrl-C twice in a row. Errors: those before the
// first prompt; later ones are printed and the chat goes on.
Result<void> chat_on_terminal(Connection& connection, Conversation conversation,
                              const SessionOptions& options);

}  // namespace hearth::cli
