#include "backends/remote/server_url.h"

#include <boost/url/parse.hpp>

#include "base/format.h"

namespace hearth::remote {
namespace {

// What of an address that may be a wrong one can be shown: not the user before the last '@', and
// not what follows a '?' or '#'.
std::string shown_address(std::string_view text) {
    constexpr std::string_view kAfterScheme = "://";
    const std::size_t scheme = text.find(kAfterScheme);
    const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + kAfterScheme.size();
    std::string_view rest = text.substr(begin);
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        rest.remove_prefix(at + 1);
    }
    rest = rest.substr(0, rest.find_first_of("?#"));
    return std::string(text.substr(0, begin)).append(rest).substr(0, 200);
}

}  // namespace

Result<ServerUrl> ServerUrl::parse(std::string_view text) {
    const auto wrong = [&](std::string_view why) {
        return invalid(format("'{}' is no address of a server: {}", shown_address(text), why));
    };
    const auto parsed = boost::urls::parse_uri(text);
    if (!parsed) return wrong("it must look like http://host:port or https://host/path");
    const auto scheme = parsed->scheme_id();
    if (scheme != boost::urls::scheme::http && scheme != boost::urls::scheme::https) {
        return wrong("it must begin with http:// or https://");
    }
    if (parsed->has_userinfo()) return wrong("it holds a user; give keys by key_env or key_file");
    if (parsed->has_query() || parsed->has_fragment()) return wrong("it holds more than a path");
    if (parsed->host().empty()) return wrong("it names no host");
    if (parsed->has_port() && parsed->port_number() == 0) return wrong("its port is no port");
    ServerUrl url;
    url.tls = scheme == boost::urls::scheme::https;
    url.host = parsed->host_address();
    const std::string port = parsed->has_port() ? std::string(parsed->port())
                             : url.tls          ? "443"
                                                : "80";
    url.address = format("{}:{}", std::string_view(parsed->encoded_host()), port);
    url.base = std::string(parsed->encoded_path());
    while (url.base.ends_with('/')) url.base.pop_back();
    return url;
}

}  // namespace hearth::remote
