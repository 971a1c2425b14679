#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>

#include "base/encoding.h"
#include "base/format.h"
#include "cli_process.h"
#include "http_probe.h"
#include "testing/gguf_models.h"
#include "testing/scripted_server.h"

// `hearth run`, `hearth complete`, `hearth rm` and `hearth cp` against the real server and the real
// llama-server.
namespace hearth::system_test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using std::chrono::seconds;
using testing::GgufKind;
using testing::RawSocket;
using testing::ScriptedServer;

constexpr std::string_view kPrompt = ">>> ";
constexpr std::string_view kCtrlC = "\x03";
constexpr std::string_view kCtrlD = "\x04";
constexpr std::string_view kUp = "\033[A";
// Two points by two, all red.
constexpr std::string_view kRedPng =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR42mP4z8AARAwQCgAf7gP9Y167WwAAAABJRU5E"
    "rkJggg==";

class CliRun : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        if (!can_run()) return;
        for (const auto kind :
             {GgufKind::Text, GgufKind::Fim, GgufKind::Thinking, GgufKind::Vision}) {
            testing::make_gguf(kind);
        }
        server_ = new ServerProcess(
            {.arguments = {},
             .environment = {"HEARTH_MODELS__DIRECTORIES=" + testing::gguf_cache().string(),
                             "HEARTH_LLAMA__PARALLEL=2", "HEARTH_LLAMA__CONTEXT=4096",
                             "HEARTH_LLAMA__THREADS=1"}});
    }
    static void TearDownTestSuite() {
        delete server_;
        server_ = nullptr;
    }
    void SetUp() override {
        if (!can_run()) GTEST_SKIP() << "setup has not built llama-server";
        folder_ = make_folder();
    }
    void TearDown() override {
        if (!folder_.empty()) fs::remove_all(folder_);
    }

    static bool can_run() {
        return testing::can_make_gguf() && fs::exists(testing::llama_program("llama-server"));
    }
    static const ServerProcess& server() { return *server_; }

    CliOptions options(std::vector<std::string> arguments, std::string input = {}) const {
        return {.arguments = std::move(arguments),
                .environment = {"HEARTH_HOST=" + server_->address(),
                                "HEARTH_SERVER__DATA_DIR=" + folder_.string()},
                .input = std::move(input)};
    }
    Ended cli(std::vector<std::string> arguments, std::string input = {}) const {
        return run_cli(options(std::move(arguments), std::move(input)));
    }
    const fs::path& folder() const { return folder_; }

    // What the server counts under a name of /metrics.
    static std::string counted(const std::string& name) {
        const std::string body = get(server_->address(), "/metrics").body;
        const std::size_t at = body.find("\n" + name + " ");
        if (at == std::string::npos) return {};
        const std::size_t begin = at + name.size() + 2;
        return body.substr(begin, body.find('\n', begin) - begin);
    }

  private:
    static ServerProcess* server_;
    fs::path folder_;
};

ServerProcess* CliRun::server_ = nullptr;

// One sentence, and the exit code.
void expect_error(const Ended& ended, int code, std::string_view part) {
    EXPECT_EQ(ended.code, code) << ended.errors;
    EXPECT_TRUE(ended.errors.starts_with("hearth: ")) << ended.errors;
    EXPECT_TRUE(ended.errors.contains(part)) << ended.errors;
    EXPECT_EQ(std::ranges::count(ended.errors, '\n'), 1) << ended.errors;
}

std::string text_of(const Ended& ended) {
    EXPECT_EQ(ended.code, 0) << ended.errors;
    return std::string(json::parse(ended.output).at("message").at("content").as_string());
}

const std::vector<std::string> kShort = {"--option", "num_predict=8", "--option", "temperature=0"};

std::vector<std::string> with_short(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), kShort.begin(), kShort.end());
    return arguments;
}

TEST_F(CliRun, PrintsTheAnswerAndNotTheReasoning) {
    const Ended ended = cli({"run", "tiny-thinking", "Hello", "there"});
    EXPECT_EQ(ended.code, 0) << ended.errors;
    EXPECT_EQ(ended.output, "Done!\n");
    EXPECT_EQ(ended.errors, "");
}

TEST_F(CliRun, PipedTextFollowsThePrompt) {
    const auto ask = [&](std::vector<std::string> arguments, std::string input) {
        arguments.insert(arguments.begin(), {"run", "tiny-text", "--json"});
        return text_of(cli(with_short(std::move(arguments)), std::move(input)));
    };
    const std::string whole = ask({"Say this:\n\nthe text"}, "");
    EXPECT_FALSE(whole.empty());
    EXPECT_EQ(ask({"Say", "this:"}, "the text"), whole);
    EXPECT_EQ(ask({}, "Say this:\n\nthe text"), whole);
    EXPECT_NE(ask({"the text"}, "Say this:"), whole);
    EXPECT_NE(ask({"--system", "Be kind.", "Say this:\n\nthe text"}, ""), whole);
}

TEST_F(CliRun, JsonIsTheWholeAnswer) {
    const Ended ended = cli({"run", "tiny-thinking", "--json", "Hello"});
    ASSERT_EQ(ended.code, 0) << ended.errors;
    EXPECT_EQ(std::ranges::count(ended.output, '\n'), 1);
    const json::value answer = json::parse(ended.output);
    EXPECT_EQ(answer.at("message").at("content"), "Done!");
    EXPECT_EQ(answer.at("message").at("thinking"), "Let me think.");
    EXPECT_EQ(answer.at("done"), json::value(true));
    const Ended silent = cli({"run", "tiny-thinking", "--json", "--no-think", "Hello"});
    ASSERT_EQ(silent.code, 0) << silent.errors;
    EXPECT_FALSE(json::parse(silent.output).at("message").as_object().contains("thinking"));
}

TEST_F(CliRun, AnswersInTheFormOfASchema) {
    std::ofstream(folder() / "schema.json")
        << R"({"type":"object","properties":{"sky":{"type":"boolean"}},"required":["sky"],)"
        << R"("additionalProperties":false})";
    const Ended ended = cli({"run", "tiny-text", "--format", folder() / "schema.json", "--option",
                             "num_predict=200", "Is it blue?"});
    ASSERT_EQ(ended.code, 0) << ended.errors;
    EXPECT_TRUE(json::parse(ended.output).at("sky").is_bool()) << ended.output;
    std::ofstream(folder() / "broken.json") << "{";
    expect_error(cli({"run", "tiny-text", "--format", folder() / "broken.json", "Hi"}), 2,
                 "schema");
}

TEST_F(CliRun, VerboseTellsTheRate) {
    const Ended ended = cli(with_short({"run", "tiny-text", "--verbose", "Hi"}));
    EXPECT_EQ(ended.code, 0);
    EXPECT_TRUE(ended.errors.contains("eval count:           8 token(s)\n")) << ended.errors;
    EXPECT_TRUE(ended.errors.contains(" tokens/s\n")) << ended.errors;
}

TEST_F(CliRun, APathToAnImageSendsIt) {
    const fs::path file = folder() / "my red.png";
    const auto bytes = decode_base64(kRedPng);
    ASSERT_TRUE(bytes);
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes->data()),
               static_cast<std::streamsize>(bytes->size()));
    const auto tokens = [&](const std::string& model, const std::string& prompt) {
        const Ended ended = cli(with_short({"run", model, "--json", prompt}));
        EXPECT_EQ(ended.code, 0) << ended.errors;
        return json::parse(ended.output).at("prompt_eval_count").to_number<int>() +
               (json::parse(ended.output).as_object().contains("error") ? 1000 : 0);
    };
    const std::string seen = text_of(
        cli(with_short({"run", "tiny-vision", "--json", "What is '" + file.string() + "'?"})));
    const std::string unseen =
        text_of(cli(with_short({"run", "tiny-vision", "--json", "What is ?"})));
    EXPECT_NE(seen, unseen);
    EXPECT_GT(tokens("tiny-text", "What is '" + file.string() + "'?"),
              tokens("tiny-text", "What is ?"))
        << "a model that sees nothing reads the path";
    std::ofstream(folder() / "text.png") << "no image";
    expect_error(cli({"run", "tiny-vision", "What is " + (folder() / "text.png").string()}), 2,
                 "not a PNG");
}

TEST_F(CliRun, SaysInOneSentenceWhatIsWrong) {
    expect_error(cli({"run", "none", "Hi"}), 1, "'none' not found");
    expect_error(cli({"run", "tiny-text"}), 2, "no prompt");
    expect_error(cli({"run", "tiny-text", "--option", "heat=1", "Hi"}), 2, "'heat'");
    expect_error(cli({"run", "tiny-text", "--option", "seed=x", "Hi"}), 2, "seed");
    expect_error(cli({"run", "tiny-text", "--think", "Hi"}), 1, "thinking");
    expect_error(cli({"run", "tiny-text", "--keep-alive", "long", "Hi"}), 1, "keep_alive");
    expect_error(cli({"run", "tiny-text", "--url", "127.0.0.1:1", "Hi"}), 1, "hearth serve");
    EXPECT_EQ(cli({"run"}).code, 2);
}

TEST_F(CliRun, ListsShowWhatGenerates) {
    ASSERT_EQ(cli(with_short({"run", "tiny-text", "--keep-alive", "-1", "Hi"})).code, 0);
    const Ended ps = cli({"ps"});
    const std::size_t row = ps.output.find("tiny-text:q8_0");
    ASSERT_NE(row, std::string::npos) << ps.output;
    EXPECT_TRUE(ps.output.substr(row, ps.output.find('\n', row) - row).contains("for ever"))
        << ps.output;
    const json::value running = json::parse(cli({"ps", "--json"}).output);
    EXPECT_GT(running.at(0).at("size").to_number<std::uint64_t>(), 20U << 20);
    EXPECT_TRUE(cli({"models"}).output.contains("completion,tools,thinking"));
    EXPECT_TRUE(cli({"show", "tiny-vision"}).output.contains("vision"));
}

TEST_F(CliRun, CompletesWithAndWithoutASuffix) {
    const std::vector<std::string> gap = {
        "--prefix", "int add(int a, int b) {\n", "--suffix", "}\n", "--max-tokens", "8"};
    std::vector<std::string> fill = {"complete", "tiny-fim"};
    fill.insert(fill.end(), gap.begin(), gap.end());
    const Ended filled = cli(fill);
    EXPECT_EQ(filled.code, 0) << filled.errors;
    EXPECT_FALSE(filled.output.empty());
    fill.emplace_back("--json");
    EXPECT_EQ(json::parse(cli(fill).output).at("tokens_predicted"), 8);
    fill[1] = "tiny-text";
    expect_error(cli(fill), 1, "not supported");

    const Ended went_on =
        cli({"complete", "tiny-text", "--prefix-file", "-", "--max-tokens", "8"}, "int main(");
    EXPECT_EQ(went_on.code, 0) << went_on.errors;
    EXPECT_FALSE(went_on.output.empty());
    const Ended whole =
        cli({"complete", "tiny-text", "--prefix", "int main(", "--max-tokens", "8", "--json"});
    EXPECT_EQ(json::parse(whole.output).at("usage").at("completion_tokens"), 8);
    EXPECT_EQ(cli({"complete", "tiny-text", "--max-tokens", "0"}).code, 2);
    expect_error(cli({"complete", "tiny-text", "--prefix-file", folder() / "none"}), 1, "none");
}

TEST_F(CliRun, RemoveAndCopyTellTheServersError) {
    expect_error(cli({"rm", "none"}), 1, "none");
    const Ended several = cli({"rm", "none", "nothing"});
    EXPECT_EQ(several.code, 1);
    EXPECT_EQ(std::ranges::count(several.errors, '\n'), 2) << several.errors;
    expect_error(cli({"cp", "none", "other"}), 1, "none");
    EXPECT_EQ(cli({"cp", "none"}).code, 2);
    EXPECT_EQ(cli({"show", "tiny-text"}).code, 0);
}

TEST_F(CliRun, ChatsOnATerminal) {
    TerminalProcess chat(options({"run", "tiny-thinking"}));
    chat.read_until(kPrompt);
    chat.type("Hello\r");
    EXPECT_TRUE(chat.read_until("Done!").contains("\033[2mLet me think.\033[0m"));
    chat.read_until(kPrompt);
    chat.type("\"\"\"\r");
    chat.read_until("... ");
    chat.type("one\r");
    chat.read_until("... ");
    chat.type("/bye\"\"\"\r");
    chat.read_until("Done!");
    chat.read_until(kPrompt);
    chat.type("\033[200~pasted\r\xC3\xA4\033[201~\r");
    chat.read_until("Done!");
    chat.read_until(kPrompt);
    chat.type("/set nothink\r");
    chat.read_until(kPrompt);
    const fs::path file = folder() / "chat.json";
    chat.type("/save " + file.string() + "\r");
    chat.read_until("6 messages");
    chat.read_until(kPrompt);
    chat.type("/no-such\r");
    chat.read_until("no command /no-such");
    chat.read_until(kPrompt);
    chat.type("/bye\r");
    EXPECT_EQ(chat.wait(), 0);

    std::ifstream stream(file);
    const json::value saved = json::parse(std::string{std::istreambuf_iterator<char>(stream), {}});
    EXPECT_EQ(saved.at("model"), "tiny-thinking");
    EXPECT_EQ(saved.at("think"), json::value(false));
    EXPECT_EQ(saved.at("messages").at(2).at("content"), "one\n/bye");
    EXPECT_EQ(saved.at("messages").at(4).at("content"), "pasted\n\xC3\xA4");
    EXPECT_EQ(saved.at("messages").at(5).at("content"), "Done!");
}

TEST_F(CliRun, KeepsItsHistoryForItsOwnerOnly) {
    {
        TerminalProcess chat(options({"run", "tiny-thinking"}));
        chat.read_until(kPrompt);
        chat.type("/set system first of all\r");
        chat.read_until(kPrompt);
        chat.type(kCtrlD);
        EXPECT_EQ(chat.wait(), 0);
    }
    const auto permissions = fs::status(folder() / "run_history").permissions();
    EXPECT_EQ(permissions, fs::perms::owner_read | fs::perms::owner_write);
    TerminalProcess chat(options({"run", "tiny-thinking"}));
    chat.read_until(kPrompt);
    chat.type(kUp);
    chat.read_until("first of all");
    chat.type(kCtrlC);
    chat.read_until(kPrompt);
    chat.type("/show\r");
    EXPECT_TRUE(chat.read_until("think ").contains("system        -")) << "it was left";
    chat.read_until(kPrompt);
    chat.type(kCtrlC);
    chat.read_until("again");
    chat.read_until(kPrompt);
    chat.type(kCtrlC);
    EXPECT_EQ(chat.wait(), 0);
}

TEST_F(CliRun, CtrlCStopsTheAnswerInTheServerToo) {
    const std::string name =
        R"(hearth_requests_total{model="tiny-text:q8_0",operation="generate",outcome="left"})";
    TerminalProcess chat(options({"run", "tiny-text"}));
    chat.read_until(kPrompt);
    const std::string before = counted(name);
    chat.type("Tell me a long story\r");
    chat.read_until("\r\033[K");  // its first word has come
    chat.type(kCtrlC);
    chat.read_until(kPrompt, seconds(10));
    EXPECT_TRUE(eventually(seconds(10), [&] { return counted(name) != before; }));
    chat.type("/show\r");
    EXPECT_TRUE(chat.read_until("system").contains("messages      2")) << "the part is kept";
    chat.read_until(kPrompt);
    chat.type("/clear\r");
    chat.read_until(kPrompt);
    chat.type(kCtrlD);
    EXPECT_EQ(chat.wait(), 0);
}

TEST_F(CliRun, CtrlCEndsAnAnswerToOneQuestionAsASignal) {
    TerminalProcess once(options({"run", "tiny-text", "Tell me a long story"}));
    once.read_until("\r\033[K");
    once.type(kCtrlC);
    EXPECT_EQ(once.wait(), 128 + SIGINT);
}

TEST_F(CliRun, AChatWithWhatCannotGenerateIsRefused) {
    TerminalProcess chat(options({"run", "all-minilm"}));
    chat.read_until("does not generate text");
    EXPECT_EQ(chat.wait(), 2);
}

// A server that sends what a terminal would obey.
TEST(CliRunHostile, ATerminalObeysNothingOfTheAnswer) {
    const ScriptedServer server([](RawSocket& socket, int) {
        socket.read_reply();
        socket.send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
            R"({"message":{"content":"a\u001b[2Jb\rc\u009b2Jd"},"done":false})"
            "\n"
            R"({"error":"bad\u001b[2J\nend"})"
            "\n");
    });
    TerminalProcess once({.arguments = {"run", "m", "Hi"},
                          .environment = {"HEARTH_HOST=" + server.address()},
                          .input = {}});
    const std::string shown = once.read_until("end\r\n");
    EXPECT_TRUE(shown.contains("a[2Jbc2Jd")) << shown;
    EXPECT_TRUE(shown.contains("hearth: bad[2J end")) << shown;
    EXPECT_FALSE(shown.contains("\033[2J")) << shown;
    EXPECT_EQ(once.wait(), 1);
}

}  // namespace
}  // namespace hearth::system_test
