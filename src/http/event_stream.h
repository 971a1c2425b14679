#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

// Event streams (HTML standard, section 9.2 "Server-sent events") and NDJSON.
namespace hearth::http {

// Where the first line of `text` ends, by "\n", "\r\n" or "\r"; its size where it does not.
std::size_t find_line_end(std::string_view text);

// Appends one event: "event: NAME" when `name` is not empty, then a "data: " line per line of
// `data`.
void append_event(std::string& out, std::string_view data, std::string_view name = {});

// Appends one line of NDJSON; `json` must contain no line break.
void append_json_line(std::string& out, std::string_view json);

// The data of one whole event that has, beside its name, one line of data and "\n" for its ends: as
// nearly all do. Nothing: it takes a parser to say.
std::optional<std::string_view> only_data(std::string_view event);

struct Event {
    std::string name;  // "event:" field; empty means "message"
    std::string data;  // its lines joined by '\n'
    std::string id;
};

// Reads an event stream that arrives in pieces cut anywhere, with any of its three line ends. An
// event the stream ends before is dropped, as the standard says. Error: BadUpstream (reason
// "event_too_large") when one event passes `event_bytes_max`.
class EventStreamParser {
  public:
    using OnEvent = std::function<Result<void>(const Event&)>;

    explicit EventStreamParser(std::size_t event_bytes_max = 16 << 20)
        : event_bytes_max_(event_bytes_max) {}

    // Calls `on_event` for each event that is complete; an error of it is returned, and ends the
    // parsing.
    Result<void> feed(std::string_view bytes, const OnEvent& on_event);

  private:
    Result<void> line(std::string_view text, const OnEvent& on_event);

    std::size_t event_bytes_max_;
    std::string partial_;  // a line that has not ended
    Event event_;
    bool has_data_ = false;
    bool at_start_ = true;
    bool skip_lf_ = false;
};

// Cuts a stream into lines, also when they arrive in pieces; empty lines are left out, and so is
// the carriage return before a line feed. Error: BadUpstream (reason "event_too_large") when a line
// passes `line_bytes_max`.
class LineParser {
  public:
    using OnLine = std::function<Result<void>(std::string_view)>;

    explicit LineParser(std::size_t line_bytes_max = 16 << 20) : line_bytes_max_(line_bytes_max) {}

    Result<void> feed(std::string_view bytes, const OnLine& on_line);
    // The stream has ended: what is left is the last line.
    Result<void> finish(const OnLine& on_line);

  private:
    std::size_t line_bytes_max_;
    std::string partial_;
};

}  // namespace hearth::http
