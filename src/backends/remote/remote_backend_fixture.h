#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backends/remote/remote_backend.h"
#include "base/format.h"
#include "testing/scripted_server.h"
#include "testing/start.h"

// For tests of a model of a server elsewhere, which is a script.
namespace hearth::remote {

using namespace std::chrono_literals;
using inference::Dialect;
using inference::GenerateReply;
using inference::GenerateRequest;

inline constexpr std::string_view kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

inline std::string chunk(std::string_view delta, std::string_view reason = "null") {
    return format(
        R"(data: {{"id":"c","object":"chat.completion.chunk","created":1,"model":"theirs",)"
        R"("choices":[{{"index":0,"delta":{},"finish_reason":{}}}]}})"
        "\n\n",
        delta, reason);
}
inline const std::string kRole = chunk(R"({"role":"assistant"})");
inline const std::string kWord = chunk(R"({"content":"yes"})");
inline const std::string kEnd =
    chunk("{}", R"("stop")") +
    R"(data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1}})"
    "\n\ndata: [DONE]\n\n";

inline std::string whole(int status, std::string_view body, std::string_view more_fields = "") {
    return format(
        "HTTP/1.1 {} X\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\nConnection: "
        "close\r\n\r\n{}",
        status, more_fields, body.size(), body);
}

class KeepingSink final : public inference::Sink {
  public:
    explicit KeepingSink(bool relays) : relays_(relays) {}
    void begin(inference::Origin) override {}
    Awaitable<Result<void>> push(boost::json::object event) override {
        events.push_back(std::move(event));
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }
    bool relays() const override { return relays_; }
    Awaitable<Result<void>> relay(std::string_view bytes, bool) override {
        raw += bytes;
        co_return Result<void>();
    }

    std::vector<boost::json::object> events;
    std::string raw;

  private:
    const bool relays_;
};

class RemoteBackendTest : public ::testing::Test {
  protected:
    RemoteBackendTest() { shards_.start(); }
    ~RemoteBackendTest() override {
        backend_.reset();
        upstream_.reset();
        shards_.stop();
        server_.reset();
    }

    // Every connection is answered with these bytes, and closed.
    void answers(std::string bytes) {
        serve([bytes = std::move(bytes)](testing::RawSocket& socket, int) { socket.send(bytes); });
    }
    void serve(std::function<void(testing::RawSocket&, int)> script) {
        server_ = std::make_unique<testing::ScriptedServer>(
            [this, script = std::move(script)](testing::RawSocket& socket, int number) {
                std::string request = socket.read_until("\r\n\r\n");
                const std::size_t at = request.find("Content-Length: ");
                if (at != std::string::npos) {
                    request += socket.read_exactly(std::stoul(request.substr(at + 16)));
                }
                {
                    const std::scoped_lock lock(mutex_);
                    requests_.push_back(request);
                }
                script(socket, number);
            });
        options_.url.address = server_->address();
    }
    RemoteBackend& backend() {
        if (!backend_) {
            upstream_ = std::make_shared<Upstream>(shards_, options_, make_wire(options_.kind),
                                                   UpstreamMetrics(registry_, "box"));
            backend_ = std::make_unique<RemoteBackend>(upstream_, "theirs");
        }
        return *backend_;
    }
    Result<GenerateReply> generate(inference::Sink& sink) {
        return testing::start(shards_.io(0),
                              backend().generate(request_, sink, Deadline::after(limit_)))
            .get();
    }
    Result<GenerateReply> generate() { return generate(sink_); }
    // The caller's own words, streamed or not.
    void own_words(bool stream) {
        request_.original = std::make_shared<inference::Original>(
            Dialect::OpenAiChat,
            format(R"({{"model":"ours","zz":1,"stream":{},"messages":[]}})", stream), stream);
    }
    std::string request(std::size_t index = 0) {
        const std::scoped_lock lock(mutex_);
        return requests_.at(index);
    }
    std::size_t counted_requests() {
        const std::scoped_lock lock(mutex_);
        return requests_.size();
    }
    double counted(const std::string& outcome) {
        return registry_
            .counter("hearth_upstream_requests_total", "",
                     {{"upstream", "box"}, {"outcome", outcome}})
            .value();
    }

    runtime::Shards shards_{1};
    metrics::Registry registry_;
    UpstreamOptions options_{.name = "box", .kind = "openai", .breaker = {.failures_max = 2}};
    std::unique_ptr<testing::ScriptedServer> server_;
    std::shared_ptr<Upstream> upstream_;
    std::unique_ptr<RemoteBackend> backend_;
    std::chrono::milliseconds limit_{10'000};
    GenerateRequest request_{.model = "ours",
                             .body = {{"messages", {{{"role", "user"}, {"content", "hi"}}}}}};
    KeepingSink sink_{false};
    KeepingSink relaying_{true};
    std::mutex mutex_;
    std::vector<std::string> requests_;
};

}  // namespace hearth::remote
