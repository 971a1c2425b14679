#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "http_probe.h"
#include "server_process.h"
#include "testing/gguf_models.h"

// More models than memory holds, through the real server and real llama-server processes.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::GgufKind;

json::object long_chat(std::string_view model, int tokens) {
    return {{"model", model},
            {"messages", {{{"role", "user"}, {"content", "hello"}}}},
            {"ignore_eos", true},
            {"max_tokens", tokens}};
}

std::uint64_t resident_bytes(pid_t pid) {
    std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    statm >> total >> resident;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Looks at a server's processes again and again: what all of them together had at most.
class Watch {
  public:
    explicit Watch(const ServerProcess& server)
        : thread_([this, &server](const std::stop_token& stop) {
              while (!stop.stop_requested()) {
                  std::uint64_t now = 0;
                  for (const pid_t pid : server.worker_pids()) now += resident_bytes(pid);
                  most_ = std::max(most_.load(), now);
                  std::this_thread::sleep_for(milliseconds(10));
              }
          }) {}
    std::uint64_t most() const { return most_; }

  private:
    std::atomic<std::uint64_t> most_ = 0;
    std::jthread thread_;
};

TEST(Memory, ThreeModelsShareTheRoomOfOne) {
    for (const auto kind : {GgufKind::Text, GgufKind::Fim, GgufKind::Thinking}) {
        hearth::testing::make_gguf(kind);
    }
    // One of these models takes between half of this and all of it.
    const ServerProcess server(
        {.arguments = {},
         .environment = {"HEARTH_MODELS__DIRECTORIES=" + hearth::testing::gguf_cache().string(),
                         "HEARTH_LLAMA__PARALLEL=2", "HEARTH_LLAMA__CONTEXT=1024",
                         "HEARTH_MEMORY__BUDGET_MIB=640", "HEARTH_MEMORY__PATIENCE=500ms"}});
    std::atomic<int> answered = 0;
    std::vector<std::jthread> callers;
    for (int i = 0; i < 9; ++i) {
        callers.emplace_back([&, i] {
            const std::array<std::string, 3> models = {"tiny-text", "tiny-fim", "tiny-thinking"};
            const Reply reply = post(server.address(), "/v1/chat/completions",
                                     json::serialize(json::object{
                                         {"model", models[static_cast<std::size_t>(i) % 3]},
                                         {"messages", {{{"role", "user"}, {"content", "hello"}}}},
                                         {"max_tokens", 4}}));
            EXPECT_EQ(reply.status, 200) << reply.body;
            if (reply.status == 200) ++answered;
        });
    }
    callers.clear();
    EXPECT_EQ(answered, 9);
    const json::value memory = get(server.address(), "/api/memory").json();
    EXPECT_EQ(memory.at("budget").at("host").to_number<std::uint64_t>(), 640U << 20);
    EXPECT_GE(memory.at("evictions").to_number<int>(), 2) << json::serialize(memory);
    std::uint64_t taken = 0;
    for (const json::value& model : memory.at("models").as_array()) {
        taken += model.at("bytes").at("host").to_number<std::uint64_t>();
    }
    EXPECT_LE(taken, 640U << 20);
}

TEST(Memory, AModelLargerThanTheBudgetIsRefusedWithBothCounts) {
    hearth::testing::make_gguf(GgufKind::Text);
    const ServerProcess server(
        {.arguments = {},
         .environment = {"HEARTH_MODELS__DIRECTORIES=" + hearth::testing::gguf_cache().string(),
                         "HEARTH_MEMORY__BUDGET_MIB=64"}});
    const Reply reply = post(
        server.address(), "/v1/chat/completions",
        json::serialize(json::object{{"model", "tiny-text"},
                                     {"messages", {{{"role", "user"}, {"content", "hello"}}}}}));
    EXPECT_GE(reply.status, 400) << reply.body;
    EXPECT_TRUE(reply.body.contains("64 MiB")) << reply.body;
}

// Six models of one size, of which two fit.
class MemoryDay : public ::testing::Test {
  protected:
    MemoryDay() {
        const auto file = hearth::testing::make_gguf(GgufKind::Text);
        for (const std::string_view name : kNames) {
            std::filesystem::copy_file(file, folder_ / (std::string(name) + "-q8_0.gguf"));
        }
    }
    ~MemoryDay() override { std::filesystem::remove_all(folder_); }

    StartOptions options(std::uint64_t budget_mib) const {
        return {.arguments = {},
                .environment = {"HEARTH_MODELS__DIRECTORIES=" + folder_.string(),
                                "HEARTH_LLAMA__PARALLEL=2", "HEARTH_LLAMA__CONTEXT=4096",
                                "HEARTH_MEMORY__BUDGET_MIB=" + std::to_string(budget_mib),
                                "HEARTH_MEMORY__PATIENCE=1s"}};
    }
    // What one of them is given.
    std::uint64_t one_mib() const {
        const ServerProcess server(options(8192));
        EXPECT_EQ(ask(server, "one", 1).status, 200);
        const json::value memory = get(server.address(), "/api/memory").json();
        return (memory.at("models").at(0).at("bytes").at("host").to_number<std::uint64_t>() +
                (1 << 20) - 1) >>
               20;
    }
    static Reply ask(const ServerProcess& server, std::string_view model, int tokens) {
        return post(server.address(), "/v1/chat/completions",
                    json::serialize(long_chat(model, tokens)));
    }
    static int events(const json::value& memory, std::string_view beginning) {
        int count = 0;
        for (const json::value& event : memory.at("events").as_array()) {
            count += event.at("what").as_string().starts_with(beginning) ? 1 : 0;
        }
        return count;
    }
    static bool is_loaded(const json::value& memory, std::string_view model) {
        return std::ranges::any_of(memory.at("models").as_array(), [&](const json::value& entry) {
            return entry.at("model").as_string().starts_with(model) &&
                   !entry.at("leaving").as_bool();
        });
    }
    // Answered, and loaded for it only when it was not there.
    static void ask_and_count(const ServerProcess& server, std::string_view model) {
        const json::value before = get(server.address(), "/api/memory").json();
        const Reply reply = ask(server, model, 4);
        EXPECT_EQ(reply.status, 200) << reply.body;
        const json::value after = get(server.address(), "/api/memory").json();
        EXPECT_EQ(events(after, "loads") - events(before, "loads"),
                  is_loaded(before, model) ? 0 : 1)
            << model << " " << json::serialize(after);
    }
    // Each model by two callers at the same moment.
    static void rush(const ServerProcess& server) {
        std::vector<std::jthread> callers;
        for (const std::string_view name : kNames) {
            for (int i = 0; i < 2; ++i) {
                callers.emplace_back([&server, name] {
                    const Reply reply = ask(server, name, 4);
                    EXPECT_EQ(reply.status, 200) << name << " " << reply.body;
                });
            }
        }
    }
    static int departures(const json::value& memory, std::string_view model) {
        return static_cast<int>(
            std::ranges::count_if(memory.at("events").as_array(), [&](const json::value& event) {
                return event.at("model").as_string().starts_with(model) &&
                       event.at("what").as_string().starts_with("leaves");
            }));
    }
    // A long answer of one model, while others come and go beside it.
    static void long_answer(const ServerProcess& server) {
        ask_and_count(server, "one");
        const json::value before = get(server.address(), "/api/memory").json();
        const std::string left =
            R"(hearth_requests_total{model="one:q8_0",operation="generate",outcome="left"})";
        json::object body = long_chat("one", 3500);
        body["stream"] = true;
        const std::string text = json::serialize(body);
        {
            HttpProbe probe(server.address());
            probe.write(
                "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                std::to_string(text.size()) + "\r\n\r\n" + text);
            pollfd first{.fd = probe.fd(), .events = POLLIN, .revents = 0};
            EXPECT_EQ(::poll(&first, 1, 60'000), 1) << "no answer began";
            for (const std::string_view name : {"two", "three"}) ask_and_count(server, name);
        }
        EXPECT_TRUE(eventually(seconds(10), [&] { return metric(server.address(), left) == 1; }))
            << "the answer had ended, and proves nothing";
        EXPECT_EQ(departures(get(server.address(), "/api/memory").json(), "one"),
                  departures(before, "one"));
    }

    static constexpr std::array<std::string_view, 6> kNames = {"one",  "two",  "three",
                                                               "four", "five", "six"};
    const std::filesystem::path folder_ = make_folder();
};

TEST_F(MemoryDay, KeepsTheBudgetLoadsNothingInVainAndStarvesNobody) {
    const std::uint64_t budget_mib = 2 * one_mib() + 16;
    const ServerProcess server(options(budget_mib));
    const Watch watch(server);
    for (int i = 0; i < 5; ++i) {
        ask_and_count(server, "one");
        ask_and_count(server, "two");
    }
    EXPECT_EQ(events(get(server.address(), "/api/memory").json(), "loads"), 2);
    for (const std::string_view name : kNames) ask_and_count(server, name);
    rush(server);
    long_answer(server);

    const Reply running = get(server.address(), "/api/ps");
    EXPECT_TRUE(running.body.contains(R"("load_reason":"asked for")")) << running.body;
    const Reply unloaded = post(server.address(), "/api/generate",
                                json::serialize(json::object{{"model", "one"}, {"keep_alive", 0}}));
    EXPECT_EQ(unloaded.status, 200) << unloaded.body;
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return !is_loaded(get(server.address(), "/api/memory").json(), "one");
    }));

    const json::value memory = get(server.address(), "/api/memory").json();
    const int loads = events(memory, "loads");
    EXPECT_LE(loads, 2 + 6 + 12 + 3) << json::serialize(memory);
    EXPECT_EQ(events(memory, "leaves for"), memory.at("evictions").to_number<int>());
    EXPECT_EQ(events(memory, "is gone"),
              loads - static_cast<int>(memory.at("models").as_array().size()));
    EXPECT_EQ(metric(server.address(), "hearth_memory_loads_total"), loads);
    EXPECT_EQ(metric(server.address(), "hearth_memory_evictions_total"),
              memory.at("evictions").to_number<int>());
    double given = 0;
    for (const json::value& model : memory.at("models").as_array()) {
        given += model.at("bytes").at("host").to_number<double>();
    }
    EXPECT_EQ(metric(server.address(), "hearth_memory_model_bytes"), given);
    EXPECT_EQ(metric(server.address(), "hearth_memory_budget_bytes"),
              static_cast<double>(budget_mib << 20));
    EXPECT_LE(watch.most(), budget_mib << 20);
    EXPECT_GE(watch.most(), budget_mib << 17) << "what was watched were no models";
    RecordProperty("budget_mib", static_cast<int>(budget_mib));
    RecordProperty("most_mib", static_cast<int>(watch.most() >> 20));
    RecordProperty("loads", loads);
}

}  // namespace
}  // namespace hearth::system_test
