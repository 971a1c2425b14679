#include "http/reply_head.h"

#include <algorithm>
#include <charconv>

#include "http/char_class.h"

namespace hearth::http {
namespace {

void append_number(std::string& out, std::size_t number) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, number).ptr;
    out.append(text, std::size_t(end - text));
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

// The fields the server itself answers for.
bool is_reserved(std::string_view name) {
    for (const std::string_view own :
         {"content-length", "transfer-encoding", "connection", "date", "keep-alive"}) {
        if (equal_ignoring_case(name, own)) return true;
    }
    return false;
}

}  // namespace

std::string_view DateClock::now() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &time);
    if (time.tv_sec != second_) {
        second_ = time.tv_sec;
        std::tm parts{};
        ::gmtime_r(&second_, &parts);
        // strftime would follow the locale; RFC 9110 5.6.7 does not.
        static constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
        static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
        std::string_view form = "DDD, dd MMM yyyy HH:MM:SS GMT";
        form.copy(text_.data(), form.size());
        const auto two = [this](std::size_t at, int number) {
            text_[at] = char('0' + number / 10 % 10);
            text_[at + 1] = char('0' + number % 10);
        };
        kDays.substr(std::size_t(parts.tm_wday) * 3, 3).copy(text_.data(), 3);
        two(5, parts.tm_mday);
        kMonths.substr(std::size_t(parts.tm_mon) * 3, 3).copy(text_.data() + 8, 3);
        two(12, (parts.tm_year + 1900) / 100);
        two(14, (parts.tm_year + 1900) % 100);
        two(17, parts.tm_hour);
        two(20, parts.tm_min);
        two(23, parts.tm_sec);
    }
    return {text_.data(), 29};
}

void append_head(std::string& out, const ReplyHead& head, std::string_view date) {
    const Response& response = head.response;
    if (response.status == 200) {
        out.append("HTTP/1.1 200 OK\r\n");
    } else {
        out.append("HTTP/1.1 ");
        append_number(out, std::size_t(std::clamp(response.status, 100, 999)));
        out.append(" ").append(reason_phrase(response.status)).append("\r\n");
    }
    append_field(out, "Date", date);
    if (head.delimiter != Delimiter::None && !response.content_type.empty() &&
        all_are(kFieldValue, response.content_type)) {
        append_field(out, "Content-Type", response.content_type);
    }
    for (const auto [name, value] : response.headers.all()) {
        // A value with a line break would be a second field or a second reply.
        if (name.empty() || !all_are(kToken, name) || !all_are(kFieldValue, value)) continue;
        if (!is_reserved(name)) append_field(out, name, value);
    }
    if (head.delimiter == Delimiter::Length) {
        out.append("Content-Length: ");
        append_number(out, head.length);
        out.append("\r\n");
    } else if (head.delimiter == Delimiter::Chunked) {
        out.append("Transfer-Encoding: chunked\r\n");
    }
    if (!head.connection.empty()) append_field(out, "Connection", head.connection);
    out.append("\r\n");
}

std::string error_body(std::string_view message, std::string_view type) {
    std::string body = R"({"error":{"message":")";
    for (const char c : message) {
        if (c == '"' || c == '\\') body.push_back('\\');
        body.push_back(c >= 0 && c < 0x20 ? ' ' : c);
    }
    body.append(R"(","type":")").append(type).append(R"(","param":null,"code":null}})");
    return body;
}

}  // namespace hearth::http
