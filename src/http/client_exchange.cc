#include "http/client_exchange.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/format.h"

namespace hearth::http {
namespace {

constexpr std::size_t kDirectMin = 16 << 10;  // larger rests of a body are read to their place
constexpr std::size_t kGrowthMax = 8 << 20;

bool has_ended(Socket::Io io) { return io == Socket::Io::End || io == Socket::Io::Failed; }

}  // namespace

ClientExchange::ClientExchange(ClientPool& pool, std::unique_ptr<ClientSocket> socket,
                               Options options)
    : pool_(pool),
      socket_(std::move(socket)),
      buffer_(pool.lend_buffer()),
      reader_({.header_bytes_max = pool.options().header_bytes_max,
               .body_bytes_max = pool.options().body_bytes_max},
              options.method),
      options_(options) {}

ClientExchange::~ClientExchange() {
    pool_.take_back(std::move(buffer_));
    if (done_ && reader_.persistent() && input_.empty()) pool_.idle().put(std::move(socket_));
}

CallLimits::Time ClientExchange::phase_limit() const {
    switch (phase_) {
        case Phase::Sending:
        case Phase::Head: return options_.limits.header;
        case Phase::FirstByte: return options_.limits.first_byte;
        case Phase::Body: return options_.limits.idle;
    }
    return std::nullopt;
}

// The earliest of all limits.
ClientExchange::Clock::time_point ClientExchange::end() const {
    const auto end = std::min(options_.deadline.when(), phase_end_);
    return options_.moving_limit ? std::min(end, options_.moving_limit->end()) : end;
}

// Which of them that was.
Error ClientExchange::expired() const {
    const auto end = this->end();
    if (end == options_.deadline.when()) {
        return {.code = Code::DeadlineExceeded,
                .message = "took longer than allowed",
                .reason = "total_timeout"};
    }
    if (end != phase_end_) return options_.moving_limit->error();
    const auto limit = phase_limit().value_or(std::chrono::milliseconds(0)).count();
    switch (phase_) {
        case Phase::Sending:
            return {.code = Code::Unavailable,
                    .message = format("the server took nothing of the request for {} ms", limit),
                    .reason = "header_timeout"};
        case Phase::Head:
            return {.code = Code::Unavailable,
                    .message = format("the server did not begin to answer within {} ms", limit),
                    .reason = "header_timeout"};
        case Phase::FirstByte:
            return {.code = Code::BadUpstream,
                    .message = format("the server sent a head, but no body within {} ms", limit),
                    .reason = "first_byte_timeout"};
        case Phase::Body: break;
    }
    return {.code = Code::BadUpstream,
            .message = format("the server paused for more than {} ms inside its answer", limit),
            .reason = "idle_timeout"};
}

Awaitable<Result<void>> ClientExchange::wait() {
    if (phase_end_ == kNever) {
        if (const auto limit = phase_limit()) phase_end_ = Clock::now() + *limit;
    }
    const Wake wake = phase_ == Phase::Sending ? co_await socket_->wait_writable(end())
                                               : co_await socket_->wait_readable(end());
    switch (wake) {
        case Wake::Ready: co_return Result<void>();
        case Wake::TimedOut: co_return fail(expired());
        case Wake::Cancelled: break;
    }
    co_return fail(Code::Cancelled, "cancelled");
}

Awaitable<Result<void>> ClientExchange::send(std::string_view head, std::string_view body) {
    Pieces pieces;
    pieces.add(head);
    pieces.add(body);
    for (;;) {
        const std::size_t left = pieces.bytes();
        const Socket::Io io = socket_->write(pieces);
        if (io != Socket::Io::WouldBlock) {
            refused_ = io != Socket::Io::Some;
            break;
        }
        if (pieces.bytes() < left) enter(Phase::Sending);
        CO_TRY_VOID(co_await wait());
    }
    enter(Phase::Head);
    co_return Result<void>();
}

Result<ClientExchange::Step> ClientExchange::check(Step step) {
    switch (step) {
        case Step::Done: done_ = !refused_; break;
        case Step::Bad:
            return fail(Code::BadUpstream, format("malformed reply: {}", reader_.refusal()));
        case Step::Head: enter(Phase::FirstByte); break;
        case Step::Piece: enter(Phase::Body); break;
        case Step::More: break;
    }
    return step;
}

// Nothing of a reply has come.
Error ClientExchange::no_answer() const {
    const TlsSession* const tls = socket_->tls();
    // Of a kept connection nobody knows what it was about.
    if (tls && tls->failure() && !reused()) return *tls->failure();
    return {.code = Code::Unavailable,
            .message = "the server closed the connection, or was lost, before it answered",
            .reason = "sent_no_byte"};
}

Error ClientExchange::cut_off() const {
    const TlsSession* const tls = socket_->tls();
    return {.code = Code::BadUpstream,
            .message = tls && tls->truncated()
                           ? "the connection ended without the end of TLS: the reply may be cut off"
                           : "the connection broke inside the reply"};
}

Result<ClientExchange::Step> ClientExchange::closed(Socket::Io how) {
    if (!reader_.started()) return fail(no_answer());
    if (how == Socket::Io::Failed) return fail(cut_off());
    return check(reader_.end());
}

// What has come in one read is handed over as one piece, in however many chunks it was sent. What
// ends it, the reader says again when it is asked next.
void ClientExchange::join_pieces(std::string_view& piece) {
    std::string_view more;
    while (!input_.empty() && reader_.next(input_, more) == Step::Piece) {
        char* const end = buffer_->data() + (piece.data() + piece.size() - buffer_->data());
        std::memmove(end, more.data(), more.size());
        piece = {piece.data(), piece.size() + more.size()};
    }
}

Awaitable<Result<ClientExchange::Step>> ClientExchange::next(std::string_view& piece) {
    for (;;) {
        if (const Step step = reader_.next(input_, piece); step != Step::More) {
            if (step == Step::Piece) join_pieces(piece);
            co_return check(step);
        }
        while (!socket_->readable()) CO_TRY_VOID(co_await wait());
        // A server that never pauses must not outlive its limits either.
        if (Clock::now() >= end()) co_return fail(expired());
        const Socket::Read got = socket_->read(buffer_->data(), buffer_->size());
        input_ = {buffer_->data(), got.size};
        if (has_ended(got.io)) co_return closed(got.io);
    }
}

Awaitable<Result<void>> ClientExchange::collect(std::string& body) {
    for (;;) {
        if (!input_.empty() || reader_.known_left() < kDirectMin) {
            std::string_view piece;
            CO_TRY(const Step step, co_await next(piece));
            if (step == Step::Done) co_return Result<void>();
            body.append(piece);
            continue;
        }
        while (!socket_->readable()) CO_TRY_VOID(co_await wait());
        if (Clock::now() >= end()) co_return fail(expired());
        // Memory follows what has come, so that a server cannot claim it with a header.
        const std::size_t have = body.size();
        const auto more = std::size_t(std::min<std::uint64_t>(
            reader_.known_left(), std::clamp(have, ClientPool::kReceiveSize, kGrowthMax)));
        Socket::Read got;
        body.resize_and_overwrite(have + more, [&](char* data, std::size_t) {
            got = socket_->read(data + have, more);
            return have + got.size;
        });
        if (has_ended(got.io)) {
            CO_TRY(const Step step, closed(got.io));
            if (step == Step::Done) co_return Result<void>();
        }
        if (got.size > 0) enter(Phase::Body);
        CO_TRY(const Step step, check(reader_.received(got.size)));
        if (step == Step::Done) co_return Result<void>();
    }
}

}  // namespace hearth::http
