#pragma once

#include <string_view>
#include <utility>

#include "base/format.h"

// Log lines: a constant message, then key=value pairs. Thread-safe. To stderr, one line each.
// error = someone must act, warn = degraded, info = life cycle, debug = off by default.
namespace hearth::log {

enum class Level { Debug, Info, Warn, Error, Off };

// Sets the level; call once, before other threads log. `name` stands in every line.
void configure(std::string_view name, Level level);
bool enabled(Level level);
void write(Level level, std::string_view line);

template <class... Args>
void debug(fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::Debug)) write(Level::Debug, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::Info)) write(Level::Info, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::Warn)) write(Level::Warn, fmt::format(text, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> text, Args&&... args) {
    if (enabled(Level::Error)) write(Level::Error, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace hearth::log
