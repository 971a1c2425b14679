#include "http/head_parser.h"

#include <algorithm>
#include <cstring>

#include "http/char_class.h"

namespace hearth::http {
namespace {

constexpr std::size_t kFieldsMax = 256;
constexpr std::size_t kMethodSizeMax = 32;
constexpr std::size_t kEmptyLinesMax = 4;

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

// Calls `use` with each member of a comma-separated list that is not empty.
template <class Use>
void for_each_member(std::string_view list, Use use) {
    while (!list.empty()) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const std::string_view member = trim(list.substr(0, comma));
        if (!member.empty()) use(member);
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
}

Method method_of(std::string_view name) {
    switch (name.size()) {
        case 3:
            if (name == "GET") return Method::Get;
            if (name == "PUT") return Method::Put;
            break;
        case 4:
            if (name == "POST") return Method::Post;
            if (name == "HEAD") return Method::Head;
            break;
        case 5:
            if (name == "PATCH") return Method::Patch;
            break;
        case 6:
            if (name == "DELETE") return Method::Delete;
            break;
        case 7:
            if (name == "OPTIONS") return Method::Options;
            break;
        default: break;
    }
    return Method::Other;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool decode_percent_into(std::string_view text, std::string& out) {
    out.clear();
    std::size_t plain = 0;
    for (std::size_t at = text.find('%'); at != std::string_view::npos;
         at = text.find('%', plain)) {
        if (at + 2 >= text.size()) return false;
        const int high = hex_digit(text[at + 1]);
        const int low = hex_digit(text[at + 2]);
        if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
        out.append(text.substr(plain, at - plain));
        out.push_back(char(high * 16 + low));
        plain = at + 3;
    }
    out.append(text.substr(plain));
    return true;
}

}  // namespace

std::string query_value(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
        return decode_percent(pair.substr(equals + 1)).value_or("");
    }
    return {};
}

std::optional<std::string> decode_percent(std::string_view text) {
    std::string out;
    if (!decode_percent_into(text, out)) return std::nullopt;
    return out;
}

void HeadParser::reset() {
    line_begin_ = 0;
    scanned_ = 0;
    started_ = false;
    framing_ = Framing();
    refusal_ = Refusal();
    fields_.clear();
}

ParseStep HeadParser::refuse(int status, std::string_view message) {
    refusal_ = {.status = status, .message = message};
    return ParseStep::Bad;
}

ParseStep HeadParser::parse(std::string_view bytes) {
    for (;;) {
        const void* found = bytes.size() > scanned_ ? std::memchr(bytes.data() + scanned_, '\n',
                                                                  bytes.size() - scanned_)
                                                    : nullptr;
        const std::size_t end =
            found ? std::size_t(static_cast<const char*>(found) - bytes.data()) : bytes.size();
        if (end >= bytes_max_) {
            if (!started_ && is_request_) return refuse(414, "the request line is too long");
            return refuse(431, "the header is too large");
        }
        if (!found) {
            scanned_ = bytes.size();
            // Something that is not HTTP (a TLS greeting) is refused at its first byte.
            if (!started_ && !bytes.empty() && !is(kToken, bytes[0]) && bytes[0] != '\r') {
                return refuse(400, "this is not an HTTP request");
            }
            return ParseStep::More;
        }
        if (end == line_begin_ || bytes[end - 1] != '\r') {
            return refuse(400, "a line of the header does not end with CRLF");
        }
        const ParseStep step = line(bytes, end - 1);
        scanned_ = line_begin_ = end + 1;
        if (step != ParseStep::More) return step;
    }
}

// Done: it was the empty line that ends the head.
ParseStep HeadParser::line(std::string_view bytes, std::size_t end) {
    if (started_) {
        if (end == line_begin_) return finish();
        return field(bytes, line_begin_, end);
    }
    if (end == line_begin_) {
        // RFC 9112 2.2: an empty line before the request line is ignored, but not for ever.
        if (!is_request_ || end >= 2 * kEmptyLinesMax) {
            return refuse(400, "an empty line where a message should start");
        }
        return ParseStep::More;
    }
    started_ = true;
    return start_line(bytes.substr(line_begin_, end - line_begin_));
}

ParseStep HeadParser::version(std::string_view text) {
    if (text.size() != 8 || !text.starts_with("HTTP/") || !is_digit(text[5]) || text[6] != '.' ||
        !is_digit(text[7])) {
        return refuse(400, "the protocol version is malformed");
    }
    if (text[5] != '1') return refuse(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    minor_version_ = text[7] == '0' ? 0 : 1;
    return ParseStep::More;
}

ParseStep HeadParser::field(std::string_view bytes, std::size_t begin, std::size_t end) {
    if (fields_.size() >= kFieldsMax) return refuse(431, "too many header fields");
    if (is_blank(bytes[begin])) return refuse(400, "folded header lines are not allowed");
    std::size_t colon = begin;
    while (colon < end && is(kToken, bytes[colon])) ++colon;
    if (colon == begin || colon == end || bytes[colon] != ':') {
        return refuse(400, "a header field name is malformed");
    }
    std::size_t first = colon + 1;
    std::size_t last = end;
    while (first < last && is_blank(bytes[first])) ++first;
    while (last > first && is_blank(bytes[last - 1])) --last;
    const std::string_view value = bytes.substr(first, last - first);
    if (!all_are(kFieldValue, value)) {
        return refuse(400, "a header field value has a control character");
    }
    fields_.push_back({.name_begin = std::uint32_t(begin),
                       .name_size = std::uint32_t(colon - begin),
                       .value_begin = std::uint32_t(first),
                       .value_size = std::uint32_t(last - first)});
    return known_field(bytes.substr(begin, colon - begin), value);
}

ParseStep HeadParser::known_field(std::string_view name, std::string_view value) {
    switch (name.size()) {
        case 4:
            if (is_request_ && equal_ignoring_case(name, "host")) return host(value);
            break;
        case 6:
            if (is_request_ && equal_ignoring_case(name, "expect")) {
                if (!equal_ignoring_case(value, "100-continue")) {
                    return refuse(417, "only the expectation 100-continue is understood");
                }
                framing_.expect_continue = true;
            }
            break;
        case 10:
            if (equal_ignoring_case(name, "connection")) connection(value);
            break;
        case 14:
            if (equal_ignoring_case(name, "content-length")) return content_length(value);
            break;
        case 16:
            if (is_request_ && equal_ignoring_case(name, "content-encoding")) {
                return content_encoding(value);
            }
            break;
        case 17:
            if (equal_ignoring_case(name, "transfer-encoding")) return transfer_encoding(value);
            break;
        default: break;
    }
    return ParseStep::More;
}

// Repeated equal values are one value (RFC 9112 6.3); anything else is how requests are smuggled.
ParseStep HeadParser::content_length(std::string_view value) {
    if (value.empty() || value.size() > 18 || !std::all_of(value.begin(), value.end(), is_digit)) {
        return refuse(400, "Content-Length is malformed");
    }
    std::uint64_t length = 0;
    for (const char c : value) length = length * 10 + std::uint64_t(c - '0');
    if (framing_.content_length && *framing_.content_length != length) {
        return refuse(400, "two different Content-Length fields");
    }
    framing_.content_length = length;
    return ParseStep::More;
}

ParseStep HeadParser::transfer_encoding(std::string_view value) {
    framing_.has_transfer_coding = true;
    int status = 0;
    for_each_member(value, [&](std::string_view coding) {
        if (!equal_ignoring_case(coding, "chunked")) status = std::max(status, 501);
        if (framing_.chunked) status = std::max(status, 400);
        framing_.chunked = true;
    });
    if (status == 501) return refuse(501, "only the transfer coding chunked is understood");
    if (status == 400 || !framing_.chunked) return refuse(400, "Transfer-Encoding is malformed");
    return ParseStep::More;
}

ParseStep HeadParser::content_encoding(std::string_view value) {
    bool known = true;
    for_each_member(value, [&](std::string_view coding) {
        if (equal_ignoring_case(coding, "identity")) return;
        const bool gzip =
            equal_ignoring_case(coding, "gzip") || equal_ignoring_case(coding, "x-gzip");
        if (!gzip || framing_.gzip) known = false;
        framing_.gzip = true;
    });
    if (!known) return refuse(415, "only the content coding gzip is understood");
    return ParseStep::More;
}

ParseStep HeadParser::host(std::string_view value) {
    if (++framing_.hosts > 1) return refuse(400, "more than one Host field");
    if (!all_are(kHost, value)) return refuse(400, "Host is malformed");
    return ParseStep::More;
}

void HeadParser::connection(std::string_view value) {
    for_each_member(value, [this](std::string_view option) {
        if (equal_ignoring_case(option, "close")) framing_.close = true;
        if (equal_ignoring_case(option, "keep-alive")) framing_.keep_alive = true;
    });
}

void RequestHeadParser::restart() { reset(); }

bool RequestHeadParser::persistent() const {
    if (framing().close) return false;
    return minor_version() > 0 || framing().keep_alive;
}

ParseStep RequestHeadParser::start_line(std::string_view text) {
    const std::size_t first = text.find(' ');
    const std::size_t second = first == text.npos ? text.npos : text.find(' ', first + 1);
    if (first == 0 || second == text.npos) return refuse(400, "the request line is malformed");
    const std::string_view name = text.substr(0, first);
    if (name.size() > kMethodSizeMax || !all_are(kToken, name)) {
        return refuse(400, "the method is malformed");
    }
    method_ = method_of(name);
    method_begin_ = std::uint32_t(line_begin());
    method_size_ = std::uint32_t(first);
    if (const ParseStep step = version(text.substr(second + 1)); step == ParseStep::Bad)
        return step;
    if (name == "CONNECT") return refuse(501, "CONNECT is not offered");
    return target(text.substr(first + 1, second - first - 1), line_begin() + first + 1);
}

// The forms of RFC 9112 3.2: origin, absolute (a proxy's), and "*" for OPTIONS.
ParseStep RequestHeadParser::target(std::string_view text, std::size_t offset) {
    if (text.empty() || !all_are(kTarget, text)) {
        return refuse(400, "the request target is malformed");
    }
    target_begin_ = std::uint32_t(offset);
    target_size_ = std::uint32_t(text.size());
    path_begin_ = 0;
    if (text[0] == '/') return ParseStep::More;
    if (text == "*" && method_ == Method::Options) return ParseStep::More;
    const std::size_t scheme = text.find("://");
    if (scheme == text.npos || (!equal_ignoring_case(text.substr(0, scheme), "http") &&
                                !equal_ignoring_case(text.substr(0, scheme), "https"))) {
        return refuse(400, "the request target is malformed");
    }
    const std::size_t authority = scheme + 3;
    const std::size_t end = std::min(text.find_first_of("/?", authority), text.size());
    if (end == authority || !all_are(kHost, text.substr(authority, end - authority))) {
        return refuse(400, "the request target is malformed");
    }
    path_begin_ = std::uint32_t(end);
    return ParseStep::More;
}

ParseStep RequestHeadParser::finish() {
    const Framing& found = framing();
    if (minor_version() > 0 && found.hosts == 0) return refuse(400, "Host is missing");
    if (found.has_transfer_coding && found.content_length) {
        return refuse(400, "both Content-Length and Transfer-Encoding");
    }
    if (found.has_transfer_coding && minor_version() == 0) {
        return refuse(400, "Transfer-Encoding in an HTTP/1.0 request");
    }
    return ParseStep::Done;
}

bool RequestHeadParser::fill(std::string_view bytes, Request& request) const {
    request.method = method_;
    request.method_name.clear();
    if (method_ == Method::Other) request.method_name = bytes.substr(method_begin_, method_size_);
    const std::string_view whole = bytes.substr(target_begin_, target_size_);
    request.target.assign(whole);
    const std::string_view rest = whole.substr(path_begin_);
    const std::size_t question = std::min(rest.find('?'), rest.size());
    request.query.assign(rest.substr(std::min(question + 1, rest.size())));
    request.headers.assign(bytes.substr(0, size()), fields());
    if (question == 0) {
        request.path.assign("/");
        return true;
    }
    return decode_percent_into(rest.substr(0, question), request.path);
}

void ReplyHeadParser::restart() { reset(); }

bool ReplyHeadParser::persistent() const {
    if (framing().close) return false;
    return minor_version() > 0 || framing().keep_alive;
}

ParseStep ReplyHeadParser::start_line(std::string_view text) {
    if (text.size() < 12 || text[8] != ' ') return refuse(400, "the status line is malformed");
    if (const ParseStep step = version(text.substr(0, 8)); step == ParseStep::Bad) return step;
    const std::string_view code = text.substr(9, 3);
    if (!std::all_of(code.begin(), code.end(), is_digit) || code[0] == '0' ||
        (text.size() > 12 && text[12] != ' ') || !all_are(kFieldValue, text)) {
        return refuse(400, "the status line is malformed");
    }
    status_ = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
    return ParseStep::More;
}

ParseStep ReplyHeadParser::finish() {
    if (framing().has_transfer_coding && framing().content_length) {
        return refuse(400, "both Content-Length and Transfer-Encoding");
    }
    return ParseStep::Done;
}

}  // namespace hearth::http
