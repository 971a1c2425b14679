// What errors carry beside their code: when to come back, and what of a message may be shown.
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>

#include "backends/remote/remote_error.h"
#include "base/encoding.h"

namespace hearth::remote {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMessageBytesMax = 500;
constexpr double kRetryMsMax = 24 * 3600 * 1000.0;
constexpr std::size_t kSecretBytesMin = 8;
constexpr std::string_view kSecretMark = "[secret]";
// How the keys of the services in use begin; "eyJ" is a JSON web token.
constexpr std::array<std::string_view, 9> kSecretBeginnings = {
    "sk-", "sk_", "nvapi-", "hf_", "gsk_", "xai-", "key-", "AIza", "eyJ"};

std::optional<milliseconds> bounded_ms(double ms) {
    if (!std::isfinite(ms) || ms < 0) return std::nullopt;
    return milliseconds(static_cast<std::int64_t>(std::min(ms, kRetryMsMax)));
}

std::optional<double> whole_number(std::string_view text) {
    double number = 0;
    const auto end =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (text.empty() || end.ec != std::errc{} || end.ptr != text.data() + text.size()) {
        return std::nullopt;
    }
    return number;
}

std::optional<int> digits(std::string_view text) {
    int number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + (c - '0');
    }
    return number;
}

std::optional<unsigned> month_of(std::string_view name) {
    constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto found = std::ranges::find(kMonths, name);
    if (found == kMonths.end()) return std::nullopt;
    return static_cast<unsigned>(found - kMonths.begin()) + 1;
}

std::int64_t clock_now() {
    return std::chrono::duration_cast<std::chrono::seconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("-_.*+/").contains(c);
}

bool is_secret(std::string_view word, std::string_view before) {
    if (word.size() < kSecretBytesMin) return false;
    if (before == "Bearer" || before == "bearer") return true;
    return std::ranges::any_of(
        kSecretBeginnings, [&](std::string_view beginning) { return word.starts_with(beginning); });
}

std::string without_secrets(std::string_view text) {
    std::string out;
    std::string_view before;
    for (std::size_t i = 0; i < text.size();) {
        std::size_t end = i;
        while (end < text.size() && is_word(text[end])) ++end;
        const std::string_view word = text.substr(i, end - i);
        out += is_secret(word, before) ? kSecretMark : word;
        if (!word.empty()) before = word;
        if (end < text.size()) out += text[end++];
        i = end;
    }
    return out;
}

}  // namespace

std::optional<std::int64_t> parse_http_date(std::string_view text) {
    using namespace std::chrono;
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
        return std::nullopt;
    }
    const auto day_number = digits(text.substr(5, 2));
    const auto month_number = month_of(text.substr(8, 3));
    const auto year_number = digits(text.substr(12, 4));
    const auto hour = digits(text.substr(17, 2));
    const auto minute = digits(text.substr(20, 2));
    const auto second = digits(text.substr(23, 2));
    if (!day_number || !month_number || !year_number || !hour || !minute || !second) {
        return std::nullopt;
    }
    const year_month_day date{year(*year_number), month(*month_number),
                              day(static_cast<unsigned>(*day_number))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
    const auto time =
        sys_days(date).time_since_epoch() + hours(*hour) + minutes(*minute) + seconds(*second);
    return duration_cast<seconds>(time).count();
}

std::optional<milliseconds> retry_after_of(const http::Headers& headers) {
    if (const auto ms = headers.find("retry-after-ms")) {
        if (const auto number = whole_number(trimmed(*ms))) return bounded_ms(*number);
    }
    const auto field = headers.find("retry-after");
    if (!field) return std::nullopt;
    const std::string_view text = trimmed(*field);
    if (const auto seconds = whole_number(text)) return bounded_ms(*seconds * 1000);
    const auto until = parse_http_date(text);
    if (!until) return std::nullopt;
    const auto date = headers.find("date");
    const auto sent = date ? parse_http_date(trimmed(*date)) : std::nullopt;
    const std::int64_t wait = *until - sent.value_or(clock_now());
    return bounded_ms(std::max<double>(0, static_cast<double>(wait) * 1000));
}

std::string shown(std::string_view message) {
    std::string out = without_secrets(trimmed(message).substr(0, 4 * kMessageBytesMax));
    if (out.size() > kMessageBytesMax) {
        out.resize(kMessageBytesMax);
        // Not in the middle of a character.
        while (!out.empty() && (out.back() & 0xC0) == 0x80) out.pop_back();
        if (!out.empty() && (out.back() & 0x80) != 0) out.pop_back();
        out += "...";
    }
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    }
    return repair_utf8(out);
}

}  // namespace hearth::remote
