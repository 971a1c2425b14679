#include "backends/worker/worker_server.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <utility>

#include "backends/worker/embed_task.h"
#include "backends/worker/protocol.h"
#include "backends/worker/text_pool.h"
#include "backends/worker/wake.h"
#include "base/format.h"
#include "http/server.h"
#include "runtime/shard.h"
#include "tokens/text_prep.h"

namespace hearth::worker {
namespace {

using Clock = std::chrono::steady_clock;

// After its deadline a call waits this much longer for the batcher to say so.
constexpr auto kLateTime = std::chrono::milliseconds(250);
constexpr std::size_t kQueuedWorkMax = 8'192;

std::size_t text_threads(std::size_t wanted) {
    if (wanted > 0) return wanted;
    return std::clamp<std::size_t>(runtime::cpu_quota() / 2, 1, 4);
}

http::Response error_response(const Error& error) {
    return {.status = status_of(error.code), .body = encode_error(error)};
}

// Where a task leaves its answer for the coroutine that waits for it; either may be gone first.
struct Mailbox {
    Wake wake;
    Mutex mutex;
    std::optional<Result<std::string>> answer GUARDED_BY(mutex);

    void put(Result<std::string> value) EXCLUDES(mutex) {
        {
            MutexLock lock(mutex);
            answer = std::move(value);
        }
        wake.notify_all();
    }
    std::optional<Result<std::string>> take() EXCLUDES(mutex) {
        MutexLock lock(mutex);
        return std::exchange(answer, std::nullopt);
    }
};

// Cancels the task when the coroutine that waits for it ends, for whatever reason.
class CancelAtExit {
  public:
    explicit CancelAtExit(std::shared_ptr<EmbedTask> task) : task_(std::move(task)) {}
    ~CancelAtExit() { task_->cancel(); }
    CancelAtExit(const CancelAtExit&) = delete;
    CancelAtExit& operator=(const CancelAtExit&) = delete;

  private:
    std::shared_ptr<EmbedTask> task_;
};

}  // namespace

struct WorkerServer::Impl {
    Impl(encoder::Engine& engine_in, const tokens::Tokenizer& tokenizer,
         WorkerServerOptions options_in)
        : engine(engine_in),
          options(std::move(options_in)),
          prep(tokenizer, engine.config()),
          batcher(engine, options.batch),
          shards(1),
          server(shards, {.body_bytes_max = options.call_bytes_max},
                 [this](http::Exchange& exchange) { return handle(exchange); }),
          pool(text_threads(options.text_threads), kQueuedWorkMax) {}

    Awaitable<void> handle(http::Exchange& exchange);
    Awaitable<http::Response> embed(http::Exchange& exchange);
    Awaitable<Result<std::string>> run(Call call);
    http::Response health() const;
    http::Response info() const;

    // Counts a call and its bytes while it is inside.
    class Place {
      public:
        Place(Impl& impl, std::size_t bytes) : impl_(impl), bytes_(bytes) {
            impl_.calls += 1;
            impl_.bytes += bytes_;
        }
        ~Place() {
            impl_.calls -= 1;
            impl_.bytes -= bytes_;
        }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        bool fits() const {
            return impl_.calls <= impl_.options.calls_max &&
                   impl_.bytes <= impl_.options.call_bytes_max;
        }

      private:
        Impl& impl_;
        const std::size_t bytes_;
    };

    encoder::Engine& engine;
    const WorkerServerOptions options;
    const tokens::TextPrep prep;
    encoder::Batcher batcher;
    runtime::Shards shards;
    http::Server server;
    TextPool pool;  // its work may reach the batcher and the shard, so it ends first
    bool stopped = false;

    // On the shard only.
    std::size_t calls = 0;
    std::size_t bytes = 0;
};

WorkerServer::WorkerServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

WorkerServer::~WorkerServer() { stop(std::chrono::milliseconds(0)); }

Result<std::unique_ptr<WorkerServer>> WorkerServer::start(encoder::Engine& engine,
                                                          const tokens::Tokenizer& tokenizer,
                                                          WorkerServerOptions options) {
    auto impl = std::make_unique<Impl>(engine, tokenizer, std::move(options));
    std::error_code ignored;
    std::filesystem::remove(impl->options.socket, ignored);
    impl->shards.start();
    std::unique_ptr<WorkerServer> server(new WorkerServer(std::move(impl)));
    TRY(const std::string address,
        server->impl_->server.listen("unix:" + server->impl_->options.socket));
    return server;
}

void WorkerServer::stop(std::chrono::milliseconds grace) {
    if (std::exchange(impl_->stopped, true)) return;
    impl_->server.stop(grace);
}

Awaitable<void> WorkerServer::Impl::handle(http::Exchange& exchange) {
    const http::Method method = exchange.request().method;
    const std::string& path = exchange.request().path;
    http::Response response;
    if (path == "/embed" && method == http::Method::Post) {
        response = co_await embed(exchange);
    } else if (path == "/health" && method == http::Method::Get) {
        response = health();
    } else if (path == "/info" && method == http::Method::Get) {
        response = info();
    } else {
        response = error_response({.code = Code::NotFound, .message = "no such operation"});
    }
    // A client that has left is told by the connection.
    const Result<void> sent = co_await exchange.send(std::move(response));
    (void)sent;
}

Awaitable<http::Response> WorkerServer::Impl::embed(http::Exchange& exchange) {
    const http::Request request = exchange.take_request();
    const Place place(*this, request.body.size());
    if (!place.fits()) {
        co_return error_response({.code = Code::Overloaded,
                                  .message = format("{} calls with {} bytes are in the worker",
                                                    calls - 1, bytes - request.body.size()),
                                  .retry_after = std::chrono::seconds(1)});
    }
    auto call = decode_call(request.body);
    if (!call) co_return error_response(call.error());
    auto answer = co_await run(*std::move(call));
    if (!answer) co_return error_response(answer.error());
    co_return http::Response{.content_type = std::string(kBinary), .body = *std::move(answer)};
}

Awaitable<Result<std::string>> WorkerServer::Impl::run(Call call) {
    const Deadline deadline = Deadline::after(call.time_left + kLateTime);
    auto mailbox = std::make_shared<Mailbox>();
    auto task =
        EmbedTask::make({.prep = prep, .batcher = batcher, .pool = pool}, std::move(call),
                        [mailbox](Result<std::string> answer) { mailbox->put(std::move(answer)); });
    const CancelAtExit cancel(task);
    task->start();
    while (true) {
        const std::uint64_t seen = mailbox->wake.version();
        if (auto answer = mailbox->take()) co_return *std::move(answer);
        if (deadline.passed()) {
            co_return fail(Code::DeadlineExceeded, "the worker did not finish in time");
        }
        co_await mailbox->wake.wait(seen, deadline);
    }
}

http::Response WorkerServer::Impl::health() const {
    const encoder::BatcherStats stats = batcher.stats();
    Heartbeat heartbeat{.queued_texts = stats.queued_texts,
                        .queued_tokens = stats.queued_tokens,
                        .calls = calls,
                        .texts_total = stats.texts,
                        .tokens_total = stats.tokens,
                        .batches_total = stats.batches};
    if (stats.running_since != Clock::time_point{}) {
        // Rounded down, so that nobody who came before the task seems to have come after; at least
        // 1: a task that has just begun is running too.
        const auto running = Clock::now() - stats.running_since;
        heartbeat.running = std::max(std::chrono::floor<std::chrono::milliseconds>(running),
                                     std::chrono::milliseconds(1));
    }
    return {.body = encode_heartbeat(heartbeat)};
}

http::Response WorkerServer::Impl::info() const {
    const models::EncoderConfig& config = engine.config();
    return {.body = encode_info({.family = config.family,
                                 .precision = std::string(encoder::to_string(engine.precision())),
                                 .dimension = config.hidden,
                                 .tokens_max = config.tokens_max,
                                 .sessions = engine.sessions(),
                                 .threads = engine.threads(),
                                 .batch_tokens_max = options.batch.batch_tokens_max})};
}

}  // namespace hearth::worker
