#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "models/manifest.h"

namespace hearth::fetch {

// What a pull says while it runs: one JSON object per line, in the words of Ollama's /api/pull. One
// thread. Lines are shorter than 4 KiB, so that a pipe takes each as a whole.
// Source: ollama/ollama docs/api.md, "Pull a Model".
class Progress {
  public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::chrono::milliseconds kPause{100};  // between two lines about one blob

    // `fd` stays the caller's.
    explicit Progress(int fd) : fd_(fd) {}

    // {"status":"..."}
    void status(std::string_view text);
    // {"status":"pulling 0123456789ab","digest":"sha256:...","total":N,"completed":N}; left out
    // when it comes too early, or when the reader is behind. A blob's first and last are not, and
    // the last comes once.
    void pulling(const models::Digest& digest, std::uint64_t total, std::uint64_t completed);
    // {"error":"...","code":"..."}, the last line.
    void failed(const Error& error);

    // Nobody reads any more: the other end is closed, or took nothing for 30 seconds.
    bool reader_gone();

  private:
    enum class Room { Now, Waited };
    void write_line(std::string line, Room room);
    bool has_room(Room room);

    int fd_;
    bool gone_ = false;
    std::optional<models::Digest> digest_;  // of the last line about a blob
    std::uint64_t said_ = 0;
    Clock::time_point said_at_{};
};

}  // namespace hearth::fetch
