// Models that are brought into the memory of a server elsewhere, which is a script.
#include "backends/remote/load_call.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <mutex>

#include "backends/remote/remote_backend.h"
#include "backends/remote/triton_backend.h"
#include "base/format.h"
#include "testing/scripted_server.h"
#include "testing/start.h"

namespace hearth::remote {
namespace {

using namespace std::chrono_literals;
using inference::LoadRequest;

struct Answer {
    int status;
    std::string body;
};

class LoadCallTest : public ::testing::Test {
  protected:
    LoadCallTest() { shards_.start(); }
    ~LoadCallTest() override {
        upstream_.reset();
        shards_.stop();
    }

    // The next connections get these.
    RemoteBackend backend(const std::string& kind, std::vector<Answer> answers) {
        answers_ = std::move(answers);
        UpstreamOptions options{.name = "box", .kind = kind};
        options.url.address = server_.address();
        upstream_ = std::make_shared<Upstream>(shards_, options, make_wire(kind),
                                               UpstreamMetrics(registry_, "box"));
        return RemoteBackend(upstream_, "theirs");
    }
    Result<std::chrono::nanoseconds> load(inference::Backend& backend, LoadRequest request) {
        return testing::start(shards_.io(0), backend.load(request, Deadline::after(10s))).get();
    }
    // "POST /api/generate {...}"
    std::vector<std::string> requests() {
        const std::scoped_lock lock(mutex_);
        return requests_;
    }

    runtime::Shards shards_{1};
    metrics::Registry registry_;
    std::mutex mutex_;
    std::vector<std::string> requests_;
    std::vector<Answer> answers_;
    testing::ScriptedServer server_{[this](testing::RawSocket& socket, int number) {
        const std::string head = socket.read_until("\r\n\r\n");
        const std::size_t at = head.find("Content-Length: ");
        const std::string body = socket.read_exactly(std::stoul(head.substr(at + 16)));
        {
            const std::scoped_lock lock(mutex_);
            requests_.push_back(head.substr(0, head.find(" HTTP")) + " " + body);
        }
        const Answer& answer = answers_.at(static_cast<std::size_t>(number));
        socket.send(
            format("HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
                   "Connection: close\r\n\r\n{}",
                   answer.status, answer.body.size(), answer.body));
    }};
    std::shared_ptr<Upstream> upstream_;
};

TEST_F(LoadCallTest, OllamaIsToldToLoadAndToUnload) {
    RemoteBackend box = backend("ollama", {{200, R"({"done":true,"done_reason":"load"})"},
                                           {200, R"({"done":true,"done_reason":"unload"})"}});
    ASSERT_TRUE(load(box, {.keep_alive = 60s, .context_min = 8192}));
    ASSERT_TRUE(load(box, {.keep_alive = 0s}));
    EXPECT_EQ(requests(),
              (std::vector<std::string>{
                  R"(POST /api/generate {"model":"theirs","stream":false,"keep_alive":"60000ms",)"
                  R"("options":{"num_ctx":8192}})",
                  R"(POST /api/generate {"model":"theirs","stream":false,"keep_alive":0})"}));
}

TEST_F(LoadCallTest, AModelThatMakesVectorsIsLoadedByAskingForNone) {
    RemoteBackend box =
        backend("ollama", {{400, R"({"error":"\"theirs\" does not support generate"})"},
                           {200, R"({"model":"theirs","embeddings":[]})"}});
    ASSERT_TRUE(load(box, {.keep_alive = -1s}));
    EXPECT_EQ(requests().at(1),
              R"(POST /api/embed {"model":"theirs","input":[],"truncate":false,"keep_alive":-1})");
}

TEST_F(LoadCallTest, WhatOllamaRefusesIsRefused) {
    RemoteBackend box = backend("ollama", {{404, R"({"error":"model 'theirs' not found"})"},
                                           {400, R"({"error":"bad options"})"},
                                           {400, R"({"error":"no vectors either"})"},
                                           {200, "hello"}});
    EXPECT_EQ(load(box, {}).error().code, Code::NotFound);
    const auto refused = load(box, {});
    EXPECT_TRUE(refused.error().message.contains("bad options")) << refused.error().message;
    EXPECT_EQ(load(box, {}).error().code, Code::BadUpstream);
}

TEST_F(LoadCallTest, OthersLoadByThemselvesAndUnloadNothing) {
    for (const char* kind : {"openai", "anthropic"}) {
        RemoteBackend box = backend(kind, {});
        EXPECT_TRUE(load(box, {.keep_alive = 60s}));
        const auto refused = load(box, {.keep_alive = 0s});
        EXPECT_EQ(refused.error().code, Code::Unsupported) << kind;
        EXPECT_TRUE(refused.error().message.contains("decides itself")) << refused.error().message;
    }
    backend("triton", {});
    TritonBackend triton(upstream_, nullptr, "theirs");
    EXPECT_TRUE(load(triton, {}));
    EXPECT_EQ(load(triton, {.keep_alive = 0s}).error().code, Code::Unsupported);
    EXPECT_TRUE(requests().empty());
}

}  // namespace
}  // namespace hearth::remote
