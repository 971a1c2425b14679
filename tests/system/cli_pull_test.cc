#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <fstream>
#include <sstream>

#include "cli_process.h"
#include "fetch/registry_fixture.h"
#include "testing/gguf_models.h"

// `hearth pull`, `hearth cp` and `hearth rm` with a registry of the test's own.
namespace hearth::system_test {
namespace {

namespace json = boost::json;

class CliPull : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!testing::can_make_gguf()) GTEST_SKIP() << "setup has not installed the vocabularies";
        registry_.add_model("me/tiny:q8",
                            read_file(testing::make_gguf(testing::GgufKind::Embedder)));
    }

    Ended cli(std::vector<std::string> arguments) const {
        return run_cli({.arguments = std::move(arguments),
                        .environment = {"HEARTH_HOST=" + server_.address()},
                        .input = {}});
    }

    fetch::testing::TestRegistry registry_;
    ServerProcess server_;
};

TEST_F(CliPull, APulledModelIsCopiedAndRemoved) {
    const std::string name = registry_.name("me/tiny:q8");
    const Ended pulled = cli({"pull", name});
    EXPECT_EQ(pulled.code, 0) << pulled.errors;
    EXPECT_EQ(pulled.output, "");
    EXPECT_TRUE(pulled.errors.starts_with("pulling manifest\n")) << pulled.errors;
    EXPECT_TRUE(pulled.errors.contains(" 2.9 MB\n")) << pulled.errors;
    EXPECT_TRUE(pulled.errors.ends_with("success\n")) << pulled.errors;

    const Ended copied = cli({"cp", name, "mine"});
    EXPECT_EQ(copied.code, 0) << copied.errors;
    EXPECT_EQ(copied.output, "copied " + name + " to mine\n");
    EXPECT_TRUE(cli({"models"}).output.contains("mine:latest"));
    const Ended removed = cli({"rm", name, "mine"});
    EXPECT_EQ(removed.code, 0) << removed.errors;
    EXPECT_EQ(removed.output, "deleted " + name + "\ndeleted mine\n");
    EXPECT_EQ(cli({"rm", "mine"}).code, 1);
}

TEST_F(CliPull, JsonIsTheServersLines) {
    const Ended pulled = cli({"pull", registry_.name("me/tiny:q8"), "--json"});
    EXPECT_EQ(pulled.code, 0) << pulled.errors;
    std::istringstream lines(pulled.output);
    std::string line;
    std::string status;
    while (std::getline(lines, line)) status = json::parse(line).at("status").as_string();
    EXPECT_EQ(status, "success");
}

TEST_F(CliPull, CtrlCEndsTheDownload) {
    registry_.set({.bytes_per_second = 300'000});
    TerminalProcess pull({.arguments = {"pull", registry_.name("me/tiny:q8")},
                          .environment = {"HEARTH_HOST=" + server_.address()},
                          .input = {}});
    pull.read_until("[");  // the bar
    pull.type("\x03");
    EXPECT_EQ(pull.wait(), 128 + SIGINT);
    EXPECT_TRUE(
        eventually(std::chrono::seconds(10), [&] { return server_.worker_pids().empty(); }));
}

TEST_F(CliPull, SaysWhyItFails) {
    const Ended missing = cli({"pull", registry_.name("me/none:x")});
    EXPECT_EQ(missing.code, 1);
    EXPECT_TRUE(missing.errors.contains("hearth: ")) << missing.errors;
    EXPECT_EQ(cli({"pull", "../../etc/passwd"}).code, 1);
}

}  // namespace
}  // namespace hearth::system_test
