#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace hearth::cli {

// `text` without what a terminal would obey: control characters but newline and tab go, those of
// Unicode (U+0080 to U+009F) included. `text` is whole UTF-8; ill-formed bytes become U+FFFD.
std::string printable(std::string_view text);

// The same on one line: newlines and tabs become blanks.
std::string printable_line(std::string_view text);

// Writes an answer as it comes. For a terminal the reasoning is dimmed and control characters are
// left out; anywhere else the answer's own bytes are written and the reasoning is not.
class AnswerPrinter {
  public:
    using Write = std::function<void(std::string_view)>;

    AnswerPrinter(Write write, bool terminal) : write_(std::move(write)), terminal_(terminal) {}

    void waiting();  // shows on a terminal that the answer is awaited
    void thinking(std::string_view text);
    void text(std::string_view text);
    // Ends the line, also after an error or an interruption; the printer is as new.
    void finish();

  private:
    void clear_waiting();
    void end_thinking();

    Write write_;
    bool terminal_;
    bool waiting_ = false;
    bool thinking_ = false;
    bool line_open_ = false;
};

// To standard output, flushed piece by piece.
AnswerPrinter standard_printer();

}  // namespace hearth::cli
