#include "api/json_text.h"

#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <cmath>
#include <utility>

#include "api/float_text.h"
#include "base/encoding.h"
#include "base/error.h"
#include "base/format.h"

namespace hearth::api {
namespace {

constexpr char kHex[] = "0123456789abcdef";
// "-2.2250738585072014e-308".
constexpr std::size_t kDoubleBytesMax = 25;

bool needs_escape(char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }

void append_escape(std::string& out, char c) {
    out += '\\';
    switch (c) {
        case '"':
        case '\\': out += c; return;
        case '\n': out += 'n'; return;
        case '\r': out += 'r'; return;
        case '\t': out += 't'; return;
        default:
            out += "u00";
            out += kHex[static_cast<unsigned char>(c) >> 4];
            out += kHex[static_cast<unsigned char>(c) & 15];
    }
}

void append_escaped(std::string& out, std::string_view text) {
    out += '"';
    std::size_t begin = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!needs_escape(text[i])) continue;
        out.append(text, begin, i - begin);
        append_escape(out, text[i]);
        begin = i + 1;
    }
    out.append(text, begin);
    out += '"';
}

template <class T>
void append_chars(std::string& out, T value) {
    char buffer[kDoubleBytesMax];
    const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
    CHECK(end.ec == std::errc{});
    out.append(buffer, end.ptr);
}

}  // namespace

void append_text(std::string& out, std::string_view text) {
    if (is_utf8(text)) {
        append_escaped(out, text);
    } else {
        append_escaped(out, repair_utf8(text));
    }
}

void append_text_or_null(std::string& out, std::string_view text) {
    if (text.empty()) {
        out += "null";
    } else {
        append_text(out, text);
    }
}

void append_number(std::string& out, float value) {
    char buffer[kFloatBytesMax];
    out.append(buffer, write_float(buffer, value));
}

void append_number(std::string& out, double value) {
    if (std::isfinite(value)) {
        append_chars(out, value);
    } else {
        out += "null";
    }
}

void append_integer(std::string& out, std::int64_t value) { append_chars(out, value); }
void append_integer(std::string& out, std::uint64_t value) { append_chars(out, value); }

void append_json(std::string& out, const boost::json::object& object) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : object) {
        if (!std::exchange(first, false)) out += ',';
        append_text(out, key);
        out += ':';
        append_json(out, value);
    }
    out += '}';
}

void append_json(std::string& out, const boost::json::array& array) {
    out += '[';
    bool first = true;
    for (const auto& item : array) {
        if (!std::exchange(first, false)) out += ',';
        append_json(out, item);
    }
    out += ']';
}

void append_json(std::string& out, const boost::json::value& value) {
    using boost::json::kind;
    switch (value.kind()) {
        case kind::null: out += "null"; return;
        case kind::bool_: out += value.get_bool() ? "true" : "false"; return;
        case kind::int64: append_integer(out, value.get_int64()); return;
        case kind::uint64: append_integer(out, value.get_uint64()); return;
        case kind::double_: append_number(out, value.get_double()); return;
        case kind::string: append_text(out, value.get_string()); return;
        case kind::object: append_json(out, value.get_object()); return;
        case kind::array: append_json(out, value.get_array()); return;
    }
}

void append_vector(std::string& out, std::span<const float> values) {
    const std::size_t before = out.size();
    const std::size_t most = before + values.size() * kFloatBytesMax + 2;
    out.resize_and_overwrite(most, [&](char* data, std::size_t) {
        char* at = data + before;
        *at++ = '[';
        for (const float value : values) {
            at = write_float(at, value);
            *at++ = ',';
        }
        if (!values.empty()) --at;
        *at++ = ']';
        return static_cast<std::size_t>(at - data);
    });
}

void append_time(std::string& out, std::int64_t unix_ns) {
    using namespace std::chrono;
    const sys_time<nanoseconds> time{nanoseconds(unix_ns)};
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(time - day);
    out += format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                  clock.subseconds().count());
}

}  // namespace hearth::api
