#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <csignal>
#include <fstream>
#include <map>

#include "base/format.h"
#include "cli_process.h"
#include "http_probe.h"
#include "server_process.h"
#include "testing/raw_socket.h"
#include "text_requests.h"

// A gateway without models of its own, in front of servers elsewhere. Those are Hearth too, which
// speaks what all of them speak. What each dialect gets from each kind: matrix_test.cc.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

std::vector<std::string> without_models(std::vector<std::string> more) {
    for (const char* name : {"INSTALLED", "OLLAMA_STORE", "HUB_CACHE"}) {
        more.push_back(format("HEARTH_MODELS__{}=false", name));
    }
    more.emplace_back("HEARTH_ROUTING__FIND_OLLAMA=false");
    return more;
}

std::string backend(std::string_view name, std::string_view key, std::string_view value) {
    return format("HEARTH_BACKENDS__{}__{}={}", name, key, value);
}

class ElsewhereTest : public ::testing::Test {
  protected:
    int status(std::string_view model) {
        return post(near_.address(), "/v1/chat/completions", json::serialize(chat(model, "hi")))
            .status;
    }

    ServerProcess far_{text_options()};
    ServerProcess near_{
        {.arguments = {},
         .environment = without_models(
             {backend("O", "URL", "http://" + far_.address()), backend("O", "KIND", "openai"),
              backend("L", "URL", "http://" + far_.address()), backend("L", "KIND", "ollama"),
              backend("A", "URL", "http://" + far_.address()),
              backend("A", "KIND", "anthropic")})}};
};

TEST_F(ElsewhereTest, ModelsAreListedAndNamedOnce) {
    const json::value models = get(near_.address(), "/v1/models").json();
    std::map<std::string, int> names;
    for (const json::value& model : models.at("data").as_array()) {
        ++names[std::string(model.at("id").as_string())];
    }
    EXPECT_EQ(names["tiny-text:q8_0"], 1) << json::serialize(models);
    EXPECT_TRUE(get(near_.address(), "/api/tags").body.contains("tiny-text:q8_0"));
    for (const char* name : {"tiny-text:q8_0", "TINY-TEXT:Q8_0", "tiny-text"}) {
        EXPECT_EQ(status(name), 200) << name;
    }
    EXPECT_EQ(status("nobody"), 404);
}

TEST_F(ElsewhereTest, AModelIsShownByItsServerOrAsFarAsItIsKnown) {
    const auto show = [](const ServerProcess& server, std::string_view model) {
        return post(server.address(), "/api/show", json::serialize(json::object{{"model", model}}));
    };
    const Reply theirs = show(far_, "tiny-text:q8_0");
    for (const char* name : {"l/tiny-text:q8_0", "l/tiny-text"}) {
        const Reply told = show(near_, name);
        ASSERT_EQ(told.status, 200) << told.body;
        EXPECT_EQ(told.json(), theirs.json()) << name;
    }
    for (const char* name : {"o/tiny-text:q8_0", "a/tiny-text:q8_0"}) {
        const Reply known = show(near_, name);
        ASSERT_EQ(known.status, 200) << known.body;
        const json::value shown = known.json();
        EXPECT_EQ(shown.at("details").at("format"), json::value("remote"));
        EXPECT_EQ(shown.at("model_info").as_object().contains("general.architecture"), true);
        for (const char* unknown : {"parameter_count", "embedding_length", "block_count"}) {
            EXPECT_FALSE(known.body.contains(unknown)) << unknown << "\n" << known.body;
        }
    }
    // The server that has its own words answers where several share a name.
    EXPECT_EQ(show(near_, "tiny-text").json().at("model_info"), theirs.json().at("model_info"));
    EXPECT_EQ(show(near_, "nobody").status, 404);
    EXPECT_EQ(show(near_, "o/nobody").status, 404);
    EXPECT_EQ(show(near_, "l/nobody").status, 404);
    EXPECT_EQ(get(near_.address(), "/v1/models/o/tiny-text:q8_0").status, 200);
}

TEST_F(ElsewhereTest, AServerThatDiesInAStreamEndsItWithAnError) {
    const std::string body =
        R"({"model":"o/tiny-text:q8_0","stream":true,"messages":[{"role":"user","content":"hi"}],)"
        R"("max_tokens":4000,"ignore_eos":true})";
    auto socket = hearth::testing::RawSocket::connect(near_.address());
    socket.send(
        format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close"
               "\r\nContent-Length: {}\r\n\r\n{}",
               body.size(), body));
    const std::string begun = socket.read_until(R"({"content":")");
    ASSERT_TRUE(begun.contains("200 OK")) << begun;
    far_.signal(SIGKILL);
    const auto rest = socket.read_to_end();
    ASSERT_TRUE(rest) << "the answer has no end";
    EXPECT_FALSE(rest->contains("[DONE]"));
    EXPECT_TRUE(rest->contains(R"(data: {"error":)")) << rest->substr(rest->size() - 500);
}

TEST(Elsewhere, AServerThatGoesTakesNoCallWithIt) {
    auto first = std::make_unique<ServerProcess>(text_options());
    const ServerProcess second(text_options());
    const ServerProcess near(
        {.arguments = {},
         .environment = without_models({backend("ONE", "URL", "http://" + first->address()),
                                        backend("TWO", "URL", "http://" + second.address())})});
    const std::string body = json::serialize(chat("tiny-text:q8_0", "hello"));
    std::map<std::string, int> served;
    for (int i = 0; i < 30; ++i) {
        if (i == 10) first->signal(SIGKILL);
        const Reply reply = post(near.address(), "/v1/chat/completions", body);
        ASSERT_EQ(reply.status, 200) << i << ": " << reply.body;
        ++served[reply.field("x-hearth-backend")];
    }
    EXPECT_GE(served["one"], 4);
    EXPECT_GE(served["two"], 20);
    EXPECT_GE(metric(near.address(), "hearth_upstream_failovers_total"), 1);
}

TEST(Elsewhere, CallersAreToldTheNameOfAServerTheLogItsAddress) {
    const ServerProcess near(
        {.arguments = {},
         .environment = without_models(
             {backend("BOX", "URL", "http://127.0.0.1:1"),
              backend("GRID", "URL", "http://127.0.0.1:1"), backend("GRID", "KIND", "triton"),
              backend("SAFE", "URL", "https://127.0.0.1:1"),
              backend("SAFE", "CA_FILE", "/etc/hearth-no-such-file.pem")})});
    const std::pair<const char*, const char*> calls[] = {
        {"/v1/chat/completions", R"({"messages":[{"role":"user","content":"hi"}],)"},
        {"/v1/messages", R"({"max_tokens":9,"messages":[{"role":"user","content":"hi"}],)"},
        {"/api/chat", R"({"messages":[{"role":"user","content":"hi"}],)"},
        {"/v1/embeddings", R"({"input":"hi",)"},
        {"/v1/rerank", R"({"query":"hi","documents":["ho"],)"}};
    for (const auto& [path, body] : calls) {
        for (const std::string name : {"box", "grid", "safe"}) {
            const Reply reply =
                post(near.address(), path, format(R"({}"model":"{}/m"}})", body, name));
            EXPECT_GE(reply.status, 500) << path;
            EXPECT_TRUE(reply.body.contains(name)) << path << "\n" << reply.body;
            EXPECT_FALSE(reply.body.contains("127.0.0.1")) << path << "\n" << reply.body;
            EXPECT_FALSE(reply.body.contains("/etc/")) << path << "\n" << reply.body;
        }
    }
    EXPECT_TRUE(near.log().contains("cannot connect: 127.0.0.1:1: ")) << near.log();
}

class ElsewhereFile : public ::testing::Test {
  protected:
    ~ElsewhereFile() override { std::filesystem::remove_all(folder_); }
    void write(std::string_view more) const {
        std::ofstream(folder_ / "hearth.yaml") << format(
            "backends:\n  far:\n    kind: ollama\n    url: http://{}\n{}", far_.address(), more);
    }
    StartOptions options() const {
        return {.arguments = {"--config", (folder_ / "hearth.yaml").string()},
                .environment = without_models({})};
    }

    const std::filesystem::path folder_ = make_folder();
    const ServerProcess far_{text_options()};
};

TEST_F(ElsewhereFile, ANewFileIsAppliedWholeOrNotAtAll) {
    write("");
    const ServerProcess near(options());
    const auto status = [&](std::string_view model) {
        return post(near.address(), "/v1/chat/completions", json::serialize(chat(model, "hi")))
            .status;
    };
    EXPECT_EQ(status("mine"), 404);
    write(
        "aliases:\n  mine: tiny-text:q8_0\n  theirs: far/tiny-fim:q8_0\nfallbacks:\n  gone: "
        "[mine]\n"
        "defaults:\n  mine: [max_tokens=2]\n");
    near.signal(SIGHUP);
    EXPECT_TRUE(eventually(seconds(10), [&] { return status("mine") == 200; })) << near.log();
    EXPECT_EQ(status("gone"), 200) << "another stands in for it";
    EXPECT_TRUE(get(near.address(), "/v1/models").body.contains(R"("theirs")"));
    const Reply short_one = post(near.address(), "/v1/chat/completions",
                                 R"({"model":"mine","messages":[{"role":"user","content":"hi"}]})");
    EXPECT_EQ(short_one.json().at("usage").at("completion_tokens").to_number<int>(), 2)
        << short_one.body;
    write("aliases:\n  other: tiny-text:q8_0\nnonsense:\n  key: 1\n");
    near.signal(SIGHUP);
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return near.log().contains("configuration refused") && near.log().contains("line 7");
    })) << near.log();
    EXPECT_EQ(status("mine"), 200);
    EXPECT_EQ(status("other"), 404);
}

TEST_F(ElsewhereFile, WhetherItIsUpIsToldOfThoseThatAreConfigured) {
    write(format("  second:\n    kind: ollama\n    url: http://{}\n", far_.address()));
    const ServerProcess near(options());
    const auto told = [&](std::string_view name) {
        return get(near.address(), "/metrics")
            .body.contains(format("hearth_upstream_up{{upstream=\"{}\"}} 1\n", name));
    };
    EXPECT_TRUE(told("far"));
    EXPECT_TRUE(told("second"));
    write("");
    near.signal(SIGHUP);
    EXPECT_TRUE(eventually(seconds(10), [&] { return !told("second"); })) << near.log();
    EXPECT_TRUE(eventually(seconds(10), [&] { return told("far"); }));
}

TEST_F(ElsewhereFile, ACallThatNamesNoModelGetsTheOnlyOneAndItsDefaults) {
    write("    models: [\"tiny-text:q8_0\"]\ndefaults:\n  tiny-text: [max_tokens=2]\n");
    const ServerProcess near(options());
    const std::string_view messages = R"("messages":[{"role":"user","content":"hi"}])";
    for (const std::string_view model :
         {"", R"("model":"tiny-text",)", R"("model":"tiny-text:q8_0",)"}) {
        const Reply reply =
            post(near.address(), "/v1/chat/completions", format("{{{}{}}}", model, messages));
        ASSERT_EQ(reply.status, 200) << reply.body;
        EXPECT_EQ(reply.json().at("usage").at("completion_tokens").to_number<int>(), 2)
            << model << reply.body;
    }
}

TEST_F(ElsewhereFile, DoctorAsksEachServer) {
    write("  dead:\n    url: http://127.0.0.1:1\n");
    const Ended ended = run_cli({.arguments = {"doctor", "--config", folder_ / "hearth.yaml"},
                                 .environment = without_models({}),
                                 .input = {}});
    EXPECT_TRUE(ended.output.contains("backend far")) << ended.output;
    EXPECT_TRUE(ended.output.contains("models, answered in")) << ended.output;
    EXPECT_TRUE(ended.output.contains("backend dead")) << ended.output;
    EXPECT_TRUE(ended.output.contains("cannot connect: 127.0.0.1:1: ")) << ended.output;
    EXPECT_EQ(ended.code, 1);
}

}  // namespace
}  // namespace hearth::system_test
