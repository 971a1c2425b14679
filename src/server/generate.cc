#include "server/generate.h"

#include <utility>

#include "server/answer.h"

namespace hearth::server {
namespace {

using Clock = std::chrono::steady_clock;

// Silence longer than this could make a proxy or a client give up.
constexpr auto kSilenceMax = std::chrono::seconds(10);
constexpr int kShorteningsMax = 16;

// The end of the chain: bytes for the caller.
class ExchangeSink final : public inference::Sink {
  public:
    ExchangeSink(http::Exchange& exchange, api::AnswerWriter& writer, bool relays,
                 std::string request_id)
        : exchange_(exchange), writer_(writer), relays_(relays) {
        provenance_.request_id = std::move(request_id);
    }

    void begin(inference::Origin origin) override {
        provenance_.model = std::move(origin.model);
        provenance_.backend = std::move(origin.backend);
        provenance_.outcome = origin.outcome;
    }
    Awaitable<Result<void>> push(boost::json::object event) override {
        CO_TRY_VOID(writer_.event(std::move(event), out_));
        co_return co_await flush();
    }
    Awaitable<Result<void>> alive() override {
        if (!writer_.streams() || Clock::now() - written_ < kSilenceMax) co_return Result<void>();
        writer_.alive(out_);
        co_return co_await flush();
    }

    bool relays() const override { return relays_; }
    bool shows_at_once() const override { return writer_.streams(); }
    // An upstream that speaks the caller's dialect has written it already.
    Awaitable<Result<void>> relay(std::string_view bytes, bool) override {
        relayed_ = true;
        out_ += bytes;
        co_return co_await flush();
    }

    Awaitable<void> finish(const inference::GenerateReply& reply) {
        if (!relayed_) writer_.finish(reply, out_);
        if (writer_.streams()) {
            if (co_await flush()) (void)co_await exchange_.finish();
            co_return;
        }
        co_await answer(
            exchange_,
            {.content_type = std::string(writer_.content_type()), .body = std::move(out_)},
            std::move(provenance_));
    }
    Awaitable<void> refuse(const Error& error, const EncodeError& encode_error) {
        if (!started_) {
            co_await answer(exchange_, encode_error(error), std::move(provenance_));
            co_return;
        }
        out_.clear();
        writer_.error(error, out_);
        if (co_await flush()) (void)co_await exchange_.finish();
    }

  private:
    Awaitable<Result<void>> flush() {
        if (out_.empty() || !writer_.streams()) co_return Result<void>();
        if (!std::exchange(started_, true)) {
            CO_TRY_VOID(co_await start_answer(exchange_, writer_.content_type(), provenance_));
        }
        CO_TRY_VOID(co_await exchange_.write(out_));
        out_.clear();
        written_ = Clock::now();
        co_return Result<void>();
    }

    http::Exchange& exchange_;
    api::AnswerWriter& writer_;
    const bool relays_;
    bool relayed_ = false;
    Provenance provenance_;
    std::string out_;
    bool started_ = false;
    Clock::time_point written_ = Clock::now();
};

}  // namespace

Awaitable<void> generate(const Gateway& gateway, http::Exchange& exchange,
                         inference::GenerateRequest request, pipeline::Caller caller,
                         api::AnswerWriter& writer, EncodeError encode_error, Shorten shorten,
                         std::string request_id) {
    gateway.directory.apply_defaults(request);
    ExchangeSink sink(exchange, writer, request.original != nullptr, std::move(request_id));
    const Deadline deadline = Deadline::after(gateway.config.llama.request_time);
    auto reply = co_await gateway.serve.generate(request, caller, sink, deadline);
    for (int shortened = 0; !reply && shortened < kShorteningsMax; ++shortened) {
        const Error& error = reply.error();
        const bool again = shorten != nullptr && error.reason == "context_length_exceeded" &&
                           shorten(request, error.amount, error.limit);
        if (!again) break;
        request.original = nullptr;
        reply = co_await gateway.serve.generate(request, caller, sink, deadline);
    }
    if (reply) {
        co_await sink.finish(*reply);
    } else {
        co_await sink.refuse(reply.error(), encode_error);
    }
}

}  // namespace hearth::server
