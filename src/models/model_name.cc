#include "models/model_name.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::models {
namespace {

constexpr std::size_t kPartBytesMax = 80;
constexpr std::size_t kHostBytesMax = 250;  // with a port still the name of a file
constexpr std::size_t kFullNameBytesMax = 512;
constexpr std::size_t kShownNameBytesMax = 80;

bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_part(std::string_view part, std::size_t bytes_max, std::string_view others) {
    if (part.empty() || part.size() > bytes_max || part.contains("..")) return false;
    if (!is_alphanumeric(part.front()) && part.front() != '_') return false;
    return std::ranges::all_of(part,
                               [&](char c) { return is_alphanumeric(c) || others.contains(c); });
}

bool is_port(std::string_view port) {
    return !port.empty() && port.size() <= 5 &&
           std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_host(std::string_view host) {
    const std::size_t colon = host.find(':');
    if (colon != std::string_view::npos && !is_port(host.substr(colon + 1))) return false;
    return host.size() <= kHostBytesMax && is_part(host.substr(0, colon), kHostBytesMax, "-_.");
}

// The text as a message shows it: what a client sent may hold anything.
std::string shown(std::string_view text) {
    const bool cut = text.size() > kShownNameBytesMax;
    std::string clean = repair_utf8(text.substr(0, kShownNameBytesMax));
    std::ranges::replace_if(clean, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
    return clean + (cut ? "..." : "");
}

std::unexpected<Error> refused(std::string_view text, std::string_view reason) {
    return fail(Code::InvalidArgument,
                format("'{}' is no name of a model: {}", shown(text), reason));
}

Result<ModelName> checked(ModelName name, std::string_view text) {
    constexpr std::string_view kRule =
        "must be letters, digits and '-_.', begin with a letter, a digit or '_', and hold at most";
    if (!is_host(name.host)) return refused(text, "its host is none");
    const bool plain_owner = lower_case(name.host) == kDefaultHost;
    if (!is_part(name.owner, kPartBytesMax, plain_owner ? "-_" : "-_.")) {
        return refused(text, format("its namespace {} {} bytes", kRule, kPartBytesMax));
    }
    if (!is_part(name.name, kPartBytesMax, "-_.")) {
        return refused(text, format("its name {} {} bytes", kRule, kPartBytesMax));
    }
    if (!is_part(name.tag, kPartBytesMax, "-_.")) {
        return refused(text, format("its tag {} {} bytes", kRule, kPartBytesMax));
    }
    return name;
}

// Cuts "http://" or "https://" off.
bool cut_scheme(std::string_view& rest, bool& plain_http) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!rest.starts_with(scheme)) continue;
        rest.remove_prefix(scheme.size());
        plain_http = scheme == "http://";
        return true;
    }
    return false;
}

}  // namespace

std::string lower_case(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

std::string model_name_part(std::string_view text) {
    std::string part;
    for (const char c : text) {
        const bool fits = is_alphanumeric(c) || std::string_view("-_.").contains(c);
        const bool second_dot = c == '.' && part.ends_with('.');
        if (!second_dot) part += fits ? c : '-';
    }
    const auto first = std::ranges::find_if(part, [](char c) { return is_alphanumeric(c); });
    part.erase(part.begin(), first);
    return part.empty() ? "model" : part;
}

Result<ModelName> ModelName::parse(std::string_view text) {
    if (text.empty()) return fail(Code::InvalidArgument, "the name of the model is empty");
    if (text.size() > kFullNameBytesMax) {
        return refused(text, format("it is longer than {} bytes", kFullNameBytesMax));
    }
    ModelName name;
    std::string_view rest = text;
    const bool has_scheme = cut_scheme(rest, name.plain_http);
    const std::size_t colon = rest.rfind(':');
    const std::size_t slash = rest.rfind('/');
    if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        name.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
    }
    const auto parts = std::ranges::count(rest, '/') + 1;
    if (parts > 3) return refused(text, "it has more parts than HOST/NAMESPACE/NAME:TAG");
    if (has_scheme && parts < 3) return refused(text, "an address needs HOST/NAMESPACE/NAME");
    const std::size_t last = rest.rfind('/');
    name.name = rest.substr(last == std::string_view::npos ? 0 : last + 1);
    if (parts >= 2) {
        rest = rest.substr(0, last);
        const std::size_t first = rest.find('/');
        name.owner = rest.substr(first == std::string_view::npos ? 0 : first + 1);
        if (parts == 3) name.host = rest.substr(0, first);
    }
    return checked(std::move(name), text);
}

Result<ModelName> ModelName::parse_path(const std::filesystem::path& relative) {
    const std::string text = relative.generic_string();
    std::array<std::string, 4> parts;
    std::size_t count = 0;
    for (const auto& part : relative) {
        if (count == parts.size()) return refused(text, "its path has more than four parts");
        parts[count++] = part.string();
    }
    if (count != parts.size()) return refused(text, "its path has fewer than four parts");
    return checked(
        ModelName{.host = parts[0], .owner = parts[1], .name = parts[2], .tag = parts[3]}, text);
}

std::string ModelName::display() const {
    const bool default_host = lower_case(host) == kDefaultHost;
    std::string text;
    if (!default_host) text += host + '/';
    if (!default_host || lower_case(owner) != kDefaultOwner) text += owner + '/';
    return text + name + ':' + tag;
}

std::filesystem::path ModelName::relative_path() const {
    return std::filesystem::path(host) / owner / name / tag;
}

bool ModelName::is_hub() const {
    const std::string lower = lower_case(host);
    return lower == kHubHost || lower == "huggingface.co";
}

std::string ModelName::key() const {
    ModelName same = *this;
    if (is_hub()) same.host = kHubHost;
    return lower_case(same.display());
}

}  // namespace hearth::models
