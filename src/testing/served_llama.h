#pragma once

// For tests only: a GGUF model behind the real llama-server, as a gateway runs it.
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "backends/worker/llama_backend.h"
#include "backends/worker/llama_flags.h"
#include "http/client.h"
#include "runtime/shard.h"
#include "testing/gguf_models.h"
#include "testing/processes.h"
#include "testing/start.h"

namespace hearth::testing {

// Keeps what it is sent; its reader leaves after `events_max`.
class RecordingSink final : public inference::Sink {
  public:
    explicit RecordingSink(std::size_t events_max = static_cast<std::size_t>(-1))
        : events_max_(events_max) {}

    void begin(inference::Origin) override {}
    Awaitable<Result<void>> push(boost::json::object event) override {
        const std::lock_guard lock(mutex_);
        if (events_.size() >= events_max_) co_return fail(Code::Cancelled, "the reader left");
        events_.push_back(std::move(event));
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }

    std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return events_.size();
    }
    std::string text() const {
        const std::lock_guard lock(mutex_);
        std::string text;
        for (const boost::json::object& event : events_) {
            const boost::json::value* choices = event.if_contains("choices");
            if (choices == nullptr || choices->as_array().empty()) continue;
            const boost::json::value* said =
                choices->at(0).at("delta").as_object().if_contains("content");
            if (said != nullptr && said->is_string()) text += said->get_string();
        }
        return text;
    }

  private:
    const std::size_t events_max_;
    mutable std::mutex mutex_;
    std::vector<boost::json::object> events_;
};

inline inference::GenerateRequest chat(std::string_view text, int tokens) {
    return {.model = "tiny",
            .body = {{"messages", {{{"role", "user"}, {"content", text}}}},
                     {"temperature", 0},
                     {"max_tokens", tokens}}};
}

inline bool can_run_llama() {
    return can_make_gguf() && std::filesystem::exists(llama_program("llama-server"));
}

// make_gguf() once per program: even to find that its file is there takes a while.
inline std::filesystem::path known_gguf(GgufKind kind) {
    static std::map<GgufKind, std::filesystem::path> known;
    std::filesystem::path& file = known[kind];
    if (file.empty()) file = make_gguf(kind);
    return file;
}

inline worker::WorkerOptions llama_options(GgufKind kind, const worker::LlamaModel& model) {
    worker::LlamaSettings settings{
        .parallel = 2, .micro_batch = 64, .threads = 1, .more = {"--no-warmup"}};
    worker::WorkerOptions options{.kind = &worker::kLlamaServer,
                                  .program = llama_program("llama-server"),
                                  .model = model.name,
                                  .files = known_gguf(kind),
                                  .arguments = worker::llama_flags(model, settings),
                                  .start_time = std::chrono::seconds(30),
                                  .heartbeat_interval = std::chrono::milliseconds(50),
                                  .heartbeat_time = std::chrono::seconds(1),
                                  .backoff_first = std::chrono::milliseconds(10),
                                  .backoff_max = std::chrono::milliseconds(50)};
    options.calls_max = 4;
    return options;
}

// Two running shards. What served a model goes when they have stopped: its connections are theirs.
struct TestGateway {
    TestGateway() { shards.start(); }
    ~TestGateway() { shards.stop(); }

    runtime::Shards shards{2};
    metrics::Registry registry;
    std::vector<std::unique_ptr<worker::LlamaBackend>> served;
};

// One model as a gateway runs it.
class Served {
  public:
    Served(TestGateway& gateway, worker::WorkerOptions options,
           worker::LlamaBackendOptions backend_options = {})
        : gateway_(gateway),
          shards_(gateway.shards),
          metrics_(gateway.registry, options.model),
          supervisor(shards_, 0, std::move(options), metrics_),
          owned_(std::make_unique<worker::LlamaBackend>(shards_, supervisor, metrics_,
                                                        std::move(backend_options))),
          backend(*owned_) {
        supervisor.start();
    }
    ~Served() {
        supervisor.stop();
        gateway_.served.push_back(std::move(owned_));
    }
    Served(const Served&) = delete;
    Served& operator=(const Served&) = delete;

    template <class T>
    T wait(std::future<T> answer) {
        if (answer.wait_for(std::chrono::seconds(60)) != std::future_status::ready) std::abort();
        return answer.get();
    }
    std::future<Result<inference::GenerateReply>> begin(
        inference::GenerateRequest request, inference::Sink& sink, std::size_t shard = 0,
        Deadline deadline = Deadline::after(std::chrono::seconds(30))) {
        return start(shards_.io(shard), generate_owned(std::move(request), sink, deadline));
    }
    Result<inference::GenerateReply> generate(inference::GenerateRequest request,
                                              inference::Sink& sink) {
        return wait(begin(std::move(request), sink));
    }
    Result<inference::EmbedReply> embed(inference::EmbedRequest request) {
        return wait(start(shards_.io(1), backend.embed(std::move(request),
                                                       Deadline::after(std::chrono::seconds(30)))));
    }
    Result<inference::RerankReply> rerank(inference::RerankRequest request) {
        return wait(
            start(shards_.io(1),
                  backend.rerank(std::move(request), Deadline::after(std::chrono::seconds(30)))));
    }
    Result<boost::json::object> inquire(inference::Inquiry inquiry, boost::json::object body) {
        return wait(
            start(shards_.io(1), backend.inquire({.inquiry = inquiry, .body = std::move(body)},
                                                 Deadline::after(std::chrono::seconds(30)))));
    }
    Result<std::chrono::nanoseconds> load(inference::LoadRequest request) {
        return wait(
            start(shards_.io(1), backend.load(request, Deadline::after(std::chrono::seconds(30)))));
    }
    // Requests in llama-server's slots, as it says itself.
    double processing() { return wait(start(shards_.io(1), ask_processing())); }
    int pid() const { return supervisor.status().pid; }
    bool becomes(worker::WorkerState state) {
        return eventually([&] { return supervisor.state() == state; }, std::chrono::seconds(30));
    }

  private:
    Awaitable<Result<inference::GenerateReply>> generate_owned(inference::GenerateRequest request,
                                                               inference::Sink& sink,
                                                               Deadline deadline) {
        co_return co_await backend.generate(request, sink, deadline);
    }
    Awaitable<double> ask_processing() {
        auto lease = co_await supervisor.lease(worker::fingerprint_of("metrics"), std::nullopt,
                                               Deadline::after(std::chrono::seconds(10)));
        if (!lease) co_return -1;
        http::Client client(lease->address());
        const auto reply =
            co_await client.send({.target = "/metrics"}, Deadline::after(std::chrono::seconds(10)));
        lease->answered();
        constexpr std::string_view kName = "\nllamacpp:requests_processing ";
        const std::size_t at = reply ? reply->body.find(kName) : std::string::npos;
        co_return at == std::string::npos ? -1 : std::stod(reply->body.substr(at + kName.size()));
    }

    TestGateway& gateway_;
    runtime::Shards& shards_;
    worker::WorkerMetrics metrics_;

  public:
    worker::WorkerSupervisor supervisor;

  private:
    std::unique_ptr<worker::LlamaBackend> owned_;

  public:
    worker::LlamaBackend& backend;
};

}  // namespace hearth::testing
