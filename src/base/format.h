#pragma once

// The one place that names the formatting library: libstdc++ 12 has no <format>.
#include <fmt/format.h>

namespace hearth {
using fmt::format;
}  // namespace hearth
