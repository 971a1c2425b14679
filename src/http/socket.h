#pragma once

// Internal to http/: includes Asio.
#include <sys/types.h>

#include <array>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/unique_fd.h"
#include "http/poller.h"
#include "runtime/awaitable.h"

namespace hearth::http {

enum class Wake : std::uint8_t { Ready, TimedOut, Cancelled };

// Up to four pieces of bytes to send in one system call.
class Pieces {
  public:
    void add(std::string_view bytes) {
        if (!bytes.empty()) pieces_[count_++] = bytes;
    }
    bool empty() const { return count_ == 0; }
    void take(std::size_t size);
    std::size_t size() const { return count_; }
    std::size_t bytes() const {
        std::size_t sum = 0;
        for (std::size_t i = 0; i < count_; ++i) sum += pieces_[i].size();
        return sum;
    }
    std::string_view operator[](std::size_t index) const { return pieces_[index]; }

  private:
    std::array<std::string_view, 4> pieces_;
    std::size_t count_ = 0;
};

// A connected stream socket that never blocks. Shard-local; not movable (the poller knows its
// address). One coroutine at a time may wait in it; only that one's owner may destroy it meanwhile.
class Socket final : public Pollable {
  public:
    enum class Io : std::uint8_t { Some, WouldBlock, End, Failed };
    struct Read {
        Io io = Io::Failed;
        std::size_t size = 0;
    };

    enum class State : std::uint8_t { Connected, Connecting };
    Socket(Poller& poller, UniqueFd fd, State state = State::Connected);
    ~Socket() override;

    bool registered() const { return registered_; }
    int fd() const { return fd_.value(); }
    Poller& poller() const { return poller_; }
    // There may be something to read: data, the end, or an error.
    bool readable() const { return readable_; }
    // The kernel takes more, as far as is known.
    bool writable() const { return writable_; }
    // The peer has closed its side, wholly or for sending; data may still be unread.
    bool peer_closed() const { return peer_closed_ || broken_; }
    bool broken() const { return broken_; }

    Read read(char* to, std::size_t size);
    // Sends what the kernel takes now and removes it from `pieces`. Some: all sent or a part, more
    // may go later; Failed: the peer is gone.
    Io write(Pieces& pieces);

    // Bytes sent that the peer has not taken yet.
    int unsent() const;

    // Suspend until reading or writing is worth another try, or `deadline` passes. Ready says only
    // that.
    boost::asio::awaitable<Wake> wait_readable(Clock::time_point until) {
        return wait(kRead, until);
    }
    boost::asio::awaitable<Wake> wait_writable(Clock::time_point until) {
        return wait(kWrite, until);
    }

    // Sets what is called, once, when the peer leaves while nobody reads. It must not destroy the
    // socket.
    struct LeaveHook {
        void (*call)(void*) = nullptr;
        void* context = nullptr;
    };
    void set_leave_hook(LeaveHook hook) { hook_ = hook; }

    // Closes so that the peer sees a reset and the kernel keeps nothing.
    void reset_on_close();

  private:
    using Handler =
        boost::asio::async_result<boost::asio::use_awaitable_t<>, void(Wake)>::handler_type;
    enum Interest : std::uint8_t { kRead, kWrite };

    boost::asio::awaitable<Wake> wait(Interest interest, Clock::time_point until);
    void begin_wait(Handler handler, Interest interest, Clock::time_point until);
    void on_events(std::uint32_t events) override;
    void on_deadline() override;
    void on_shutdown() override;
    void wake_later(Wake wake);

    Poller& poller_;
    UniqueFd fd_;
    bool registered_ = false;
    bool readable_;
    bool writable_;
    bool peer_closed_ = false;
    bool broken_ = false;
    Interest interest_ = kRead;
    LeaveHook hook_;
    std::optional<Handler> waiter_;
};

}  // namespace hearth::http
