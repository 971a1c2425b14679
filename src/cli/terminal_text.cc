#include "cli/terminal_text.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/encoding.h"

namespace hearth::cli {
namespace {

constexpr std::string_view kDim = "\033[2m";
constexpr std::string_view kPlain = "\033[0m";
constexpr std::string_view kWaiting = "...";
constexpr std::string_view kClearLine = "\r\033[K";

bool is_control(unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F; }

}  // namespace

std::string printable(std::string_view text) {
    const std::string sound = repair_utf8(text);
    std::string out;
    out.reserve(sound.size());
    for (std::size_t i = 0; i < sound.size(); ++i) {
        const auto c = static_cast<unsigned char>(sound[i]);
        // U+0080 to U+009F, among them the one-character form of ESC [.
        if (c == 0xC2 && static_cast<unsigned char>(sound[i + 1]) < 0xA0) {
            ++i;
        } else if (!is_control(c)) {
            out += sound[i];
        }
    }
    return out;
}

std::string printable_line(std::string_view text) {
    std::string line = printable(text);
    std::ranges::replace_if(line, [](char c) { return c == '\n' || c == '\t'; }, ' ');
    return line;
}

void AnswerPrinter::waiting() {
    if (!terminal_ || waiting_) return;
    write_(kDim);
    write_(kWaiting);
    write_(kPlain);
    waiting_ = true;
}

void AnswerPrinter::clear_waiting() {
    if (!waiting_) return;
    write_(kClearLine);
    waiting_ = false;
}

void AnswerPrinter::thinking(std::string_view text) {
    if (!terminal_ || text.empty()) return;
    clear_waiting();
    if (!thinking_) write_(kDim);
    thinking_ = true;
    const std::string shown = printable(text);
    write_(shown);
    if (!shown.empty()) line_open_ = !shown.ends_with('\n');
}

void AnswerPrinter::end_thinking() {
    if (!thinking_) return;
    write_(kPlain);
    if (line_open_) write_("\n");
    write_("\n");
    thinking_ = false;
    line_open_ = false;
}

void AnswerPrinter::text(std::string_view text) {
    if (text.empty()) return;
    clear_waiting();
    end_thinking();
    const std::string shown = terminal_ ? printable(text) : std::string(text);
    write_(shown);
    if (!shown.empty()) line_open_ = !shown.ends_with('\n');
}

void AnswerPrinter::finish() {
    clear_waiting();
    end_thinking();
    if (line_open_) write_("\n");
    line_open_ = false;
}

AnswerPrinter standard_printer() {
    return {[](std::string_view text) {
                std::fwrite(text.data(), 1, text.size(), stdout);
                std::fflush(stdout);
            },
            isatty(STDOUT_FILENO) == 1};
}

}  // namespace hearth::cli
