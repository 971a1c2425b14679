#pragma once

// For tests only: a server with handlers that show one behaviour each.
#include <zlib.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <regex>
#include <stdexcept>
#include <string>

#include "http/server.h"
#include "runtime/deadline.h"
#include "runtime/shard.h"
#include "testing/raw_socket.h"

namespace hearth::http::testing {

using hearth::testing::RawSocket;

struct Seen {
    std::atomic<int> calls{0};
    std::atomic<int> finished{0};   // handlers that came to their end
    std::atomic<int> destroyed{0};  // handlers that ended in any way
    std::atomic<int> write_errors{0};
};

struct CountEnd {
    Seen& seen;
    ~CountEnd() { ++seen.destroyed; }
};

inline Response text(std::string body, int status = 200) {
    return {.status = status, .content_type = "text/plain", .headers = {}, .body = std::move(body)};
}

inline Awaitable<void> stream(Exchange& exchange, Seen& seen, int pieces, std::size_t size) {
    Response head;
    head.content_type = "text/event-stream";
    (void)co_await exchange.start(std::move(head));
    for (int i = 0; i < pieces; ++i) {
        const std::string piece(size, char('a' + i % 26));
        if (!co_await exchange.write(piece)) {
            ++seen.write_errors;
            co_return;
        }
    }
    (void)co_await exchange.finish();
}

// Answers how many bytes came, and a sum of them that knows their order.
inline Awaitable<void> take_upload(Exchange& exchange) {
    std::size_t count = 0;
    std::uint32_t sum = 0;
    for (;;) {
        const auto piece = co_await exchange.read_body();
        if (!piece) {
            (void)co_await exchange.send(text(piece.error().message, 400));
            co_return;
        }
        if (piece->empty()) break;
        count += piece->size();
        for (const char byte : *piece) sum = sum * 31 + std::uint8_t(byte);
    }
    (void)co_await exchange.send(text(std::to_string(count) + " " + std::to_string(sum)));
}

inline Awaitable<void> answer(Exchange& exchange, Seen& seen) {
    ++seen.calls;
    CountEnd at_end{seen};
    const Request& request = exchange.request();
    const std::string path = request.path;
    if (path == "/echo") {
        (void)co_await exchange.send(text(exchange.take_request().body));
    } else if (path == "/upload") {
        co_await take_upload(exchange);
    } else if (path == "/upload/refused") {
        (void)co_await exchange.send(text("no", 403));
    } else if (path == "/target") {
        (void)co_await exchange.send(
            text(request.path + "|" + request.query + "|" + request.target));
    } else if (path == "/fields") {
        std::string all;
        for (const auto [name, value] : request.headers.all()) {
            all += std::string(name) + "=" + std::string(value) + ";";
        }
        (void)co_await exchange.send(text(all));
    } else if (path == "/slow") {
        const auto time = std::chrono::milliseconds(std::stoi("0" + request.query));
        (void)co_await sleep_until(Deadline::after(time));
        (void)co_await exchange.send(text("slow"));
    } else if (path == "/stream") {
        co_await stream(exchange, seen, 3, 5);
    } else if (path == "/flood") {
        co_await stream(exchange, seen, 4'000, 64 << 10);
    } else if (path == "/big") {
        (void)co_await exchange.send(text(std::string(8 << 20, 'b')));
    } else if (path == "/throw") {
        throw std::runtime_error("thrown by a test");
    } else if (path == "/throw-late") {
        (void)co_await exchange.start(text(""));
        (void)co_await exchange.write("half");
        throw std::runtime_error("thrown by a test");
    } else if (path == "/silent") {
        co_return;
    } else if (path == "/no-content") {
        (void)co_await exchange.send(text("left out", 204));
    } else if (path == "/injection") {
        Response response = text("ok");
        response.headers.add("X-Good", "yes");
        response.headers.add("X-Bad", "a\r\nSet-Cookie: b");
        response.headers.add("Content-Length", "1000");
        (void)co_await exchange.send(std::move(response));
    } else {
        (void)co_await exchange.send(text("ok"));
    }
    ++seen.finished;
}

// A running server on a free port of the loopback address.
struct TestServer {
    explicit TestServer(ServerOptions options = {}, std::size_t count = 1)
        : shards(count), server(shards, with_uploads(options), [this](Exchange& exchange) {
              return answer(exchange, seen);
          }) {
        shards.start();
        address = server.listen("127.0.0.1:0").value_or("none");
    }
    ~TestServer() { server.stop(std::chrono::milliseconds(0)); }
    static ServerOptions with_uploads(ServerOptions options) {
        options.streams_body = [](const Request& head) { return head.path.starts_with("/upload"); };
        return options;
    }

    RawSocket connect() const { return RawSocket::connect(address); }
    // The whole answer to `bytes`, until the server closes.
    std::string exchange(std::string_view bytes) const {
        RawSocket socket = connect();
        (void)socket.send(bytes);
        return socket.read_to_end().value_or("(not closed)");
    }

    Seen seen;
    runtime::Shards shards;
    Server server;
    std::string address;
};

inline std::string undated(std::string reply) {
    return std::regex_replace(reply, std::regex("Date: [^\r]*\r\n"), "");
}

inline int status_of(const std::string& reply) {
    return reply.starts_with("HTTP/1.1 ") ? std::atoi(reply.c_str() + 9) : -1;
}

inline std::string gzip(const std::string& text) {
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    std::string out(deflateBound(&stream, text.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = uInt(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = uInt(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
}

inline std::string post(const std::string& body, const std::string& fields = "") {
    return "POST /echo HTTP/1.1\r\nHost: h\r\n" + fields +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, 1);
    }
    return true;
}

}  // namespace hearth::http::testing
