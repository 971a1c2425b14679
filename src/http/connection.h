#pragma once

// Internal to http/: includes Asio.
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "http/reply_head.h"
#include "http/request_reader.h"
#include "http/server.h"
#include "http/socket.h"
#include "runtime/task_group.h"

namespace hearth::http {

class ServerShard;

// One client: reads requests, calls the handler for each, writes the answers in order. It is the
// Exchange the handler sees. Lives in the coroutine that serves it; all its waits are in run(),
// which ends by exception when the task is cancelled.
class Connection final : public Exchange {
  public:
    struct Options {
        UniqueFd fd;
        std::string peer;
        runtime::TaskId task{};
    };
    Connection(ServerShard& shard, Options options);
    ~Connection() override;

    // False: the kernel would not watch it.
    bool registered() const { return socket_.registered(); }
    // Serves until the connection is done with.
    Awaitable<void> run();
    // Ends it now when it only waits for a next request.
    void close_if_idle();
    // Sends what has gathered, without waiting.
    void flush_now();

    const Request& request() const override;
    Request take_request() override;
    Awaitable<Result<std::string>> read_body() override;
    Awaitable<Result<void>> send(Response response) override;
    Awaitable<Result<void>> start(Response head) override;
    Awaitable<Result<void>> write(std::string_view bytes) override;
    Awaitable<Result<void>> finish() override;

  private:
    friend class ServerShard;
    using Step = RequestReader::Step;
    using Clock = Pollable::Clock;
    enum class Answer : std::uint8_t { None, Streaming, Done };
    enum class Input : std::uint8_t { Wait, Request, Refused, Closed };

    // Of an answer that no handler gives.
    std::string own_body(int status, std::string_view message, std::string_view type) const;
    Input read_request();
    Input read_once();
    Input after(Step step);
    void begin_request();
    Awaitable<Input> wait_for_request();
    Input on_time_out();
    Clock::time_point input_deadline();
    Awaitable<Result<void>> receive_piece(Clock::time_point until);
    Awaitable<void> handle();
    Awaitable<void> repair(std::exception_ptr failure);
    Awaitable<void> refuse();
    Awaitable<void> linger();
    Awaitable<bool> flush();
    Awaitable<Result<void>> send_all(Pieces pieces);
    Result<void> gone() const;
    void open_answer(const Response& response, std::string& out, Delimiter delimiter);
    bool may_gather(std::size_t size) const;

    ServerShard& shard_;
    const std::string peer_;
    const runtime::TaskId task_;
    Socket socket_;
    std::unique_ptr<RequestReader> reader_;  // lent by the shard while there is something to read
    std::string pending_;                    // written, not sent; goes first
    Clock::time_point phase_end_ = Clock::time_point::max();
    std::size_t piece_bytes_ = 0;  // of a streamed body since phase_end_ was set
    int requests_in_turn_ = 0;
    Answer answer_ = Answer::None;
    bool keep_ = true;       // the connection may serve another request
    bool bodiless_ = false;  // HEAD
    bool raw_ = false;       // stream without chunks, for HTTP/1.0
    bool idle_ = false;
    bool in_body_ = false;
    bool late_ = false;  // the client read too slowly
    bool flush_due_ = false;
    Connection* previous_ = nullptr;
    Connection* next_ = nullptr;
};

}  // namespace hearth::http
