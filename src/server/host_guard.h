#pragma once

#include <string_view>

namespace hearth::server {

// Whether a Host field may address a server on loopback. A page of a foreign site whose name was
// made to resolve to 127.0.0.1 (DNS rebinding) still sends its own name, and is refused. Allowed:
// addresses, localhost, names below .localhost, .local and .internal, and `own_name`.
bool is_local_host(std::string_view host_field, std::string_view own_name);

// This machine's host name.
std::string_view own_host_name();

}  // namespace hearth::server
