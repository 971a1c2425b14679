#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::cache {

// What kinds of answers there are: each has a life of its own and can be cleared by itself.
enum class Space : std::uint8_t { Embedding, Rerank, Chat, Completion, Fim };
inline constexpr std::array kSpaces = {Space::Embedding, Space::Rerank, Space::Chat,
                                       Space::Completion, Space::Fim};

std::string_view to_string(Space space);
// Errors: InvalidArgument, naming those there are.
Result<Space> parse_space(std::string_view text);

// What a caller, or a model's configuration, wants of the cache.
enum class Mode : std::uint8_t {
    Auto,     // as the model's configuration says, else answers that would come out the same again
    All,      // any, though a new one might read differently
    Off,      // none is looked up, none kept
    Refresh,  // none is looked up; a new one is kept
    Only,     // what there is, or an error
};

// "auto", "all", "off", "refresh", "only". Errors: InvalidArgument, naming these.
Result<Mode> parse_mode(std::string_view text);

inline bool looks_up(Mode mode) { return mode != Mode::Off && mode != Mode::Refresh; }
inline bool keeps(Mode mode) { return mode != Mode::Off && mode != Mode::Only; }

// How long answers live, from the moment they were made.
struct Lives {
    std::chrono::milliseconds embedding{std::chrono::hours(24)};
    std::chrono::milliseconds rerank{std::chrono::hours(24)};
    std::chrono::milliseconds completion{std::chrono::hours(1)};  // chats too
    std::chrono::milliseconds fim{std::chrono::minutes(5)};

    std::chrono::milliseconds of(Space space) const;
};

// What one call says of the cache.
struct Wish {
    Mode mode = Mode::Auto;
    std::optional<std::chrono::milliseconds> life = {};  // instead of that of its kind
};

// From the fields x-hearth-cache (a mode) and x-hearth-cache-ttl (seconds, up to kLifeMax); empty:
// not sent. Errors: InvalidArgument, with the field as its param.
inline constexpr std::chrono::seconds kLifeMax = std::chrono::days(365);
Result<Wish> parse_wish(std::string_view mode, std::string_view seconds);

}  // namespace hearth::cache
