#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <csignal>
#include <fstream>
#include <thread>

#include "http_probe.h"
#include "models/gguf_writer.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

using std::chrono::seconds;

std::vector<std::string> long_texts(std::size_t count) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
        std::string text = "piece " + std::to_string(i) + ":";
        for (int word = 0; word < 150; ++word) text += " word";
        texts.push_back(text);
    }
    return texts;
}

TEST(Serve, PrintsOneReadyLineWithItsAddress) {
    const ServerProcess server;
    EXPECT_TRUE(server.ready_line().starts_with("ready http://127.0.0.1:")) << server.ready_line();
    EXPECT_EQ(get(server.address(), "/health").status, 200);
}

TEST(Serve, StopsCleanlyOnSigtermAndTakesItsWorkersAlong) {
    ServerProcess server;
    ASSERT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
    const auto workers = server.worker_pids();
    ASSERT_FALSE(workers.empty());
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait(seconds(10)), 0) << server.log();
    for (const pid_t worker : workers) EXPECT_FALSE(is_alive(worker));
    EXPECT_THROW(get(server.address(), "/health"), std::runtime_error);
}

TEST(Serve, FinishesRequestsInFlightBeforeItStops) {
    ServerProcess server;
    // Half a second of work; instrumented builds take twenty times as long and must stay within the
    // grace.
    const std::vector<std::string> texts = long_texts(40);
    ASSERT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
    HttpProbe probe(server.address());
    const std::string body = embeddings_body("all-minilm", texts);
    probe.write("POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    // Its handler runs once the body has been read; half the work is a safe moment to stop at.
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    server.signal(SIGTERM);
    const Reply reply = probe.read_reply();
    EXPECT_EQ(reply.status, 200) << reply.body.substr(0, 300);
    EXPECT_EQ(reply.json().at("data").as_array().size(), texts.size());
    EXPECT_EQ(server.wait(seconds(10)), 0) << server.log();
}

TEST(Serve, KilledLeavesNoWorker) {
    ServerProcess server;
    ASSERT_EQ(post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"x"})).status,
              200);
    const auto workers = server.worker_pids();
    ASSERT_FALSE(workers.empty());
    server.signal(SIGKILL);
    server.wait(seconds(10));
    for (const pid_t worker : workers)
        EXPECT_TRUE(eventually(seconds(5), [&] { return !is_alive(worker); }));
}

TEST(Serve, ListensOnSeveralAddresses) {
    const std::filesystem::path folder = make_folder();
    const std::string local = "unix:" + (folder / "hearth.sock").string();
    {
        const ServerProcess server({.arguments = {"--listen", local}, .environment = {}});
        EXPECT_EQ(get(server.address(), "/health").status, 200);
        EXPECT_EQ(get(local, "/health").status, 200);
    }
    std::filesystem::remove_all(folder);
}

TEST(Serve, RefusesAnAddressInUseWithOneSentence) {
    const ServerProcess server;
    const std::filesystem::path folder = make_folder();
    const Ended second =
        run_hearth({"serve", "--listen", server.address(), "--data-dir", folder.string()});
    EXPECT_EQ(second.code, 1) << second.errors;
    EXPECT_NE(second.errors.find(server.address()), std::string::npos) << second.errors;
    std::filesystem::remove_all(folder);
}

TEST(Serve, RefusesAnUnknownConfigurationKeyNamingItsLine) {
    const std::filesystem::path folder = make_folder();
    std::ofstream(folder / "hearth.yaml") << "server:\n  shards: 1\n  no_such_key: 3\n";
    const Ended ended = run_hearth({"serve", "--listen", "127.0.0.1:0", "--data-dir",
                                    folder.string(), "--config", folder / "hearth.yaml"});
    EXPECT_NE(ended.code, 0);
    EXPECT_NE(ended.errors.find("no_such_key"), std::string::npos) << ended.errors;
    EXPECT_NE(ended.errors.find('3'), std::string::npos) << ended.errors;
    std::filesystem::remove_all(folder);
}

TEST(CommandLine, PrintsItsVersion) {
    const Ended ended = run_hearth({"--version"});
    EXPECT_EQ(ended.code, 0);
    EXPECT_NE(ended.output.find(HEARTH_VERSION), std::string::npos) << ended.output;
}

TEST(CommandLine, RefusesAnUnknownCommand) {
    const Ended ended = run_hearth({"no-such-command"});
    EXPECT_EQ(ended.code, 2) << ended.errors;
    EXPECT_FALSE(ended.errors.empty());
}

TEST(CommandLine, ShowsAModelOfTheServer) {
    const ServerProcess server;
    const Ended ended = run_hearth(
        {"show", "sentence-transformers/all-MiniLM-L6-v2", "--json", "--url", server.address()});
    ASSERT_EQ(ended.code, 0) << ended.errors;
    const auto shown = boost::json::parse(ended.output);
    EXPECT_EQ(shown.at("details").at("embedding_length").to_number<int>(), 384);
    EXPECT_EQ(run_hearth({"show", "none", "--url", server.address()}).code, 1);
}

TEST(CommandLine, ShowsAGgufFileAndRefusesABrokenOne) {
    const std::filesystem::path folder = make_folder();
    const std::string file = models::GgufWriter()
                                 .text("general.architecture", "llama")
                                 .text("general.name", "na\x1b[2Jme\xFF")
                                 .number("llama.context_length", models::GgufType::U32, 4096U)
                                 .tensor("token_embd.weight", 8, {32, 4})
                                 .file();
    std::ofstream(folder / "good.gguf") << file;
    std::ofstream(folder / "cut.gguf") << file.substr(0, 60);
    const Ended good = run_hearth({"show", (folder / "good.gguf").string()});
    EXPECT_EQ(good.code, 0) << good.errors;
    EXPECT_TRUE(good.output.contains("4096")) << good.output;
    EXPECT_TRUE(good.output.contains("Q8_0")) << good.output;
    EXPECT_FALSE(good.output.contains('\x1b')) << good.output;
    const Ended cut = run_hearth({"show", (folder / "cut.gguf").string()});
    EXPECT_EQ(cut.code, 2);
    EXPECT_TRUE(cut.errors.contains("cut.gguf: ")) << cut.errors;
    EXPECT_EQ(std::ranges::count(cut.errors, '\n'), 1) << cut.errors;
    std::filesystem::remove_all(folder);
}

TEST(CommandLine, ExplainsTheMachine) {
    const Ended ended = run_hearth({"doctor"});
    EXPECT_EQ(ended.code, 0) << ended.errors;
    EXPECT_NE(ended.output.find("all-minilm"), std::string::npos) << ended.output;
}

}  // namespace
}  // namespace hearth::system_test
