#include "telemetry/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <string>

namespace hearth::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::Debug: return spdlog::level::debug;
        case Level::Info: return spdlog::level::info;
        case Level::Warn: return spdlog::level::warn;
        case Level::Error: return spdlog::level::err;
        case Level::Off: return spdlog::level::off;
    }
    return spdlog::level::info;
}

spdlog::logger& logger() {
    static spdlog::logger instance("hearth", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    return instance;
}

}  // namespace

void configure(std::string_view name, Level level) {
    logger().set_pattern("%Y-%m-%dT%H:%M:%S.%f%z %l " + std::string(name) + " %v");
    logger().set_level(to_spdlog(level));
}

bool enabled(Level level) { return logger().should_log(to_spdlog(level)); }

void write(Level level, std::string_view line) { logger().log(to_spdlog(level), line); }

}  // namespace hearth::log
