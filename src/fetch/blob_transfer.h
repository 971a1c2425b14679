#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "fetch/access.h"
#include "fetch/client.h"
#include "fetch/partial_blob.h"

namespace hearth::fetch {

// Fills a partial blob from one address: its parts by range requests, several at a time. A part
// whose connection breaks, stalls or is refused for now is asked for again after a pause, from the
// byte it misses; it fails when that happened ClientOptions::part_retries_max + 1 times with less
// than 1 MiB between. A server that ignores ranges is asked for the whole in one piece. What is
// there is saved every 5 seconds and at the end, whatever ends it.
class BlobTransfer {
  public:
    struct Job {
        std::string url;  // at access.server()
        unsigned parallel = 16;
        std::function<void(std::uint64_t done)> on_progress;  // at least ten times a second
    };
    // All of them outlive it.
    BlobTransfer(Client& client, Access& access, PartialBlob& blob, Job job);
    ~BlobTransfer();
    BlobTransfer(const BlobTransfer&) = delete;
    BlobTransfer& operator=(const BlobTransfer&) = delete;

    // Errors: stopped, not_found, unauthorized, no_space, unreachable, bad_registry, store.
    Result<void> run();

  private:
    using Clock = std::chrono::steady_clock;
    struct Slot {
        std::unique_ptr<HttpGet> get;  // under way
        unsigned failures = 0;         // in a row
        std::uint64_t done_before = 0;
        Clock::time_point not_before{};
    };

    Result<void> run_parts();
    Result<void> start_due();
    Result<void> start_part(std::size_t part);
    Result<void> accept(std::size_t part, bool whole, const ReplyHead& head);
    Result<void> take(std::size_t part, std::string_view bytes);
    Result<void> settle(std::size_t part);
    Result<void> retry(std::size_t part, Error error, const ReplyHead& head, bool at_once);
    Result<void> save_when_due();
    void cancel_all();
    std::size_t active() const;

    Client& client_;
    Access& access_;
    PartialBlob& blob_;
    Job job_;
    std::vector<Slot> slots_;      // one for each part
    bool ranges_proven_ = false;   // a 206 has come
    bool ranges_ignored_ = false;  // a 200 came instead
    bool whole_ = false;           // ranges are not asked for any more
    Clock::time_point saved_at_ = Clock::now();
};

}  // namespace hearth::fetch
