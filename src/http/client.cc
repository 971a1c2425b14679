#include "http/client.h"

#include <utility>

#include "base/format.h"
#include "http/char_class.h"
#include "http/client_exchange.h"

namespace hearth::http {
namespace {

using Step = ReplyReader::Step;

constexpr std::size_t kHeadBytes = 512;  // of nearly all calls

bool has_field(const Headers& headers, std::string_view name) {
    return headers.find(name).has_value();
}

// Host and port as the Host field has them; a scheme's own port is left out (RFC 9110 4.2.3).
std::string host_of(const Address& address, bool tls) {
    if (address.is_unix) return "localhost";
    const bool v6 = address.host.contains(':');
    const std::string host = v6 ? format("[{}]", address.host) : address.host;
    return address.port == (tls ? "443" : "80") ? host : format("{}:{}", host, address.port);
}

Result<std::string> encode_call(const Call& call, const std::string& host) {
    if (call.method == Method::Other) return fail(Code::InvalidArgument, "a call needs a method");
    if (call.target.empty() || !all_are(kTarget, call.target)) {
        return fail(Code::InvalidArgument,
                    "the request target has a character that must be escaped");
    }
    std::string head;
    head.reserve(kHeadBytes);
    head.append(to_string(call.method)).append(" ").append(call.target).append(" HTTP/1.1\r\n");
    if (!has_field(call.headers, "host")) head.append("Host: ").append(host).append("\r\n");
    if (!has_field(call.headers, "accept-encoding")) head += "Accept-Encoding: identity\r\n";
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

// A body in a coding nobody asked for is of no use to the caller.
Result<void> check_coding(const Call& call, ReplyReader& reader) {
    const auto coding = reader.headers().find("content-encoding");
    const int status = reader.status();
    const bool bodiless = call.method == Method::Head || status == 204 || status == 304;
    if (!coding || coding->empty() || equal_ignoring_case(*coding, "identity") || bodiless ||
        has_field(call.headers, "accept-encoding")) {
        return {};
    }
    return fail(Code::BadUpstream,
                format("the server sent its answer (status {}) coded as \"{}\", which it was told "
                       "not to do",
                       status, all_are(kToken, *coding) ? *coding : "something unknown"));
}

Reply reply_of(ClientExchange& exchange) {
    return {.status = exchange.reader().status(),
            .headers = std::move(exchange.reader().headers()),
            .body = {}};
}

}  // namespace

void MovingLimit::set(Deadline end, std::string reason, std::string message) {
    end_ = end.when();
    reason_ = std::move(reason);
    message_ = std::move(message);
}

Error MovingLimit::error() const {
    return {.code = Code::BadUpstream, .message = message_, .reason = reason_};
}

struct Client::Impl {
    Impl(const std::string& address, ClientOptions options) : pool(address, std::move(options)) {
        const Result<Address>& known = pool.connector().address();
        if (known) host = host_of(*known, pool.options().tls != nullptr);
    }

    Awaitable<Result<std::unique_ptr<ClientExchange>>> open(const Call& call, Deadline deadline);

    ClientPool pool;
    std::string host;  // as the Host field has it
};

// Sends the request and waits for the head of the reply. A kept connection that turns out dead
// costs one more attempt, on a new connection.
Awaitable<Result<std::unique_ptr<ClientExchange>>> Client::Impl::open(const Call& call,
                                                                      Deadline deadline) {
    if (!pool.connector().address()) co_return fail(pool.connector().address().error());
    CO_TRY(const std::string head, encode_call(call, host));
    std::unique_ptr<ClientSocket> socket = pool.idle().take();
    for (;;) {
        if (!socket) {
            CO_TRY(socket, co_await pool.connector().connect(deadline));
        }
        auto exchange = std::make_unique<ClientExchange>(
            pool, std::move(socket),
            ClientExchange::Options{.method = call.method,
                                    .deadline = deadline,
                                    .limits = call.limits.value_or(pool.options().limits),
                                    .moving_limit = call.moving_limit});
        CO_TRY_VOID(co_await exchange->send(head, call.body));
        std::string_view piece;
        const Result<Step> step = co_await exchange->next(piece);
        if (step) {
            CO_TRY_VOID(check_coding(call, exchange->reader()));
            co_return exchange;
        }
        if (!exchange->reused() || step.error().reason != "sent_no_byte") {
            co_return fail(step.error());
        }
    }
}

Client::Client(std::string address, ClientOptions options)
    : impl_(std::make_unique<Impl>(address, std::move(options))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

std::size_t Client::connections_open() const { return impl_->pool.connector().open(); }

Awaitable<Result<Reply>> Client::send(Call call, Deadline deadline) {
    CO_TRY(const auto exchange, co_await impl_->open(call, deadline));
    Reply reply = reply_of(*exchange);
    CO_TRY_VOID(co_await exchange->collect(reply.body));
    co_return reply;
}

Awaitable<Result<Reply>> Client::stream(Call call, Deadline deadline, OnHead on_head,
                                        OnBody on_body) {
    CO_TRY(const auto exchange, co_await impl_->open(call, deadline));
    Reply reply = reply_of(*exchange);
    CO_TRY_VOID(on_head(reply));
    for (;;) {
        std::string_view piece;
        CO_TRY(const Step step, co_await exchange->next(piece));
        if (step == Step::Done) co_return reply;
        CO_TRY_VOID(co_await on_body(piece));
    }
}

}  // namespace hearth::http
