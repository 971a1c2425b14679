// Whom calls go to, while the lists of servers elsewhere change.
#include "server/directory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <ctime>
#include <future>
#include <mutex>
#include <thread>

#include "base/format.h"
#include "server/elsewhere.h"
#include "testing/scripted_server.h"
#include "testing/start.h"

namespace hearth::server {
namespace {

using namespace std::chrono_literals;
using testing::RawSocket;

// Lists what it is told to, and makes vectors or fails to.
class ListingServer {
  public:
    explicit ListingServer(std::vector<std::string> models) : models_(std::move(models)) {}

    const std::string& address() const { return server_.address(); }
    // `more`: members of each, behind the first.
    void list(std::vector<std::string> models, std::string more = "") {
        const std::scoped_lock lock(mutex_);
        models_ = std::move(models);
        more_ = std::move(more);
    }
    void fail(bool fails) { fails_ = fails; }
    int calls() const { return calls_; }  // those for its list are none

  private:
    void serve(RawSocket& socket) {
        for (;;) {
            const std::string head = socket.read_until("\r\n\r\n");
            if (!head.ends_with("\r\n\r\n")) return;
            const std::size_t at = head.find("Content-Length: ");
            if (at != std::string::npos) socket.read_exactly(std::stoul(head.substr(at + 16)));
            if (head.starts_with("GET ")) {
                send(socket, 200, listed());
                continue;
            }
            ++calls_;
            const bool fails = fails_;
            send(socket, fails ? 500 : 200,
                 fails ? R"({"error":"no"})"
                       : R"({"data":[{"index":0,"embedding":[1,0]}],"usage":{"prompt_tokens":1}})");
        }
    }
    static void send(RawSocket& socket, int status, std::string_view body) {
        socket.send(format(
            "HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            status, body.size(), body));
    }
    std::string listed() const {
        const std::scoped_lock lock(mutex_);
        std::string data;
        for (const std::string& model : models_) {
            data += format(R"({}{{"id":"{}"{}}})", data.empty() ? "" : ",", model, more_);
        }
        return format(R"({{"data":[{}]}})", data);
    }

    mutable std::mutex mutex_;
    std::vector<std::string> models_;
    std::string more_;
    std::atomic<bool> fails_ = false;
    std::atomic<int> calls_ = 0;
    // The last: its threads use the others.
    testing::ScriptedServer server_{[this](RawSocket& socket, int) { serve(socket); }};
};

class DirectoryTest : public ::testing::Test {
  protected:
    DirectoryTest() {
        config_.models = {.ollama_store = false, .hub_cache = false, .installed = false};
        config_.server.data_dir = "/nonexistent";
        config_.routing = {.attempts = 2, .backoff = 1ms, .eject_time = 1h, .find_ollama = false};
        for (const auto& [name, server] : {std::pair("a", &a_), {"b", &b_}, {"c", &c_}}) {
            config_.backends[name] = {
                .url = "http://" + server->address(), .failures = 1'000'000, .refresh_time = 10ms};
        }
        shards_.start();
    }
    ~DirectoryTest() override {
        elsewhere_.stop();
        workers_.stop();
        shards_.stop();
    }

    void apply() { ASSERT_TRUE(elsewhere_.apply(config_, 10s)); }
    // Runs it on that shard.
    template <class Job>
    auto on_shard(std::size_t shard, Job job) {
        std::packaged_task<std::invoke_result_t<Job>()> task(std::move(job));
        auto result = task.get_future();
        shards_.post(shard, [task = std::move(task)]() mutable { task(); });
        return result.get();
    }
    // nullptr: nobody serves it.
    std::shared_ptr<const pipeline::Target> route(const std::string& name, std::size_t shard = 0) {
        return on_shard(shard, [&]() -> std::shared_ptr<const pipeline::Target> {
            auto target = directory_.route(name);
            return target ? *target : nullptr;
        });
    }
    bool knows(const std::string& name) {
        return on_shard(1, [&] { return directory_.view()->find(name) != nullptr; });
    }
    [[nodiscard]] static bool eventually(const std::function<bool()>& is_so) {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!is_so()) {
            if (std::chrono::steady_clock::now() > end) return false;
            std::this_thread::sleep_for(2ms);
        }
        return true;
    }
    // Returns how many were answered.
    int embed(const std::string& name, int calls) {
        int good = 0;
        for (int i = 0; i < calls; ++i) {
            const auto target = route(name);
            if (target == nullptr) continue;
            inference::EmbedRequest request{.model = name};
            request.inputs.emplace_back("text");
            auto reply =
                testing::start(shards_.io(0), target->backend->embed(request, Deadline::after(10s)))
                    .get();
            if (reply) ++good;
        }
        return good;
    }
    // B fails until it is left out.
    void eject_b() {
        b_.fail(true);
        EXPECT_EQ(embed("m", 60), 60);
        const int calls = b_.calls();
        EXPECT_GE(calls, 10);
        EXPECT_EQ(embed("m", 10), 10);
        ASSERT_EQ(b_.calls(), calls) << "it is left out";
    }

    ListingServer a_{{"m"}};
    ListingServer b_{{"m"}};
    ListingServer c_{{"x"}};
    Config config_;
    metrics::Registry registry_;
    runtime::Shards shards_{2};
    Workers workers_{config_, shards_, registry_};
    Directory directory_{workers_, shards_, registry_};
    Elsewhere elsewhere_{directory_, shards_, registry_};
};

TEST_F(DirectoryTest, WhatIsKnownOfAModelOutlivesAChangeOfAnother) {
    apply();
    const auto target = route("m");
    ASSERT_NE(target, nullptr);
    eject_b();
    const int calls = b_.calls();
    c_.list({"x", "y"});
    ASSERT_TRUE(eventually([&] { return knows("y"); }));
    EXPECT_EQ(route("m"), target);
    EXPECT_EQ(embed("m", 20), 20);
    EXPECT_EQ(b_.calls(), calls) << "it is still left out";
}

TEST_F(DirectoryTest, WhatIsKnownOfAServerOutlivesAnotherThatComesOrGoes) {
    apply();
    const auto target = route("m");
    eject_b();
    const int calls = b_.calls();
    c_.list({"x", "m"});
    ASSERT_TRUE(eventually([&] { return embed("m", 4) == 4 && c_.calls() > 0; }));
    EXPECT_NE(route("m"), target);
    EXPECT_EQ(embed("m", 20), 20);
    a_.list({"x"});
    ASSERT_TRUE(eventually([&] {
        const int before = a_.calls();
        return embed("m", 8) == 8 && a_.calls() == before;
    }));
    EXPECT_EQ(b_.calls(), calls) << "it is still left out";
}

TEST_F(DirectoryTest, EveryShardAndSpellingSharesWhatIsKnown) {
    apply();
    const auto target = route("m");
    ASSERT_NE(target, nullptr);
    EXPECT_EQ(route("m", 1), target);
    EXPECT_EQ(route("M"), target);
    EXPECT_EQ(route("m:latest", 1), target);
    EXPECT_NE(route("a/m"), target);
    EXPECT_EQ(route("nobody"), nullptr);
}

TEST_F(DirectoryTest, AModelThatAllServersDropIsGone) {
    apply();
    ASSERT_NE(route("m"), nullptr);
    a_.list({"x"});
    b_.list({"x"});
    EXPECT_TRUE(eventually([&] { return route("m") == nullptr; }));
    EXPECT_FALSE(knows("m"));
}

TEST_F(DirectoryTest, AModelIsThereSinceItsServerSaysOrItWasListed) {
    const std::int64_t begun = std::time(nullptr);
    a_.list({"told"}, R"(,"created":1750000000)");
    config_.backends["b"].models = {"named=m"};
    apply();
    const auto since = [&](const std::string& name) {
        return on_shard(1, [&] {
            const auto view = directory_.view();
            const models::Model* model = view->find(name);
            return model != nullptr ? model->modified_unix_ns / 1'000'000'000 : -1;
        });
    };
    EXPECT_EQ(since("told"), 1'750'000'000);
    const std::int64_t first = since("x");
    EXPECT_GE(first, begun);
    EXPECT_LE(first, std::time(nullptr));
    EXPECT_GE(since("named"), begun);
    // Some servers say the time of the call.
    a_.list({"told", "more"}, R"(,"created":1750000099)");
    c_.list({"x", "y"});
    ASSERT_TRUE(eventually([&] { return knows("more") && knows("y"); }));
    EXPECT_EQ(since("told"), 1'750'000'000);
    EXPECT_EQ(since("more"), 1'750'000'099);
    EXPECT_EQ(since("x"), first);
}

TEST_F(DirectoryTest, WhoNamesNoModelGetsTheOnlyOneThatCan) {
    a_.list({"m"}, R"(,"capabilities":["completion"])");
    b_.list({"m", "M:latest"}, R"(,"capabilities":["completion"])");
    c_.list({"r"}, R"(,"capabilities":["rerank"])");
    config_.aliases["mine"] = {"m"};
    apply();
    const auto named = [&](std::string_view capability) {
        return on_shard(0, [&] {
            std::string name;
            const auto found = directory_.name_only_one(name, capability);
            return found ? name : found.error().message;
        });
    };
    EXPECT_EQ(named("completion"), "m") << "two servers, and an alias, of one model";
    EXPECT_EQ(named("rerank"), "r");
    EXPECT_TRUE(named("embedding").contains("0 of those served can do embedding"));
    c_.list({"r", "s"}, R"(,"capabilities":["rerank","completion"])");
    ASSERT_TRUE(eventually([&] { return knows("s"); }));
    EXPECT_TRUE(named("rerank").contains("2 of those served can do rerank"));
    EXPECT_TRUE(named("completion").contains("3 of those served"));
}

TEST_F(DirectoryTest, OfModelsThatSayNothingTheOnlyOneIsTaken) {
    config_.backends.erase("a");
    config_.backends.erase("b");
    apply();
    const auto named = [&](std::string_view capability) {
        return on_shard(0, [&] {
            std::string name;
            return directory_.name_only_one(name, capability) ? name : "none";
        });
    };
    EXPECT_EQ(named("rerank"), "x");
    c_.list({"x", "y"});
    ASSERT_TRUE(eventually([&] { return knows("y"); }));
    EXPECT_EQ(named("rerank"), "none");
}

TEST_F(DirectoryTest, NoServerOfAnotherKindReranks) {
    config_.backends.erase("a");
    config_.backends.erase("b");
    config_.backends["c"].kind = "ollama";
    config_.backends["c"].models = {"x"};
    apply();
    std::string name;
    EXPECT_FALSE(on_shard(0, [&] { return directory_.name_only_one(name, "rerank"); }));
    EXPECT_TRUE(on_shard(0, [&] { return directory_.name_only_one(name, "embedding"); }));
    EXPECT_EQ(name, "x");
}

TEST_F(DirectoryTest, DefaultsHoldUnderEveryNameOfTheirModel) {
    c_.list({"qwen:7b", "deep:1b"});
    config_.aliases["mine"] = {"deep:1b"};
    config_.defaults["qwen"] = {"max_tokens=7"};
    config_.defaults["deep:1b"] = {"max_tokens=1"};
    config_.defaults["mine"] = {"max_tokens=2"};
    apply();
    const auto tokens = [&](const std::string& name) {
        return on_shard(0, [&] {
            inference::GenerateRequest request{.model = name};
            directory_.apply_defaults(request);
            const auto* set = request.body.if_contains("max_tokens");
            return set != nullptr ? set->as_int64() : -1;
        });
    };
    for (const char* name : {"qwen:7b", "QWEN", "qwen:latest"}) EXPECT_EQ(tokens(name), 7) << name;
    EXPECT_EQ(tokens("deep:1b"), 1);
    EXPECT_EQ(tokens("deep"), 1);
    EXPECT_EQ(tokens("mine"), 2);
    EXPECT_EQ(tokens("m"), -1);
}

TEST_F(DirectoryTest, ALimitOfTheCallersIsOneUnderAnyOfItsNames) {
    c_.list({"x"});
    config_.defaults["x"] = {"max_completion_tokens=7", "temperature=0"};
    apply();
    const auto body = [&](boost::json::object given) {
        return on_shard(0, [&] {
            inference::GenerateRequest request{.model = "x", .body = std::move(given)};
            directory_.apply_defaults(request);
            return request.body;
        });
    };
    EXPECT_EQ(body({{"max_tokens", 3}}),
              (boost::json::object{{"max_tokens", 3}, {"temperature", 0}}));
    EXPECT_EQ(body({{"n_predict", 3}, {"temperature", 1}}),
              (boost::json::object{{"n_predict", 3}, {"temperature", 1}}));
    EXPECT_EQ(body({}), (boost::json::object{{"max_completion_tokens", 7}, {"temperature", 0}}));
}

TEST_F(DirectoryTest, FindsAModelUnderEveryNameItIsCalledBy) {
    c_.list({"qwen:7b"});
    config_.aliases["mine"] = {"c/qwen:7b"};
    apply();
    const auto found = [&](const std::string& name) {
        return on_shard(0, [&] {
            const auto model = directory_.find(name);
            return model ? model->name : "none";
        });
    };
    EXPECT_EQ(found("QWEN:7B"), "qwen:7b");
    EXPECT_EQ(found("qwen"), "qwen:7b");
    EXPECT_EQ(found("c/qwen:7b"), "c/qwen:7b");
    EXPECT_EQ(found("mine"), "mine");
    EXPECT_EQ(found("c/other"), "none");
    EXPECT_EQ(found("other"), "none");
}

// Any name behind that of a server without a list of its own goes there.
TEST_F(DirectoryTest, NamesWithoutEndAreForgotten) {
    apply();
    constexpr std::size_t kNamesMax = 1024;
    const std::weak_ptr<const pipeline::Target> first = route("a/0");
    EXPECT_FALSE(first.expired());
    on_shard(0, [&] {
        for (std::size_t i = 1; i < kNamesMax; ++i) {
            ASSERT_TRUE(directory_.route(format("a/{}", i)));
        }
    });
    EXPECT_FALSE(first.expired());
    EXPECT_NE(route(format("a/{}", kNamesMax)), nullptr);
    EXPECT_TRUE(first.expired());
}

TEST_F(DirectoryTest, ALongNameIsNotKept) {
    apply();
    const std::weak_ptr<const pipeline::Target> longest = route("a/" + std::string(510, 'x'));
    const std::weak_ptr<const pipeline::Target> longer = route("a/" + std::string(511, 'x'));
    EXPECT_FALSE(longest.expired());
    EXPECT_TRUE(longer.expired());
}

TEST_F(DirectoryTest, NobodyWithoutCallsHoldsOnToAnOldConfiguration) {
    apply();
    const std::weak_ptr<inference::Backend> one = route("a/m", 1)->backend;
    const std::weak_ptr<inference::Backend> shared = route("m", 1)->backend;
    EXPECT_FALSE(one.expired() || shared.expired());
    apply();
    EXPECT_TRUE(eventually([&] { return one.expired() && shared.expired(); }));
}

TEST_F(DirectoryTest, CallsGoOnWhileListsChange) {
    apply();
    std::atomic<bool> ends = false;
    std::atomic<int> failed = 0;
    std::vector<std::function<void()>> loops(2);
    for (std::size_t shard = 0; shard < 2; ++shard) {
        loops[shard] = [&, shard] {
            for (int i = 0; i < 50; ++i) {
                if (!directory_.route("m") || !directory_.route(format("a/{}", i))) ++failed;
                if (directory_.view()->models.empty()) ++failed;
            }
            // Other work of the shard, which reads the lists, has its turn.
            if (!ends) shards_.post(shard, loops[shard]);
        };
        shards_.post(shard, loops[shard]);
    }
    for (int i = 0; i < 30; ++i) {
        c_.list({i % 2 == 0 ? "m" : "x", format("model-{}", i)});
        EXPECT_TRUE(eventually([&] { return knows(format("model-{}", i)); }));
        if (i % 10 == 9) apply();
    }
    ends = true;
    // A round that was under way may have asked for one more.
    for (const std::size_t shard : {0U, 1U, 0U, 1U}) on_shard(shard, [] {});
    EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace hearth::server
