#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/config.h"

namespace hearth::server {

// Walks the keys of a configuration: one walk reads values, another writes the reference, so the
// two cannot differ.
class ConfigVisitor {
  public:
    using Choices = std::vector<std::string_view>;

    virtual ~ConfigVisitor() = default;
    virtual void section(std::string_view name, const std::function<void()>& keys) = 0;
    // `choices` empty: any text.
    virtual void text(std::string_view key, std::string_view about, std::string& value,
                      const Choices& choices) = 0;
    virtual void list(std::string_view key, std::string_view about,
                      std::vector<std::string>& value) = 0;
    virtual void size(std::string_view key, std::string_view about, std::size_t& value,
                      std::size_t least, std::size_t most) = 0;
    // Written as a number with ms, s, m or h.
    virtual void time(std::string_view key, std::string_view about,
                      std::chrono::milliseconds& value) = 0;
    virtual void flag(std::string_view key, std::string_view about, bool& value) = 0;
    // A section of sections: `keys` visits the keys of each entry, whose name it is given. Names
    // are letters, digits, "-" and "_". The environment adds entries too, with names in lower case:
    // HEARTH_SECTION__NAME__KEY.
    virtual void entries(std::string_view section, std::string_view about,
                         const std::function<void(const std::string& name)>& keys) = 0;
    // A section whose keys are the user's own; each has a value or a list of them, of which `check`
    // says what is wrong (empty: nothing; null: nothing can be). Not in the environment.
    using Values = std::vector<std::string>;
    using Check = std::function<std::string(const Values&)>;
    virtual void map(std::string_view section, std::string_view about,
                     std::map<std::string, Values>& values, const Check& check) = 0;
    // Of the section that is visited: what `key` has, or lacks, cannot be. Said with the place
    // where it stands.
    virtual void refuse_value(std::string_view key, std::string_view why) = 0;
};

using ConfigWalk = std::function<void(ConfigVisitor&)>;

// Fills what `walk` visits from YAML and the environment. Errors: see parse_config.
Result<void> read_config(std::string_view name, std::string_view text,
                         const Environment& environment, const ConfigWalk& walk);

// Markdown of every key `walk` visits, with its default.
std::string describe_config(const ConfigWalk& walk);

}  // namespace hearth::server
