#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "testing/raw_socket.h"

namespace hearth::system_test {

// What a server answers on one of its routes: a stream, event by event, or one whole answer.
struct UpstreamWire {
    const char* name;
    const char* kind;  // of the backend in the gateway's configuration
    const char* path;
    const char* content_type;
    std::vector<std::string> events;  // the last one is the protocol's own end; of a whole answer
                                      // its first half, and its second
    std::size_t first;                // the first event of which a caller sees something
    std::string malformed;            // an event that is none
    std::string error;                // an event that tells a failure
    std::string again;                // one more event with a part of the answer
    std::string silent;               // what says nothing: a comment, a ping, an empty part
    std::string big;                  // how an event without an end begins

    bool streams() const { return !again.empty(); }
};
const std::vector<UpstreamWire>& upstream_wires();
const UpstreamWire& upstream_wire(std::string_view name);

// Every way in which a server fails. `Event` ones come in the place of an event.
enum class Fault : std::uint8_t {
    None,
    Reset,      // RST in the place of an event
    Stall,      // silence
    Half,       // half an event, then the end of the connection
    Malformed,  // an event that is none, then all the others
    Closed,     // a sound end of the HTTP answer
    ErrorIn200,
    Loris,    // the event, byte by byte, far under the rate of its limit
    Endless,  // parts of the answer for ever
    Silent,   // what says nothing for ever
    Big,      // an event of 100 MB
    WrongType,
    NoHead,         // reset before a byte of the head
    HeadStall,      // silence before the head
    HeadHalf,       // half a head, then the end
    HeadLoris,      // the head byte by byte
    HeadEndless,    // fields for ever
    HeadMalformed,  // no HTTP
    Status401,
    Status429,
    Status500,
    Status503,
    Status529,
    // Of a server that is not this one.
    Refuse,        // nobody listens
    ConnectStall,  // nobody accepts
    // For measurements: two events, then parts of the answer as fast as they are taken.
    Flood,
};
std::string_view name_of(Fault fault);
std::optional<Fault> find_fault(std::string_view name);

// A server that speaks every wire, and fails as the name of the model says: "stall.3" is silence in
// the place of the fourth event, "status429@7" a 429 with "Retry-After: 7". Other names: the whole
// answer. Connections are served by a fixed number of threads, one request each.
class FaultyUpstream {
  public:
    FaultyUpstream();
    ~FaultyUpstream();
    FaultyUpstream(const FaultyUpstream&) = delete;
    FaultyUpstream& operator=(const FaultyUpstream&) = delete;

    const std::string& address() const { return address_; }
    // Bytes of the last big or endless answer that the gateway's side took.
    std::size_t bytes_taken() const { return bytes_taken_; }
    std::size_t requests() const { return requests_; }

  private:
    void accept_all();
    void serve_all();
    void serve(testing::RawSocket& socket);
    void play(testing::RawSocket& socket, const UpstreamWire& wire, std::string_view model);
    static std::string sound_part(const UpstreamWire& wire, Fault fault, std::size_t index);
    void trickle(testing::RawSocket& socket, std::string_view bytes) const;
    void play_head(testing::RawSocket& socket, Fault fault, std::string_view retry_after) const;
    void play_event(testing::RawSocket& socket, const UpstreamWire& wire, Fault fault,
                    std::size_t index);
    void repeat(testing::RawSocket& socket, std::string_view bytes, std::size_t bytes_max,
                std::chrono::milliseconds pause);

    UniqueFd listener_;
    std::string address_;
    std::atomic<bool> stops_ = false;
    std::atomic<std::size_t> bytes_taken_ = 0;
    std::atomic<std::size_t> requests_ = 0;
    std::mutex mutex_;
    std::condition_variable news_;
    std::deque<UniqueFd> waiting_;
    std::vector<std::thread> servers_;
    std::thread acceptor_;
};

}  // namespace hearth::system_test
