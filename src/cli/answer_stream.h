#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "cli/connection.h"
#include "http/client.h"
#include "http/event_stream.h"
#include "runtime/deadline.h"
#include "runtime/task_group.h"

namespace hearth::cli {

// The reply, or the error it tells; advice where no server answers.
Result<http::Reply> accept_reply(Result<http::Reply> reply, const std::string& address);

// One call whose answer is handed over line by line while it comes: Connection::stream. `io` must
// outlive it and run nothing else meanwhile.
class AnswerStream {
  public:
    AnswerStream(boost::asio::io_context& io, std::string address, Connection::OnLine on_line);

    // Errors: the server's, those of `on_line`; Cancelled after SIGINT.
    Result<void> run(http::Call call, std::chrono::milliseconds time_max);

  private:
    Awaitable<void> stream_task(http::Call call, Deadline deadline);
    Awaitable<Result<void>> take(std::string_view piece);
    Result<void> feed(std::string_view piece);
    Result<void> end();

    boost::asio::io_context& io_;
    const std::string address_;
    const Connection::OnLine on_line_;
    enum class Form { Whole, Lines, Events } form_ = Form::Whole;
    int status_ = 0;
    std::string whole_;
    http::LineParser lines_;
    http::EventStreamParser events_;
    std::optional<Result<void>> result_;
    runtime::TaskGroup tasks_;
};

}  // namespace hearth::cli
