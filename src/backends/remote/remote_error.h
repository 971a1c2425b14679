#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/message.h"

// What the errors of upstreams mean to our callers, whatever the kind: their words differ, and many
// servers borrow each other's.
namespace hearth::remote {

// An error as an upstream tells it.
struct Told {
    int status = 0;  // 0: inside a stream
    std::string type;
    std::string code;
    std::string param;
    std::string message;
    // Of an overflow, where told beside the message.
    std::optional<std::uint64_t> prompt_tokens = {};
    std::optional<std::uint64_t> context = {};
};

// The bodies {"error": {...}}, {"error": "text"}, {"detail": ...}, {"message": ...}, or any text.
Told read_told(int status, std::string_view body);
// Whether `event` of a stream is an error, and which.
std::optional<Told> told_in_stream(const boost::json::object& event);
// A whole answer under the status of success; the error, where it tells one all the same.
Result<boost::json::object> read_sound_answer(std::string_view body);

// The codes and reasons that Wire::error_of promises.
Error judge(const Told& told);
Error remote_error(int status, const http::Headers& headers, std::string_view body);

// Retry-After (RFC 9110, section 10.2.3) or retry-after-ms: 0 to 24 hours, longer ones cut. A date
// counts from the reply's own Date, and from our clock where it has none.
std::optional<std::chrono::milliseconds> retry_after_of(const http::Headers& headers);
// Seconds since 1970 of an IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT").
std::optional<std::int64_t> parse_http_date(std::string_view text);

// What of an upstream's message is shown: one line of at most 500 bytes, with whatever looks like a
// key replaced by "[secret]".
std::string shown(std::string_view message);

}  // namespace hearth::remote
