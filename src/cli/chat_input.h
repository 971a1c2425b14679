#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

// What a person types into a chat: pure functions.
namespace hearth::cli {

enum class Verb { Help, SetSystem, SetParameter, SetThink, Show, Clear, Load, Save, Image, Bye };

struct SlashCommand {
    Verb verb = Verb::Help;
    std::string name;  // of a parameter
    std::string
        value;  // system text, parameter's value, model, file; of think: true, false, low...
};

// The command in `text`, or nullopt: a message for the model, also when it begins with a path.
// Errors: InvalidArgument.
Result<std::optional<SlashCommand>> parse_slash(std::string_view text);

// One line per command.
std::string_view slash_help();

// What a person has finished typing.
struct Entry {
    std::string text;
    bool quoted = false;  // typed between """ marks: never a command
};

// Puts lines together: what stands between two """ is one message, and so is what follows
// "/set system". Error: TooLarge over kBytesMax; the collector begins anew.
class LineCollector {
  public:
    static constexpr std::size_t kBytesMax = 8 << 20;

    // nullopt while the closing mark is missing.
    Result<std::optional<Entry>> feed(std::string_view line);
    bool open() const { return open_; }
    void reset();

  private:
    Result<std::optional<Entry>> take(std::string_view text);

    bool open_ = false;
    std::string before_;  // the command in front of the opening mark
    std::string text_;
};

}  // namespace hearth::cli
