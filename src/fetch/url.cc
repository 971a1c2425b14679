#include "fetch/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/format.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

constexpr std::size_t kUrlBytesMax = 8 << 10;

struct FreeUrl {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using CurlUrl = std::unique_ptr<CURLU, FreeUrl>;

std::optional<std::string> part_of(CURLU* url, CURLUPart part, unsigned flags = 0) {
    char* text = nullptr;
    if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return std::nullopt;
    std::string value(text);
    curl_free(text);
    return value;
}

bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~").contains(c);
}

std::string encode(std::string_view text, std::string_view kept) {
    std::string out;
    for (const char c : text) {
        if (is_plain(c) || kept.contains(c)) {
            out += c;
        } else {
            out += format("%{:02X}", static_cast<unsigned char>(c));
        }
    }
    return out;
}

// 127.0.0.0/8 as four numbers; curl has put shorter forms into this one.
bool is_loopback_v4(std::string_view host) {
    return host.starts_with("127.") && std::ranges::count(host, '.') == 3 &&
           std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
    const auto wrong = [&](std::string_view reason) {
        return failed(Failure::Invalid,
                      format("'{}' is no usable address: {}", shown(text), reason));
    };
    if (text.size() > kUrlBytesMax) return wrong("it is too long");
    const bool clean =
        std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c != 0x7F; });
    if (!clean) return wrong("it holds white space or control characters");
    const CurlUrl url(curl_url());
    CHECK(url != nullptr);
    if (curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK) {
        return wrong("it is not http:// or https:// with a host");
    }
    const auto scheme = part_of(url.get(), CURLUPART_SCHEME);
    if (!scheme || (*scheme != "http" && *scheme != "https"))
        return wrong("it is not http or https");
    if (part_of(url.get(), CURLUPART_USER) || part_of(url.get(), CURLUPART_PASSWORD)) {
        return wrong("it holds a user or a password");
    }
    const auto host = part_of(url.get(), CURLUPART_HOST);
    const auto port = part_of(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
    if (!host || host->empty() || !port) return wrong("it has no host");
    Url parsed{.scheme = *scheme, .host = *host, .port = *port, .text = std::string(text)};
    std::ranges::transform(parsed.host, parsed.host.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return parsed;
}

bool Url::is_loopback() const {
    return host == "localhost" || host == "[::1]" || is_loopback_v4(host);
}

bool may_visit(const Url& url, bool insecure) {
    return url.scheme == "https" || insecure || url.is_loopback();
}

bool may_follow(const Url& from, const Url& to, bool insecure) {
    if (from.scheme == "https" && to.scheme == "http") return false;
    return may_visit(to, insecure);
}

std::string encode_path(std::string_view path) { return encode(path, "/"); }

std::string encode_query_value(std::string_view value) { return encode(value, ""); }

}  // namespace hearth::fetch
