#include "backends/remote/wire_json.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <ctime>
#include <utility>

#include "base/format.h"
#include "inference/json.h"

namespace hearth::remote {
namespace {

namespace json = boost::json;

void append_double(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out += "null";
        return;
    }
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number);
    out.append(buffer, end.ptr);
}

// RFC 3339, section 5.6: "2026-11-21T03:25:00.123+02:00".
std::optional<std::int64_t> parse_moment(std::string_view text) {
    constexpr const char* kForm = "%Y-%m-%dT%H:%M:%S";
    constexpr std::size_t kSize = 19;
    std::string moment(text.substr(0, kSize));
    if (moment.size() < kSize || !std::string_view("Tt ").contains(moment[10])) return std::nullopt;
    moment[10] = 'T';
    std::tm time{};
    if (::strptime(moment.c_str(), kForm, &time) == nullptr) return std::nullopt;
    const std::int64_t here = ::timegm(&time);
    // What is no day of the calendar, or is written shorter, reads otherwise when it is written.
    char again[kSize + 1];
    if (std::strftime(again, sizeof again, kForm, &time) == 0 || moment != again) {
        return std::nullopt;
    }
    text.remove_prefix(kSize);
    if (text.starts_with('.')) {
        text.remove_prefix(std::min(text.find_first_not_of("0123456789", 1), text.size()));
    }
    if (text == "Z" || text == "z") return here;
    std::tm zone{};
    const std::string offset(text);
    if (offset.size() != 6 || offset[3] != ':') return std::nullopt;
    const char* const end = ::strptime(offset.c_str(), "%z", &zone);
    if (end == nullptr || *end != '\0') return std::nullopt;
    return here - zone.tm_gmtoff;
}

// Recursive: as deep as the value, which was parsed and so is at most 64 levels deep.
void append_value(std::string& out, const json::value& value) {
    char mark = 0;
    if (const json::object* object = value.if_object()) {
        for (const auto& [name, member] : *object) {
            out += std::exchange(mark, ',') == 0 ? '{' : ',';
            out += json::serialize(json::string(name));
            out += ':';
            append_value(out, member);
        }
        out += mark == 0 ? "{}" : "}";
    } else if (const json::array* list = value.if_array()) {
        for (const json::value& item : *list) {
            out += std::exchange(mark, ',') == 0 ? '[' : ',';
            append_value(out, item);
        }
        out += mark == 0 ? "[]" : "]";
    } else if (value.is_double()) {
        append_double(out, value.get_double());
    } else {
        out += json::serialize(value);
    }
}

}  // namespace

bool is_object_with(std::string_view text, std::span<const std::string_view> names,
                    bool (*judge)(const json::object&)) {
    std::array<unsigned char, 2 << 10> memory;
    json::monotonic_resource resource(memory.data(), memory.size());
    boost::system::error_code failed;
    const json::value parsed = inference::parse_members(text, names, failed, &resource);
    return !failed && parsed.is_object() && judge(parsed.get_object());
}

std::optional<std::int64_t> moment_at(const json::object& from, std::string_view name) {
    constexpr std::int64_t kMost = 7'258'118'400;  // of 2200
    const auto count = count_at(from, name);
    const auto told = count ? std::optional(static_cast<std::int64_t>(*count))
                            : parse_moment(text_at(from, name));
    return told && *told > 0 && *told < kMost ? told : std::nullopt;
}

Result<json::object> read_answer(std::string_view text) {
    boost::system::error_code failed;
    json::value parsed = inference::parse_json(text, failed);
    if (failed || !parsed.is_object()) {
        return fail(Code::BadUpstream, "the upstream's answer is no JSON object");
    }
    return std::move(parsed.get_object());
}

std::unexpected<Error> wrong_form(std::string_view what) {
    return fail(Code::BadUpstream, format("the upstream's answer has another form: {}", what));
}

std::unexpected<Error> stream_cut() {
    return fail({.code = Code::BadUpstream,
                 .message = "the upstream's stream ended before the answer did",
                 .reason = "stream_cut"});
}

std::string write_json(const json::value& value) {
    std::string out;
    append_value(out, value);
    return out;
}

http::Call post_json(std::string_view target, const json::object& body) {
    return {.method = http::Method::Post,
            .target = std::string(target),
            .headers = {{"content-type", "application/json"}},
            .body = write_json(body)};
}

http::Call read_call(std::string_view target) {
    return {.method = http::Method::Get, .target = std::string(target), .headers = {}, .body = {}};
}

std::string encode_segment(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80 && (std::isalnum(byte) != 0 || std::string_view("-._~").contains(c))) {
            out += c;
        } else {
            out += format("%{:02X}", byte);
        }
    }
    return out;
}

}  // namespace hearth::remote
