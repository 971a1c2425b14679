#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::remote {

enum class Framing : std::uint8_t {
    EventStream,  // events end with an empty line
    Lines,        // NDJSON
};

// Cuts a stream into whole events and changes nothing in them: what its pieces hold, joined, is
// what came, but for an event that never ended.
class EventSplitter {
  public:
    static constexpr std::size_t kEventBytesMax = 16 << 20;

    explicit EventSplitter(Framing framing) : framing_(framing) {}

    // Calls `take` with each event that has ended, its end included; what it returns as an error is
    // returned, and ends the splitting. Error of its own: BadUpstream (reason "event_too_large").
    using Take = std::function<Result<void>(std::string_view event)>;
    Result<void> feed(std::string_view bytes, const Take& take);
    // What has come of an event that has not ended.
    std::string_view rest() const { return partial_; }

  private:
    // The length of the first event in `text`, its end included; npos: it has not ended.
    std::size_t first_event(std::string_view text, std::size_t searched) const;

    const Framing framing_;
    std::string partial_;
};

}  // namespace hearth::remote
