#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "api/ollama.h"
#include "http/server.h"
#include "server/answer.h"

namespace hearth::server {

// Progress on its way to the caller: line by line, or nothing until the end.
class ProgressAnswer {
  public:
    ProgressAnswer(http::Exchange& exchange, bool streams)
        : exchange_(exchange), streams_(streams) {}

    Awaitable<Result<void>> line(std::string_view text) {
        if (!streams_) co_return Result<void>();
        if (!std::exchange(started_, true)) {
            CO_TRY_VOID(co_await start_answer(exchange_, "application/x-ndjson", {}));
        }
        co_return co_await exchange_.write(std::string(text) + "\n");
    }
    Awaitable<void> succeed() {
        constexpr std::string_view kSuccess = R"({"status":"success"})";
        if (!streams_) {
            co_await answer(exchange_, {.body = std::string(kSuccess)});
        } else if (co_await line(kSuccess)) {
            (void)co_await exchange_.finish();
        }
    }
    Awaitable<void> refuse(const Error& error) {
        api::Reply reply = api::ollama::encode_error(error);
        if (!started_) {
            co_await answer(exchange_, std::move(reply));
        } else if (co_await line(reply.body)) {
            (void)co_await exchange_.finish();
        }
    }

  private:
    http::Exchange& exchange_;
    const bool streams_;
    bool started_ = false;
};

}  // namespace hearth::server
