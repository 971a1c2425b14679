#include "server/host_guard.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace hearth::server {
namespace {

constexpr std::array<std::string_view, 3> kLocalSuffixes = {".localhost", ".local", ".internal"};

bool equal_without_case(std::string_view a, std::string_view b) {
    return std::ranges::equal(
        a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool ends_with_without_case(std::string_view text, std::string_view end) {
    return text.size() > end.size() &&
           equal_without_case(text.substr(text.size() - end.size()), end);
}

std::string_view without_port(std::string_view field) {
    const std::size_t colon = field.rfind(':');
    if (colon == std::string_view::npos) return field;
    const auto port = field.substr(colon + 1);
    const bool digits = port.find_first_not_of("0123456789") == std::string_view::npos;
    return digits ? field.substr(0, colon) : field;
}

}  // namespace

bool is_local_host(std::string_view host_field, std::string_view own_name) {
    if (host_field.empty() || host_field.starts_with('[')) return true;
    const std::string_view host = without_port(host_field);
    if (host.find_first_not_of("0123456789.") == std::string_view::npos) return true;
    if (equal_without_case(host, "localhost") || equal_without_case(host, own_name)) return true;
    return std::ranges::any_of(kLocalSuffixes, [&](std::string_view suffix) {
        return ends_with_without_case(host, suffix);
    });
}

std::string_view own_host_name() {
    static const std::string name = [] {
        std::array<char, 256> buffer{};
        gethostname(buffer.data(), buffer.size() - 1);
        return std::string(buffer.data());
    }();
    return name;
}

}  // namespace hearth::server
