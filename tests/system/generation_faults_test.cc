#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <fstream>
#include <thread>

#include "http_probe.h"
#include "server_process.h"
#include "testing/gguf_models.h"
#include "text_requests.h"

// What becomes of a request for text when its engine, its model, its memory or its caller fails.
namespace hearth::system_test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::GgufKind;

// The real llama-server, which may have no more address space than a file says.
class SmallMachine {
  public:
    SmallMachine() {
        fs::create_symlink(hearth::testing::llama_program("llama-fit-params"),
                           folder_ / "llama-fit-params");
        std::ofstream script(program());
        script << "#!/bin/bash\nulimit -v \"$(<" << limit().string() << ")\"\nexec "
               << hearth::testing::llama_program("llama-server").string() << " \"$@\"\n";
        script.close();
        fs::permissions(program(), fs::perms::owner_all);
    }
    ~SmallMachine() { fs::remove_all(folder_); }
    SmallMachine(const SmallMachine&) = delete;
    SmallMachine& operator=(const SmallMachine&) = delete;

    fs::path program() const { return folder_ / "llama-server"; }
    void allow(std::string_view kib) const { std::ofstream(limit()) << kib; }

  private:
    fs::path limit() const { return folder_ / "limit"; }
    const fs::path folder_ = make_folder();
};

TEST(GenerationFaults, AnEngineThatDiesEndsTheStreamWithAnErrorAndComesBack) {
    const ServerProcess server(text_options());
    json::object body = chat("tiny-text", "hello");
    body["max_tokens"] = 3000;
    body["ignore_eos"] = true;
    body["stream"] = true;
    ASSERT_EQ(
        post(server.address(), "/v1/chat/completions", json::serialize(chat("tiny-text", "warm")))
            .status,
        200);
    std::string broken;
    std::jthread caller([&] {
        broken = post(server.address(), "/v1/chat/completions", json::serialize(body)).body;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    for (const pid_t pid : server.worker_pids()) ::kill(pid, SIGKILL);
    caller.join();
    EXPECT_TRUE(broken.contains("\"error\"")) << broken.substr(broken.size() - 300);
    EXPECT_FALSE(broken.contains("[DONE]"));
    EXPECT_EQ(
        post(server.address(), "/v1/chat/completions", json::serialize(chat("tiny-text", "again")))
            .status,
        200);
}

TEST(GenerationFaults, ABrokenFileIsRefusedWithItsReason) {
    const auto folder = make_folder();
    const auto whole = hearth::testing::make_gguf(GgufKind::Text);
    std::filesystem::copy_file(whole, folder / "cut-q8_0.gguf");
    std::filesystem::resize_file(folder / "cut-q8_0.gguf", 1 << 20);
    const ServerProcess server(text_options({"HEARTH_MODELS__DIRECTORIES=" + folder.string()}));
    const Reply reply =
        post(server.address(), "/v1/chat/completions", json::serialize(chat("cut", "hello")));
    EXPECT_EQ(reply.status, 404) << reply.body;
    EXPECT_TRUE(server.log().contains("cut-q8_0.gguf")) << server.log();
    std::filesystem::remove_all(folder);
}

TEST(GenerationFaults, AnEngineThatGetsNoMemorySaysSoAndComesBack) {
    const SmallMachine machine;
    machine.allow("500000");
    const ServerProcess server(
        text_options({"HEARTH_LLAMA__COMMAND=" + machine.program().string()}));
    const Reply openai =
        post(server.address(), "/v1/chat/completions", json::serialize(chat("tiny-text", "hello")));
    EXPECT_EQ(openai.status, 503) << openai.body;
    EXPECT_TRUE(openai.body.contains("memory")) << openai.body;
    const Reply ollama =
        post(server.address(), "/api/chat", json::serialize(chat("tiny-text", "hello")));
    EXPECT_EQ(ollama.status, 503) << ollama.body;
    EXPECT_TRUE(ollama.body.contains("memory")) << ollama.body;
    machine.allow("unlimited");
    EXPECT_TRUE(eventually(seconds(30), [&] {
        return post(server.address(), "/v1/chat/completions",
                    json::serialize(chat("tiny-text", "again")))
                   .status == 200;
    }));
}

// While the model loads, while the prompt is read, and in the middle of the answer.
TEST(GenerationFaults, CallersWhoLeaveAtAnyMomentLeaveNothingBehind) {
    const ServerProcess server(text_options());
    int asked = 0;
    for (const std::string_view path : {"/v1/chat/completions", "/api/chat"}) {
        post(server.address(), "/api/generate",
             json::serialize(json::object{{"model", "tiny-text"}, {"keep_alive", 0}}));
        for (const int stay : {0, 1, 10, 50, 200, 400, 800, 1200}) {
            json::object body = chat("tiny-text", "hello");
            body["max_tokens"] = 4000;
            body["ignore_eos"] = true;
            body["options"] = {{"num_predict", 4000}};
            body["stream"] = true;
            const std::string text = json::serialize(body);
            HttpProbe probe(server.address());
            probe.write("POST " + std::string(path) +
                        " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                        std::to_string(text.size()) + "\r\n\r\n" + text);
            std::this_thread::sleep_for(milliseconds(stay));
            ++asked;
        }
    }
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return metric(server.address(), "hearth_requests_total") == asked;
    })) << get(server.address(), "/metrics").body;
    EXPECT_EQ(
        post(server.address(), "/v1/chat/completions", json::serialize(chat("tiny-text", "next")))
            .status,
        200);
}

}  // namespace
}  // namespace hearth::system_test
