#pragma once

#include <array>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"

namespace hearth::http {

// The Date field's value, made at most once a second. Shard-local.
class DateClock {
  public:
    std::string_view now();  // valid until the next call

  private:
    std::time_t second_ = -1;
    std::array<char, 32> text_{};
};

// How the body of a reply is delimited.
enum class Delimiter : std::uint8_t { Length, Chunked, Close, None };

struct ReplyHead {
    const Response& response;
    Delimiter delimiter = Delimiter::Length;
    std::size_t length = 0;
    std::string_view connection = {};  // value of the Connection field, or empty for none
};

// Appends status line and fields with the empty line at the end.
void append_head(std::string& out, const ReplyHead& head, std::string_view date);

// {"error":{"message":...,"type":...,"param":null,"code":null}}
std::string error_body(std::string_view message, std::string_view type);

}  // namespace hearth::http
