// zero-delay-upstream: a text server that has nothing to think about, for the bench of what a
// gateway adds. Speaks OpenAI's chat dialect: POST /v1/chat/completions answers at once, whole, or,
// where the body says "stream":true, as an event per token, each written by itself; of a model
// whose name ends in "-paced" a millisecond after the one before. GET /v1/models lists both. Prints
// one ready line and serves until SIGTERM.
#include <string>

#include "base/format.h"
#include "bench_server.h"
#include "http/server.h"
#include "runtime/deadline.h"

namespace hearth::bench {
namespace {

std::size_t tokens = 32;
constexpr std::string_view kModels =
    R"({"object":"list","data":[{"id":"zero","object":"model","created":1,"owned_by":"bench"},)"
    R"({"id":"zero-paced","object":"model","created":1,"owned_by":"bench"}]})";
constexpr std::chrono::milliseconds kPace{1};

std::string whole_answer() {
    std::string text;
    for (std::size_t i = 0; i < tokens; ++i) text += " token";
    return format(
        R"({{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"zero","choices":[)"
        R"({{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],)"
        R"("usage":{{"prompt_tokens":12,"completion_tokens":{},"total_tokens":{}}}}})",
        text, tokens, tokens + 12);
}

std::string event(std::string_view delta, std::string_view reason) {
    return format(
        R"(data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"zero",)"
        R"("choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}})"
        "\n\n",
        delta, reason);
}

Awaitable<Result<void>> stream(http::Exchange& exchange) {
    static const std::string token = event(R"({"content":" token"})", "null");
    static const std::string end = event("{}", R"("stop")") + "data: [DONE]\n\n";
    const bool is_paced = exchange.request().body.contains(R"("zero-paced")");
    CO_TRY_VOID(co_await exchange.start({.content_type = "text/event-stream"}));
    for (std::size_t i = 0; i < tokens; ++i) {
        CO_TRY_VOID(co_await exchange.write(token));
        if (is_paced) CO_TRY_VOID(co_await sleep_until(Deadline::after(kPace)));
    }
    CO_TRY_VOID(co_await exchange.write(end));
    co_return co_await exchange.finish();
}

Awaitable<void> answer(http::Exchange& exchange) {
    static const std::string whole = whole_answer();
    const http::Request& request = exchange.request();
    if (request.method != http::Method::Post) {
        (void)co_await exchange.send({.body = std::string(kModels)});
    } else if (request.body.contains(R"("stream":true)")) {
        (void)co_await stream(exchange);
    } else {
        (void)co_await exchange.send({.body = whole});
    }
}

}  // namespace
}  // namespace hearth::bench

// ADDRESS SHARDS TOKENS
int main(int argc, char** argv) {
    const auto number = [&](int index, std::size_t otherwise) {
        return argc > index ? static_cast<std::size_t>(std::stoul(argv[index])) : otherwise;
    };
    hearth::bench::tokens = number(3, hearth::bench::tokens);
    return hearth::bench::serve_until_told("zero-delay-upstream",
                                           argc > 1 ? argv[1] : "127.0.0.1:0", number(2, 0),
                                           hearth::bench::answer);
}
