#include "fetch/challenge.h"

#include <algorithm>

#include "fetch/json_text.h"
#include "fetch/outcome.h"
#include "fetch/url.h"
#include "models/model_name.h"

namespace hearth::fetch {
namespace {

constexpr std::size_t kChallengeBytesMax = 4 << 10;
constexpr std::size_t kTokenBytesMax = 16 << 10;
constexpr std::string_view kScheme = "bearer ";

void skip(std::string_view& text, std::string_view unwanted) {
    text.remove_prefix(std::min(text.find_first_not_of(unwanted), text.size()));
}

std::string take_until(std::string_view& text, std::string_view ends) {
    const std::size_t end = std::min(text.find_first_of(ends), text.size());
    std::string taken(text.substr(0, end));
    text.remove_prefix(end);
    return taken;
}

// After the opening quote; a backslash quotes what follows it.
std::string take_quoted(std::string_view& text) {
    std::string value;
    while (!text.empty()) {
        char c = text.front();
        text.remove_prefix(1);
        if (c == '"') break;
        if (c == '\\' && !text.empty()) {
            c = text.front();
            text.remove_prefix(1);
        }
        value += c;
    }
    return value;
}

std::string take_value(std::string_view& text) {
    if (!text.starts_with('"')) return take_until(text, " ,\t");
    text.remove_prefix(1);
    return take_quoted(text);
}

}  // namespace

std::string Challenge::token_url() const {
    std::string url = realm;
    char separator = realm.contains('?') ? '&' : '?';
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        url += separator;
        url += std::string(name) + "=" + encode_query_value(value);
        separator = '&';
    };
    add("service", service);
    add("scope", scope);
    return url;
}

std::optional<Challenge> parse_challenge(std::string_view value) {
    if (value.size() > kChallengeBytesMax) return std::nullopt;
    if (models::lower_case(value.substr(0, kScheme.size())) != kScheme) return std::nullopt;
    value.remove_prefix(kScheme.size());
    Challenge challenge;
    while (true) {
        skip(value, " ,\t");
        if (value.empty()) break;
        const std::string name = models::lower_case(take_until(value, "=, \t"));
        if (!value.starts_with('=')) break;  // another challenge follows
        value.remove_prefix(1);
        const std::string text = take_value(value);
        if (name == "realm") challenge.realm = text;
        if (name == "service") challenge.service = text;
        if (name == "scope") challenge.scope = text;
    }
    if (challenge.realm.empty()) return std::nullopt;
    return challenge;
}

Result<std::string> parse_token(std::string_view document) {
    TRY(const auto root, parse_json_text(document, "the registry's answer with a token"));
    for (const std::string_view name : {"token", "access_token"}) {
        std::string token = text_member(root, name);
        if (is_token(token)) return token;
    }
    return failed(Failure::BadRegistry, "the registry's answer holds no usable token");
}

bool is_token(std::string_view token) {
    return !token.empty() && token.size() <= kTokenBytesMax &&
           std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7F; });
}

}  // namespace hearth::fetch
