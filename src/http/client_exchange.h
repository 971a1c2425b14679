#pragma once

// Internal to http/: includes Asio.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/client_pool.h"
#include "http/reply_reader.h"

namespace hearth::http {

// One request and its reply on one connection, which goes back to the pool when both are whole.
// Shard-local; `pool` and `limit` outlive it.
class ClientExchange {
  public:
    using Step = ReplyReader::Step;
    using Clock = Pollable::Clock;
    struct Options {
        Method method = Method::Get;
        Deadline deadline;
        CallLimits limits;
        const MovingLimit* moving_limit = nullptr;
    };

    ClientExchange(ClientPool& pool, std::unique_ptr<ClientSocket> socket, Options options);
    ~ClientExchange();
    ClientExchange(const ClientExchange&) = delete;
    ClientExchange& operator=(const ClientExchange&) = delete;

    ReplyReader& reader() { return reader_; }
    bool reused() const { return socket_->used_before(); }

    // A server that refuses closes early: what it said before still counts, so failing is left to
    // reading.
    Awaitable<Result<void>> send(std::string_view head, std::string_view body);
    // The next step that is not More.
    Awaitable<Result<Step>> next(std::string_view& piece);
    // Reads the rest of the reply into `body`: a long one of known length without passing a buffer.
    Awaitable<Result<void>> collect(std::string& body);

  private:
    void join_pieces(std::string_view& piece);

    enum class Phase : std::uint8_t { Sending, Head, FirstByte, Body };
    static constexpr Clock::time_point kNever = Clock::time_point::max();

    void enter(Phase phase) {
        phase_ = phase;
        phase_end_ = kNever;
    }
    CallLimits::Time phase_limit() const;
    Clock::time_point end() const;
    Error expired() const;
    Awaitable<Result<void>> wait();
    Result<Step> closed(Socket::Io how);
    Error no_answer() const;
    Error cut_off() const;
    Result<Step> check(Step step);

    ClientPool& pool_;
    std::unique_ptr<ClientSocket> socket_;
    std::unique_ptr<ClientPool::Buffer> buffer_;
    ReplyReader reader_;
    const Options options_;
    std::string_view input_;
    Phase phase_ = Phase::Sending;
    Clock::time_point phase_end_ = kNever;  // set by the first wait of the phase
    bool done_ = false;
    bool refused_ = false;  // the server takes no more of the request
};

}  // namespace hearth::http
