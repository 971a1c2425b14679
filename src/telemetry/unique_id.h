#pragma once

#include <string>
#include <string_view>

namespace hearth {

// `prefix` and 18 hexadecimal digits that no other call of this process gets, and hardly one of
// another process. No secret. Thread-safe.
std::string unique_id(std::string_view prefix = {});

}  // namespace hearth
