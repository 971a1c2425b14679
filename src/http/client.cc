#include "http/client.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "http/char_class.h"
#include "http/client_pool.h"
#include "http/reply_reader.h"

namespace hearth::http {
namespace {

constexpr std::size_t kDirectMin = 16 << 10;  // larger rests of a body are read to their place
constexpr std::size_t kGrowthMax = 8 << 20;

using Step = ReplyReader::Step;

bool has_field(const Headers& headers, std::string_view name) {
    return headers.find(name).has_value();
}

Result<std::string> encode_call(const Call& call, const Address& address) {
    if (call.method == Method::Other) return fail(Code::InvalidArgument, "a call needs a method");
    if (call.target.empty() || !all_are(kTarget, call.target)) {
        return fail(Code::InvalidArgument,
                    "the request target has a character that must be escaped");
    }
    std::string head;
    head.append(to_string(call.method)).append(" ").append(call.target).append(" HTTP/1.1\r\n");
    if (!has_field(call.headers, "host")) {
        const bool v6 = address.host.contains(':');
        head += address.is_unix ? "Host: localhost\r\n"
                : v6            ? format("Host: [{}]:{}\r\n", address.host, address.port)
                                : format("Host: {}:{}\r\n", address.host, address.port);
    }
    for (const auto [name, value] : call.headers.all()) {
        if (name.empty() || !all_are(kToken, name) || !all_are(kFieldValue, value)) {
            return fail(Code::InvalidArgument, "a header field has a forbidden character");
        }
        if (equal_ignoring_case(name, "content-length") ||
            equal_ignoring_case(name, "transfer-encoding")) {
            continue;
        }
        head.append(name).append(": ").append(value).append("\r\n");
    }
    const bool expects_body =
        call.method == Method::Post || call.method == Method::Put || call.method == Method::Patch;
    if (expects_body || !call.body.empty()) {
        head += format("Content-Length: {}\r\n", call.body.size());
    }
    head += "\r\n";
    return head;
}

std::unexpected<Error> late() { return fail(Code::DeadlineExceeded, "took longer than allowed"); }

// One request and its reply on one connection.
class Exchanging {
  public:
    Exchanging(ClientPool& pool, std::unique_ptr<Socket> socket, Method method, Deadline deadline)
        : pool_(pool),
          socket_(std::move(socket)),
          buffer_(pool.lend_buffer()),
          reader_({.header_bytes_max = pool.options().header_bytes_max,
                   .body_bytes_max = pool.options().body_bytes_max},
                  method),
          deadline_(deadline) {}
    ~Exchanging() {
        pool_.take_back(std::move(buffer_));
        if (done_ && reader_.persistent() && input_.empty()) pool_.put_idle(std::move(socket_));
    }
    Exchanging(const Exchanging&) = delete;
    Exchanging& operator=(const Exchanging&) = delete;

    // No byte of a reply has come: the request may go to another connection.
    bool untouched() const { return !reader_.started(); }
    ReplyReader& reader() { return reader_; }

    Awaitable<Result<void>> send(std::string_view head, std::string_view body);
    // The next step that is not More.
    Awaitable<Result<Step>> next(std::string_view& piece);
    Awaitable<Result<void>> collect(std::string& body);

  private:
    Awaitable<Result<void>> wait(bool for_writing);
    Result<Step> closed(Socket::Io how);
    Result<Step> check(Step step);

    ClientPool& pool_;
    std::unique_ptr<Socket> socket_;
    std::unique_ptr<ClientPool::Buffer> buffer_;
    ReplyReader reader_;
    Deadline deadline_;
    std::string_view input_;
    bool done_ = false;
    bool refused_ = false;  // the server takes no more of the request
};

Awaitable<Result<void>> Exchanging::wait(bool for_writing) {
    const Wake wake = for_writing ? co_await socket_->wait_writable(deadline_.when())
                                  : co_await socket_->wait_readable(deadline_.when());
    switch (wake) {
        case Wake::Ready: co_return Result<void>();
        case Wake::TimedOut: co_return late();
        case Wake::Cancelled: break;
    }
    co_return fail(Code::Cancelled, "cancelled");
}

// A server that refuses closes early: what it said before still counts, so failing is left to
// reading.
Awaitable<Result<void>> Exchanging::send(std::string_view head, std::string_view body) {
    Pieces pieces;
    pieces.add(head);
    pieces.add(body);
    for (;;) {
        switch (socket_->write(pieces)) {
            case Socket::Io::Some: co_return Result<void>();
            case Socket::Io::WouldBlock: break;
            case Socket::Io::End:
            case Socket::Io::Failed: refused_ = true; co_return Result<void>();
        }
        CO_TRY_VOID(co_await wait(true));
    }
}

Result<Step> Exchanging::check(Step step) {
    if (step == Step::Done) {
        done_ = !refused_;
    } else if (step == Step::Bad) {
        return fail(Code::BadUpstream, format("malformed reply: {}", reader_.refusal()));
    }
    return step;
}

Result<Step> Exchanging::closed(Socket::Io how) {
    if (untouched()) {
        return fail(Error{.code = Code::Unavailable,
                          .message = "the server closed the connection before it answered",
                          .reason = "sent_no_byte"});
    }
    if (how == Socket::Io::Failed) {
        return fail(Code::BadUpstream, "the connection broke inside the reply");
    }
    return check(reader_.end());
}

Awaitable<Result<Step>> Exchanging::next(std::string_view& piece) {
    for (;;) {
        if (const Step step = reader_.next(input_, piece); step != Step::More) {
            co_return check(step);
        }
        while (!socket_->readable()) CO_TRY_VOID(co_await wait(false));
        // A server that never pauses must not outlive the deadline either.
        if (deadline_.passed()) co_return late();
        const Socket::Read got = socket_->read(buffer_->data(), buffer_->size());
        input_ = {buffer_->data(), got.size};
        if (got.io == Socket::Io::End || got.io == Socket::Io::Failed) co_return closed(got.io);
    }
}

// Reads the rest of the reply into `body`: a long one of known length without passing a buffer.
Awaitable<Result<void>> Exchanging::collect(std::string& body) {
    for (;;) {
        if (!input_.empty() || reader_.known_left() < kDirectMin) {
            std::string_view piece;
            CO_TRY(const Step step, co_await next(piece));
            if (step == Step::Done) co_return Result<void>();
            body.append(piece);
            continue;
        }
        while (!socket_->readable()) CO_TRY_VOID(co_await wait(false));
        if (deadline_.passed()) co_return late();
        // Memory follows what has come, so that a server cannot claim it with a header.
        const std::size_t have = body.size();
        const auto more = std::size_t(std::min<std::uint64_t>(
            reader_.known_left(), std::clamp(have, ClientPool::kReceiveSize, kGrowthMax)));
        Socket::Read got;
        body.resize_and_overwrite(have + more, [&](char* data, std::size_t) {
            got = socket_->read(data + have, more);
            return have + got.size;
        });
        if (got.io == Socket::Io::End || got.io == Socket::Io::Failed) {
            CO_TRY(const Step step, closed(got.io));
            if (step == Step::Done) co_return Result<void>();
        }
        CO_TRY(const Step step, check(reader_.received(got.size)));
        if (step == Step::Done) co_return Result<void>();
    }
}

}  // namespace

struct Client::Impl {
    ClientPool pool;

    Awaitable<Result<std::unique_ptr<Exchanging>>> open(const Call& call, Deadline deadline);
};

// Sends the request and waits for the head of the reply. A kept connection that turns out dead
// costs one more attempt, on a new connection.
Awaitable<Result<std::unique_ptr<Exchanging>>> Client::Impl::open(const Call& call,
                                                                  Deadline deadline) {
    if (!pool.address()) co_return fail(pool.address().error());
    CO_TRY(const std::string head, encode_call(call, *pool.address()));
    std::unique_ptr<Socket> socket = pool.take_idle();
    for (bool reused = socket != nullptr;; reused = false) {
        if (!reused) {
            CO_TRY(socket, co_await pool.connect(deadline));
        }
        auto exchange =
            std::make_unique<Exchanging>(pool, std::move(socket), call.method, deadline);
        Result<void> sent = co_await exchange->send(head, call.body);
        if (!sent) co_return fail(std::move(sent).error());
        std::string_view piece;
        Result<Step> step = co_await exchange->next(piece);
        if (step) co_return exchange;
        const bool again =
            reused && exchange->untouched() && step.error().code == Code::Unavailable;
        if (!again) co_return fail(std::move(step).error());
    }
}

Client::Client(std::string address, ClientOptions options)
    : impl_(std::make_unique<Impl>(ClientPool(address, options))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Awaitable<Result<Reply>> Client::send(Call call, Deadline deadline) {
    CO_TRY(const auto exchange, co_await impl_->open(call, deadline));
    Reply reply;
    reply.status = exchange->reader().status();
    reply.headers = std::move(exchange->reader().headers());
    CO_TRY_VOID(co_await exchange->collect(reply.body));
    co_return reply;
}

Awaitable<Result<Reply>> Client::stream(Call call, Deadline deadline, OnHead on_head,
                                        OnBody on_body) {
    CO_TRY(const auto exchange, co_await impl_->open(call, deadline));
    Reply reply;
    reply.status = exchange->reader().status();
    reply.headers = std::move(exchange->reader().headers());
    CO_TRY_VOID(on_head(reply));
    for (;;) {
        std::string_view piece;
        CO_TRY(const Step step, co_await exchange->next(piece));
        if (step == Step::Done) co_return reply;
        CO_TRY_VOID(co_await on_body(piece));
    }
}

}  // namespace hearth::http
