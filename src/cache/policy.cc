#include "cache/policy.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/format.h"

namespace hearth::cache {
namespace {

constexpr std::array<std::pair<std::string_view, Mode>, 5> kModes = {{{"auto", Mode::Auto},
                                                                      {"all", Mode::All},
                                                                      {"off", Mode::Off},
                                                                      {"refresh", Mode::Refresh},
                                                                      {"only", Mode::Only}}};

}  // namespace

std::string_view to_string(Space space) {
    switch (space) {
        case Space::Embedding: return "embedding";
        case Space::Rerank: return "rerank";
        case Space::Chat: return "chat";
        case Space::Completion: return "completion";
        case Space::Fim: return "fim";
    }
    return "";
}

Result<Space> parse_space(std::string_view text) {
    const auto found =
        std::ranges::find(kSpaces, text, [](Space space) { return to_string(space); });
    if (found != kSpaces.end()) return *found;
    return invalid(
        "a namespace of the cache is embedding, rerank, chat, completion or fim, not \"" +
        std::string(text) + '"');
}

Result<Mode> parse_mode(std::string_view text) {
    const auto found = std::ranges::find(kModes, text, &std::pair<std::string_view, Mode>::first);
    if (found != kModes.end()) return found->second;
    return invalid("what the cache is to do is auto, all, off, refresh or only, not \"" +
                   std::string(text) + '"');
}

std::chrono::milliseconds Lives::of(Space space) const {
    switch (space) {
        case Space::Embedding: return embedding;
        case Space::Rerank: return rerank;
        case Space::Fim: return fim;
        case Space::Chat:
        case Space::Completion: break;
    }
    return completion;
}

Result<Wish> parse_wish(std::string_view mode, std::string_view seconds) {
    Wish wish;
    if (!mode.empty()) {
        auto parsed = parse_mode(mode);
        if (!parsed) {
            parsed.error().param = "x-hearth-cache";
            return std::unexpected(std::move(parsed).error());
        }
        wish.mode = *parsed;
    }
    if (seconds.empty()) return wish;
    std::int64_t count = 0;
    const char* const end = seconds.data() + seconds.size();
    const auto read = std::from_chars(seconds.data(), end, count);
    if (read.ec != std::errc{} || read.ptr != end || count < 1 || count > kLifeMax.count()) {
        return fail({.code = Code::InvalidArgument,
                     .message = format("x-hearth-cache-ttl is a number of seconds from 1 to {}",
                                       kLifeMax.count()),
                     .param = "x-hearth-cache-ttl"});
    }
    wish.life = std::chrono::seconds(count);
    return wish;
}

}  // namespace hearth::cache
