#include "http/message.h"

#include <algorithm>

namespace hearth::http {
namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c | 0x20) : c; }

}  // namespace

std::string_view to_string(Method method) {
    switch (method) {
        case Method::Get: return "GET";
        case Method::Head: return "HEAD";
        case Method::Post: return "POST";
        case Method::Put: return "PUT";
        case Method::Delete: return "DELETE";
        case Method::Options: return "OPTIONS";
        case Method::Patch: return "PATCH";
        case Method::Other: return "OTHER";
    }
    return "OTHER";
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100: return "Continue";
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 301: return "Moved Permanently";
        case 302: return "Found";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 307: return "Temporary Redirect";
        case 308: return "Permanent Redirect";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 402: return "Payment Required";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 406: return "Not Acceptable";
        case 408: return "Request Timeout";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 411: return "Length Required";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 414: return "URI Too Long";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 417: return "Expectation Failed";
        case 421: return "Misdirected Request";
        case 422: return "Unprocessable Content";
        case 424: return "Failed Dependency";
        case 426: return "Upgrade Required";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 499: return "Client Closed Request";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 502: return "Bad Gateway";
        case 503: return "Service Unavailable";
        case 504: return "Gateway Timeout";
        case 505: return "HTTP Version Not Supported";
        case 507: return "Insufficient Storage";
        case 529: return "Overloaded";
        default: return "Unknown";
    }
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
               return x == y || lower(x) == lower(y);
           });
}

Headers::Headers(std::initializer_list<Field> fields) {
    for (const auto& [name, value] : fields) add(name, value);
}

Headers::Field Headers::field(std::size_t index) const {
    const Slice& slice = slices_[index];
    const char* text = text_.data();
    return {{text + slice.name_begin, slice.name_size},
            {text + slice.value_begin, slice.value_size}};
}

void Headers::add(std::string_view name, std::string_view value) {
    if (slices_.empty()) {  // room for the few that most messages have
        text_.reserve(256);
        slices_.reserve(8);
    }
    const auto begin = std::uint32_t(text_.size());
    text_.append(name).append(value);
    slices_.push_back({.name_begin = begin,
                       .name_size = std::uint32_t(name.size()),
                       .value_begin = begin + std::uint32_t(name.size()),
                       .value_size = std::uint32_t(value.size())});
}

void Headers::set(std::string_view name, std::string_view value) {
    // The arguments may be views into this object.
    const std::string kept_name(name);
    const std::string kept_value(value);
    std::erase_if(slices_, [&](const Slice& slice) {
        return equal_ignoring_case({text_.data() + slice.name_begin, slice.name_size}, kept_name);
    });
    add(kept_name, kept_value);
}

void Headers::assign(std::string_view text, std::span<const Slice> slices) {
    text_.assign(text);
    slices_.assign(slices.begin(), slices.end());
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (std::size_t i = 0; i < slices_.size(); ++i) {
        if (slices_[i].name_size != name.size()) continue;
        const auto [found, value] = field(i);
        if (equal_ignoring_case(found, name)) return value;
    }
    return std::nullopt;
}

void Headers::clear() {
    text_.clear();
    slices_.clear();
}

}  // namespace hearth::http
