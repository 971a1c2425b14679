#pragma once

#include <cstdint>
#include <string_view>

namespace hearth::inference {

// How an answer came about, as x-hearth-cache tells it.
enum class Outcome : std::uint8_t {
    Bypass,  // what is kept was not looked at
    Miss,    // nothing was
    HitMemory,
};

constexpr std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::Bypass: return "bypass";
        case Outcome::Miss: return "miss";
        case Outcome::HitMemory: return "hit-l1";
    }
    return "";
}

}  // namespace hearth::inference
