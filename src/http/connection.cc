#include "http/connection.h"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <utility>

#include "http/server_shard.h"
#include "telemetry/log.h"

namespace asio = boost::asio;

namespace hearth::http {
namespace {

constexpr std::size_t kGatherMax = 64 << 10;
constexpr std::size_t kTimedBytes = 1 << 20;   // of a streamed body, in body_time
constexpr std::size_t kPendingKept = 1 << 10;  // of an idle connection
constexpr int kRequestsPerTurn = 64;
constexpr std::chrono::seconds kLingerTime{2};
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::string describe(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "unknown";
    }
}

bool status_has_body(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

Connection::Connection(ServerShard& shard, Options options)
    : shard_(shard),
      peer_(std::move(options.peer)),
      task_(options.task),
      socket_(shard.poller(), std::move(options.fd)) {
    shard_.enter(*this);
}

Connection::~Connection() {
    if (reader_) shard_.take_back(std::move(reader_));
    shard_.leave(*this);
}

Awaitable<void> Connection::run() {
    for (;;) {
        Input input = read_request();
        if (input == Input::Wait) input = co_await wait_for_request();
        if (input == Input::Refused) {
            co_await refuse();
            co_return;
        }
        if (input == Input::Closed) break;
        co_await handle();
        if (!keep_) break;
        if (++requests_in_turn_ >= kRequestsPerTurn) {
            // A client that sends many requests at once must not hold up the others of the shard.
            requests_in_turn_ = 0;
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
    }
    if (!co_await flush()) co_return;
    const bool unread = reader_ && (reader_->has_input() || reader_->in_streamed_body());
    if (!socket_.peer_closed() && unread) co_await linger();
}

// Reads as long as there is something, without waiting.
Connection::Input Connection::read_request() {
    if (reader_ && reader_->has_input()) {
        if (const Input input = after(reader_->next()); input != Input::Wait) return input;
    } else if (reader_) {
        (void)reader_->next();
    }
    while (socket_.readable()) {
        if (const Input input = read_once(); input != Input::Wait) return input;
    }
    return Input::Wait;
}

Connection::Input Connection::read_once() {
    auto& buffer = shard_.receive_buffer();
    const std::span<char> space = reader_ ? reader_->body_space() : std::span<char>();
    const Socket::Read got = space.empty() ? socket_.read(buffer.data(), buffer.size())
                                           : socket_.read(space.data(), space.size());
    Step step = Step::More;
    if (!space.empty()) {
        step = reader_->received(got.size);
    } else if (got.size > 0) {
        if (!reader_) reader_ = shard_.lend_reader();
        step = reader_->feed({buffer.data(), got.size});
    }
    if (got.io == Socket::Io::End || got.io == Socket::Io::Failed) return Input::Closed;
    return after(step);
}

Connection::Input Connection::after(Step step) {
    switch (step) {
        case Step::More: return Input::Wait;
        case Step::Done: return Input::Request;
        case Step::Bad: return Input::Refused;
    }
    return Input::Closed;
}

Awaitable<Connection::Input> Connection::wait_for_request() {
    for (;;) {
        requests_in_turn_ = 0;
        if (reader_ && reader_->take_continue()) pending_ += kContinue;
        if (!pending_.empty() && !co_await flush()) co_return Input::Closed;
        const bool waiting_for_first = !reader_ || reader_->untouched();
        if (waiting_for_first && shard_.draining()) co_return Input::Closed;
        const Clock::time_point until = input_deadline();
        const Wake wake = co_await socket_.wait_readable(until);
        idle_ = false;
        if (wake == Wake::Cancelled) co_return Input::Closed;
        if (wake == Wake::TimedOut) co_return on_time_out();
        while (socket_.readable()) {
            if (const Input input = read_once(); input != Input::Wait) {
                phase_end_ = Clock::time_point::max();
                co_return input;
            }
        }
    }
}

// The end of the phase the request is in: silence, its head, its body. Each has one limit as a
// whole.
Connection::Clock::time_point Connection::input_deadline() {
    const auto now = Clock::now();
    if (!reader_ || reader_->untouched()) {
        if (reader_) shard_.take_back(std::move(reader_));
        if (pending_.capacity() > kPendingKept) std::string().swap(pending_);
        idle_ = true;
        in_body_ = false;
        phase_end_ = Clock::time_point::max();
        return now + shard_.options().idle_time;
    }
    const bool in_body = reader_->in_body();
    if (phase_end_ == Clock::time_point::max() || in_body != in_body_) {
        in_body_ = in_body;
        phase_end_ = now + (in_body ? shard_.options().body_time : shard_.options().header_time);
    }
    return phase_end_;
}

Connection::Input Connection::on_time_out() {
    if (!reader_) return Input::Closed;
    return Input::Refused;
}

std::string Connection::own_body(int status, std::string_view message,
                                 std::string_view type) const {
    const ErrorBody& make = shard_.options().error_body;
    std::string body = make ? make(status, message, reader_->known_head()) : std::string();
    return body.empty() ? error_body(message, type) : body;
}

// A message that cannot be answered by the handler: the server answers, and reads no further.
Awaitable<void> Connection::refuse() {
    Refusal refusal = reader_->refusal();
    if (refusal.message.empty()) {
        refusal = {.status = 408, .message = "the request did not arrive in time"};
    }
    Response response;
    response.status = refusal.status;
    response.body = own_body(refusal.status, refusal.message, "invalid_request_error");
    keep_ = false;
    answer_ = Answer::None;
    bodiless_ = reader_->is_head();
    if (co_await send(std::move(response))) co_await linger();
}

// Closing while the client still sends would reset the connection and take the answer with it (RFC
// 9112 9.6).
Awaitable<void> Connection::linger() {
    ::shutdown(socket_.fd(), SHUT_WR);
    auto& buffer = shard_.receive_buffer();
    const auto until = Clock::now() + kLingerTime;
    while (Clock::now() < until) {
        while (socket_.readable()) {
            const Socket::Read got = socket_.read(buffer.data(), buffer.size());
            if (got.io == Socket::Io::End || got.io == Socket::Io::Failed) co_return;
            if (Clock::now() >= until) co_return;
        }
        if (co_await socket_.wait_readable(until) != Wake::Ready) co_return;
    }
}

void Connection::begin_request() {
    Request& request = reader_->request();
    if (request.peer != peer_) request.peer = peer_;
    answer_ = Answer::None;
    bodiless_ = reader_->is_head();
    raw_ = false;
    keep_ = reader_->keep_alive();
}

Awaitable<void> Connection::handle() {
    begin_request();
    socket_.set_leave_hook({.call =
                                [](void* self) {
                                    auto* connection = static_cast<Connection*>(self);
                                    connection->shard_.tasks().cancel(connection->task_);
                                },
                            .context = this});
    std::exception_ptr failure;
    try {
        co_await shard_.handler()(*this);
    } catch (...) {
        failure = std::current_exception();
    }
    socket_.set_leave_hook({});
    if (answer_ == Answer::Done && !failure) [[likely]] {
        if (shard_.draining()) keep_ = false;
        co_return;
    }
    co_await repair(failure);
}

// The handler has thrown, or not answered wholly.
Awaitable<void> Connection::repair(std::exception_ptr failure) {
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
        keep_ = false;
        co_return;
    }
    const bool client_gone = socket_.peer_closed() || late_;
    if (failure || !client_gone) {
        log::error("handler failed peer={} error=\"{}\"", peer_,
                   failure ? describe(failure) : "no whole answer");
    }
    if (answer_ == Answer::None) {
        Response response;
        response.status = 500;
        response.body = own_body(500, "an internal error", "server_error");
        (void)co_await send(std::move(response));
    } else if (answer_ == Answer::Streaming) {
        keep_ = false;  // cut: the client sees that the reply is not whole
    }
}

const Request& Connection::request() const { return reader_->request(); }

Request Connection::take_request() { return std::move(reader_->request()); }

Awaitable<Result<std::string>> Connection::read_body() {
    std::string& body = reader_->request().body;
    if (phase_end_ == Clock::time_point::max() || piece_bytes_ >= kTimedBytes) {
        phase_end_ = Clock::now() + shard_.options().body_time;
        piece_bytes_ = 0;
    }
    for (;;) {
        const Step step = reader_->next_piece();
        if (step == Step::Bad) {
            keep_ = false;
            co_return fail(Code::InvalidArgument, std::string(reader_->refusal().message));
        }
        if (!body.empty() || step == Step::Done) break;
        CO_TRY_VOID(co_await receive_piece(phase_end_));
    }
    if (!reader_->in_streamed_body()) phase_end_ = Clock::time_point::max();
    piece_bytes_ += body.size();
    co_return std::exchange(body, {});
}

Awaitable<Result<void>> Connection::receive_piece(Clock::time_point until) {
    if (reader_->take_continue()) pending_ += kContinue;
    if (!co_await flush()) co_return gone();
    auto& buffer = shard_.receive_buffer();
    for (;;) {
        const Socket::Read got = socket_.read(buffer.data(), buffer.size());
        if (got.size > 0) {
            (void)reader_->feed({buffer.data(), got.size});
            co_return Result<void>();
        }
        if (got.io != Socket::Io::WouldBlock) break;
        const Wake wake = co_await socket_.wait_readable(until);
        if (wake == Wake::TimedOut) {
            keep_ = false;
            co_return fail(Code::DeadlineExceeded, "the body comes too slowly");
        }
        if (wake == Wake::Cancelled) break;
    }
    keep_ = false;
    co_return gone();
}

Result<void> Connection::gone() const {
    return fail(Code::Cancelled, late_ ? "the client reads too slowly" : "the client has left");
}

void Connection::open_answer(const Response& response, std::string& out, Delimiter delimiter) {
    // What is left of a streamed body is not read to its end only to be thrown away.
    if (shard_.draining() || reader_->in_streamed_body()) keep_ = false;
    const auto asked = response.headers.find("connection");
    if (asked && equal_ignoring_case(*asked, "close")) keep_ = false;
    std::string_view connection;
    if (!keep_) {
        connection = "close";
    } else if (reader_->is_http_1_0()) {
        connection = "keep-alive";
    }
    append_head(out,
                {.response = response,
                 .delimiter = delimiter,
                 .length = response.body.size(),
                 .connection = connection},
                shard_.date());
}

// While the client's next request is here already, its answer may go out together with this one.
bool Connection::may_gather(std::size_t size) const {
    return keep_ && reader_->has_input() && pending_.size() + size < kGatherMax;
}

Awaitable<Result<void>> Connection::send(Response response) {
    CHECK(answer_ == Answer::None);
    answer_ = Answer::Done;
    const bool has_body = status_has_body(response.status);
    std::string& head = shard_.head_buffer();
    open_answer(response, head, has_body ? Delimiter::Length : Delimiter::None);
    const std::string_view body =
        has_body && !bodiless_ ? std::string_view(response.body) : std::string_view();
    if (may_gather(head.size() + body.size())) {
        pending_.append(head).append(body);
        shard_.flush_soon(*this);
        co_return Result<void>();
    }
    flush_due_ = false;
    Pieces pieces;
    pieces.add(pending_);
    pieces.add(head);
    pieces.add(body);
    const Socket::Io io = socket_.write(pieces);
    if (io == Socket::Io::Some) [[likely]] {
        pending_.clear();
        co_return Result<void>();
    }
    if (io == Socket::Io::Failed) {
        keep_ = false;
        co_return gone();
    }
    // The head's buffer belongs to the shard: keep what is left of it before waiting.
    std::string rest;
    Pieces left;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        if (i + 1 < pieces.size() || body.empty()) rest.append(pieces[i]);
    }
    pending_ = std::move(rest);
    left.add(pending_);
    if (!body.empty()) left.add(pieces[pieces.size() - 1]);
    co_return co_await send_all(left);
}

// Sends everything, `pieces` beginning with pending_. The limit is for each wait, that is, for
// progress.
Awaitable<Result<void>> Connection::send_all(Pieces pieces) {
    flush_due_ = false;  // a flush now would send the same bytes again
    for (;;) {
        switch (socket_.write(pieces)) {
            case Socket::Io::Some: pending_.clear(); co_return Result<void>();
            case Socket::Io::WouldBlock: break;
            case Socket::Io::End:
            case Socket::Io::Failed: keep_ = false; co_return gone();
        }
        const int unsent = socket_.unsent();
        const auto until = Clock::now() + shard_.options().write_time;
        const Wake wake = co_await socket_.wait_writable(until);
        // Writable means a third of the send buffer free; a slow reader's progress shows earlier.
        if (wake == Wake::Ready || (wake == Wake::TimedOut && socket_.unsent() < unsent)) continue;
        keep_ = false;
        late_ = wake == Wake::TimedOut;
        pending_.clear();
        socket_.reset_on_close();
        co_return gone();
    }
}

Awaitable<Result<void>> Connection::start(Response head) {
    CHECK(answer_ == Answer::None && head.body.empty());
    answer_ = Answer::Streaming;
    raw_ = reader_->is_http_1_0();
    if (raw_) keep_ = false;
    if (!status_has_body(head.status)) bodiless_ = true;
    Delimiter delimiter = raw_ ? Delimiter::Close : Delimiter::Chunked;
    if (!status_has_body(head.status)) delimiter = Delimiter::None;
    open_answer(head, pending_, delimiter);
    shard_.flush_soon(*this);  // together with the first piece, if that comes at once
    co_return Result<void>();
}

Awaitable<Result<void>> Connection::write(std::string_view bytes) {
    CHECK(answer_ == Answer::Streaming);
    if (bytes.empty() || bodiless_) co_return Result<void>();
    char size_line[20];
    char* end = std::to_chars(size_line, size_line + 16, bytes.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    Pieces pieces;
    pieces.add(pending_);
    if (!raw_) pieces.add({size_line, std::size_t(end - size_line)});
    pieces.add(bytes);
    if (!raw_) pieces.add("\r\n");
    co_return co_await send_all(pieces);
}

Awaitable<Result<void>> Connection::finish() {
    CHECK(answer_ == Answer::Streaming);
    answer_ = Answer::Done;
    if (!raw_ && !bodiless_) pending_ += kLastChunk;
    if (may_gather(0)) {
        shard_.flush_soon(*this);
        co_return Result<void>();
    }
    Pieces pieces;
    pieces.add(pending_);
    co_return co_await send_all(pieces);
}

// False: the client is gone.
Awaitable<bool> Connection::flush() {
    if (pending_.empty()) co_return true;
    Pieces pieces;
    pieces.add(pending_);
    const Result<void> sent = co_await send_all(pieces);
    co_return sent.has_value();
}

void Connection::flush_now() {
    if (!std::exchange(flush_due_, false)) return;
    Pieces pieces;
    pieces.add(pending_);
    (void)socket_.write(pieces);
    pending_.erase(0, pending_.size() - (pieces.empty() ? 0 : pieces[0].size()));
}

void Connection::close_if_idle() {
    int unread = 0;
    if (!idle_) return;
    // A request that has arrived but was not read yet is still served.
    if (::ioctl(socket_.fd(), FIONREAD, &unread) == 0 && unread > 0) return;
    shard_.tasks().cancel(task_);
}

}  // namespace hearth::http
