#include "cli/chat_input.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::cli {
namespace {

constexpr std::string_view kMark = "\"\"\"";

// Takes the first word off the front of `text`, which is left trimmed.
std::string_view take_word(std::string_view& text) {
    text = trimmed(text);
    const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
    const std::string_view word = text.substr(0, end);
    text = trimmed(text.substr(end));
    return word;
}

std::unexpected<Error> usage(std::string_view how) {
    return fail(Code::InvalidArgument, format("usage: {}", how));
}

Result<SlashCommand> parse_think(std::string_view level) {
    constexpr std::array<std::string_view, 5> kLevels = {"", "low", "medium", "high", "max"};
    if (std::ranges::find(kLevels, level) == kLevels.end()) {
        return usage("/set think [low|medium|high|max]");
    }
    return SlashCommand{Verb::SetThink, {}, level.empty() ? "true" : std::string(level)};
}

Result<SlashCommand> parse_set(std::string_view rest) {
    const std::string_view what = take_word(rest);
    if (what == "think") return parse_think(rest);
    if (what == "nothink" && rest.empty()) return SlashCommand{Verb::SetThink, {}, "false"};
    if (what == "system") return SlashCommand{Verb::SetSystem, {}, std::string(rest)};
    if (what == "parameter") {
        const std::string_view name = take_word(rest);
        if (name.empty() || rest.empty()) return usage("/set parameter NAME VALUE");
        return SlashCommand{Verb::SetParameter, std::string(name), std::string(rest)};
    }
    return usage("/set system TEXT, /set parameter NAME VALUE, /set think or /set nothink");
}

struct Row {
    std::string_view word;
    Verb verb;
    std::string_view argument;  // empty: takes none
};

constexpr std::array kRows = {
    Row{"/help", Verb::Help, ""},       Row{"/?", Verb::Help, ""},
    Row{"/show", Verb::Show, ""},       Row{"/clear", Verb::Clear, ""},
    Row{"/load", Verb::Load, "MODEL"},  Row{"/save", Verb::Save, "FILE"},
    Row{"/image", Verb::Image, "PATH"}, Row{"/bye", Verb::Bye, ""},
    Row{"/exit", Verb::Bye, ""},
};

}  // namespace

Result<std::optional<SlashCommand>> parse_slash(std::string_view text) {
    text = trimmed(text);
    if (!text.starts_with('/')) return std::optional<SlashCommand>();
    std::string_view rest = text;
    const std::string_view word = take_word(rest);
    if (word == "/set") {
        TRY(SlashCommand set, parse_set(rest));
        return std::optional(std::move(set));
    }
    const auto row = std::ranges::find(kRows, word, &Row::word);
    if (row == kRows.end()) {
        const bool is_path = word.find_first_of("/.\\", 1) != std::string_view::npos;
        if (is_path) return std::optional<SlashCommand>();
        return fail(Code::InvalidArgument,
                    format("there is no command {}; /help lists them", word));
    }
    if (row->argument.empty() != rest.empty()) {
        return usage(format("{}{}{}", word, row->argument.empty() ? "" : " ", row->argument));
    }
    return std::optional(SlashCommand{row->verb, {}, std::string(rest)});
}

std::string_view slash_help() {
    return "/set system TEXT           what the model is told first; without TEXT: nothing\n"
           "/set parameter NAME VALUE  temperature, num_predict, stop, seed, ...\n"
           "/set think, /set nothink   whether the model reasons before it answers\n"
           "/show                      the model and what is set\n"
           "/clear                     forget the conversation\n"
           "/load MODEL                go on with another model, from the beginning\n"
           "/save FILE                 write the conversation as JSON\n"
           "/image PATH                send an image with the next message\n"
           "/bye                       end; so does Ctrl-D\n"
           "\"\"\" begins and ends a message of several lines. A path to a PNG, JPEG or WebP file "
           "in a\nmessage sends the image. Ctrl-C stops an answer.\n";
}

Result<std::optional<Entry>> LineCollector::feed(std::string_view line) {
    if (open_) return take(line);
    const std::size_t mark = line.find(kMark);
    const std::string_view before = trimmed(line.substr(0, mark));
    if (mark == std::string_view::npos || (!before.empty() && before != "/set system")) {
        return std::optional(Entry{std::string(line), false});
    }
    open_ = true;
    before_ = before;
    const std::string_view rest = line.substr(mark + kMark.size());
    if (trimmed(rest).empty()) return std::optional<Entry>();
    return take(rest);
}

Result<std::optional<Entry>> LineCollector::take(std::string_view text) {
    if (text_.size() + text.size() > kBytesMax) {
        reset();
        return fail(Code::TooLarge, format("a message has at most {} bytes", kBytesMax));
    }
    const std::string_view end = text.substr(0, text.find_last_not_of(kBlanks) + 1);
    if (!end.ends_with(kMark)) {
        text_.append(text).append("\n");
        return std::optional<Entry>();
    }
    text_.append(end.substr(0, end.size() - kMark.size()));
    if (text_.ends_with('\n')) text_.pop_back();
    std::string whole = before_.empty() ? std::move(text_) : before_ + " " + text_;
    const bool quoted = before_.empty();
    reset();
    return std::optional(Entry{std::move(whole), quoted});
}

void LineCollector::reset() {
    open_ = false;
    before_.clear();
    text_.clear();
}

}  // namespace hearth::cli
