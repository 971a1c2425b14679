#include <gtest/gtest.h>
#include <sys/resource.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>
#include <thread>

#include "cli_process.h"
#include "fetch/registry_fixture.h"
#include "http_probe.h"
#include "models/manifest.h"
#include "server_process.h"
#include "testing/gguf_models.h"
#include "testing/gguf_split.h"

// Models that come, are copied and go, through the real server and the real downloader, from a
// registry of the test's own.
namespace hearth::system_test {
namespace {

namespace json = boost::json;
using fetch::testing::TestRegistry;
using std::chrono::seconds;
using testing::GgufKind;

class Manage : public ::testing::Test {
  protected:
    Reply ask(std::string_view method, std::string_view path, const json::value& body) {
        return HttpProbe(server_.address()).exchange(method, path, json::serialize(body));
    }
    Reply pull(const std::string& name, bool stream) {
        return ask("POST", "/api/pull", {{"model", name}, {"stream", stream}});
    }
    bool serves(std::string_view name) {
        return ask("POST", "/api/show", {{"model", name}}).status == 200;
    }
    Reply chat(std::string_view name) {
        return ask("POST", "/api/chat",
                   {{"model", name},
                    {"messages", {{{"role", "user"}, {"content", "hello"}}}},
                    {"stream", false},
                    {"options", {{"num_predict", 3}}}});
    }

    TestRegistry registry_;
    ServerProcess server_;
};

TEST_F(Manage, APulledModelAnswersIsCopiedAndGoes) {
    registry_.add_model("me/tiny:q8", read_file(hearth::testing::make_gguf(GgufKind::Text)));
    const std::string name = registry_.name("me/tiny:q8");
    const Reply pulled = pull(name, true);
    ASSERT_EQ(pulled.status, 200) << pulled.body;
    EXPECT_TRUE(pulled.field("content-type").starts_with("application/x-ndjson"));
    EXPECT_TRUE(pulled.body.starts_with("{\"status\":\"pulling manifest\"}\n")) << pulled.body;
    EXPECT_TRUE(pulled.body.contains("\"completed\":")) << pulled.body;
    EXPECT_TRUE(pulled.body.ends_with("{\"status\":\"success\"}\n")) << pulled.body;

    EXPECT_EQ(chat(name).status, 200) << chat(name).body;
    ASSERT_EQ(ask("POST", "/api/copy", {{"source", name}, {"destination", "mine"}}).status, 200);
    EXPECT_EQ(chat("mine").status, 200) << chat("mine").body;
    ASSERT_EQ(ask("DELETE", "/api/delete", {{"model", name}}).status, 200);
    EXPECT_FALSE(serves(name));
    EXPECT_EQ(chat("mine").status, 200) << "its weights were shared";
    EXPECT_EQ(ask("DELETE", "/v1/models/mine", {}).status, 200);
    EXPECT_FALSE(serves("mine"));
    EXPECT_EQ(ask("DELETE", "/api/delete", {{"model", "mine"}}).status, 404);
    EXPECT_EQ(ask("POST", "/api/copy", {{"source", "mine"}, {"destination", "x"}}).status, 404);
}

TEST(ManageSplit, AModelInTwoFilesIsTakenIntoTheStoreAndAnswers) {
    const std::filesystem::path folder = make_folder();
    hearth::testing::split_gguf(hearth::testing::make_gguf(GgufKind::Text), folder, "halves-q8_0");
    {
        const ServerProcess server(
            {.arguments = {}, .environment = {"HEARTH_MODELS__DIRECTORIES=" + folder.string()}});
        const auto ask = [&](std::string_view method, std::string_view path, json::value body) {
            return HttpProbe(server.address()).exchange(method, path, json::serialize(body));
        };
        const Reply made = ask("POST", "/api/create",
                               {{"model", "joined"}, {"from", "halves"}, {"stream", false}});
        ASSERT_EQ(made.status, 200) << made.body;
        for (const char* name : {"halves", "joined"}) {
            const Reply said = ask("POST", "/v1/completions",
                                   {{"model", name}, {"prompt", "hello"}, {"max_tokens", 3}});
            EXPECT_EQ(said.status, 200) << said.body;
        }
        const auto splits = server.folder() / "data/store/splits";
        EXPECT_FALSE(std::filesystem::is_empty(splits));
        EXPECT_EQ(ask("DELETE", "/api/delete", {{"model", "joined"}}).status, 200);
        EXPECT_TRUE(std::filesystem::is_empty(splits));
    }
    std::filesystem::remove_all(folder);
}

TEST_F(Manage, PullsWithoutAStream) {
    registry_.add_model("me/tiny:q8", read_file(hearth::testing::make_gguf(GgufKind::Text)));
    const Reply pulled = pull(registry_.name("me/tiny:q8"), false);
    EXPECT_EQ(pulled.status, 200);
    EXPECT_EQ(pulled.body, "{\"status\":\"success\"}");
}

TEST_F(Manage, AModelIsMadeOfAnother) {
    registry_.add_model("me/tiny:q8", read_file(hearth::testing::make_gguf(GgufKind::Text)));
    const std::string name = registry_.name("me/tiny:q8");
    ASSERT_EQ(pull(name, false).status, 200);
    const Reply made = ask("POST", "/api/create",
                           {{"model", "pirate"},
                            {"from", name},
                            {"system", "You are a pirate."},
                            {"parameters", {{"num_predict", 2}}},
                            {"license", "MIT"}});
    ASSERT_EQ(made.status, 200) << made.body;
    EXPECT_TRUE(made.body.ends_with("{\"status\":\"success\"}\n")) << made.body;
    const json::value shown = ask("POST", "/api/show", {{"model", "pirate"}}).json();
    EXPECT_EQ(shown.at("system").as_string(), "You are a pirate.");
    EXPECT_EQ(shown.at("license").as_string(), "MIT");
    const Reply answer =
        ask("POST", "/api/generate", {{"model", "pirate"}, {"prompt", "hello"}, {"stream", false}});
    EXPECT_EQ(answer.json().at("eval_count").to_number<int>(), 2) << answer.body;

    const Reply smaller =
        ask("POST", "/api/create",
            {{"model", "small"}, {"from", "pirate"}, {"quantize", "q4_0"}, {"stream", false}});
    // A model that is quantised already is not quantised again.
    EXPECT_EQ(smaller.status, 400) << smaller.body;
    EXPECT_FALSE(serves("small"));
}

TEST_F(Manage, AModelIsMadeSmaller) {
    const std::filesystem::path folder = server_.folder() / "data/models";
    std::filesystem::create_directories(folder);
    const Ended wider =
        run_cli({.arguments = {"quantize", hearth::testing::make_gguf(GgufKind::Text), "F16",
                               "--again", "--output", folder / "wide.gguf"},
                 .environment = {},
                 .input = {}});
    ASSERT_EQ(wider.code, 0) << wider.errors;
    const Reply made =
        ask("POST", "/api/create", {{"model", "small"}, {"from", "wide"}, {"quantize", "q8_0"}});
    ASSERT_EQ(made.status, 200) << made.body;
    EXPECT_TRUE(made.body.ends_with("{\"status\":\"success\"}\n")) << made.body;
    const json::value shown = ask("POST", "/api/show", {{"model", "small"}}).json();
    EXPECT_EQ(shown.at("details").at("quantization_level").as_string(), "Q8_0");
    EXPECT_EQ(chat("small").status, 200);
}

TEST_F(Manage, SaysWhyAModelCannotBeMade) {
    const auto status = [&](const json::value& body) {
        return ask("POST", "/api/create", body).status;
    };
    EXPECT_EQ(status({{"model", "x"}}), 400);
    EXPECT_EQ(status({{"model", "x"}, {"from", "nobody"}}), 404);
    EXPECT_EQ(status({{"model", "../x"}, {"from", "all-minilm"}}), 400);
    EXPECT_EQ(status({{"model", "x"}, {"from", "all-minilm"}, {"system", "y"}}), 400);
    EXPECT_EQ(status({{"model", "x"}, {"from", "all-minilm"}, {"quantize", "q4_0"}}), 400);
    EXPECT_EQ(status({{"model", "all-minilm"}, {"from", "all-minilm"}}), 403);
    const std::string absent = "sha256:" + std::string(64, 'a');
    const Reply files =
        ask("POST", "/api/create", {{"model", "x"}, {"files", {{"a.gguf", absent}}}});
    EXPECT_EQ(files.status, 400);
    EXPECT_TRUE(files.body.contains("a.gguf is not here; send it to /api/blobs/")) << files.body;
    EXPECT_EQ(status({{"model", "x"}, {"files", {{"a.gguf", "sha256:0"}}}}), 400);
}

TEST_F(Manage, AModelIsMadeOfSentFiles) {
    const std::string bytes = read_file(hearth::testing::make_gguf(GgufKind::Text));
    const std::string digest = models::Digest::of(bytes).text();
    const auto send = [&](const std::string& name, std::string_view body) {
        return HttpProbe(server_.address()).exchange("POST", "/api/blobs/" + name, body).status;
    };
    const auto is_there = [&] {
        return HttpProbe(server_.address()).exchange("HEAD", "/api/blobs/" + digest, {}).status;
    };
    EXPECT_EQ(is_there(), 404);
    EXPECT_EQ(send("sha256:1", "x"), 400);
    EXPECT_EQ(send(digest, "something else"), 400);
    EXPECT_EQ(is_there(), 404);
    EXPECT_EQ(send(digest, bytes), 201);
    EXPECT_EQ(is_there(), 200);
    EXPECT_EQ(send(digest, bytes), 200);
    const Reply made = ask("POST", "/api/create",
                           {{"model", "sent"},
                            {"files", {{"model.gguf", digest}}},
                            {"system", "You are a pirate."},
                            {"stream", false}});
    ASSERT_EQ(made.status, 200) << made.body;
    EXPECT_EQ(chat("sent").status, 200) << chat("sent").body;
    EXPECT_EQ(ask("POST", "/api/create",
                  {{"model", "x"}, {"from", "sent"}, {"adapters", {{"a.gguf", digest}}}})
                  .status,
              400);
}

TEST_F(Manage, SaysWhyAPullFails) {
    const Reply missing = pull(registry_.name("me/none:x"), false);
    EXPECT_EQ(missing.status, 404) << missing.body;
    EXPECT_FALSE(missing.json().at("error").as_string().empty());
    const Reply name = pull("../../etc/passwd", false);
    EXPECT_EQ(name.status, 400) << name.body;
    registry_.add_model("me/bad:x", std::string(100'000, 'x'));
    registry_.set({.wrong_bytes = true});
    const Reply bad = pull(registry_.name("me/bad:x"), true);
    EXPECT_EQ(bad.status, 200);
    const std::size_t last = bad.body.rfind('\n', bad.body.size() - 2) + 1;
    EXPECT_TRUE(json::parse(bad.body.substr(last)).as_object().contains("error")) << bad.body;
    EXPECT_FALSE(serves(registry_.name("me/bad:x")));
}

TEST_F(Manage, APullThatHasNoRoomSaysSo) {
    registry_.add_manifest("me/huge:x", R"({"layers":[{"mediaType":"x","digest":"sha256:)" +
                                            std::string(64, 'a') + R"(","size":4398046511104}]})");
    const Reply huge = pull(registry_.name("me/huge:x"), false);
    EXPECT_EQ(huge.status, 503) << huge.body;
    EXPECT_TRUE(huge.body.contains("needs 4398113 MB more")) << huge.body;

    // There was room, and then there is none.
    registry_.add_model("me/tiny:q8", read_file(hearth::testing::make_gguf(GgufKind::Text)));
    const std::string name = registry_.name("me/tiny:q8");
    const rlimit small{.rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(::prlimit(server_.pid(), RLIMIT_FSIZE, &small, nullptr), 0);
    const Reply full = pull(name, false);
    EXPECT_EQ(full.status, 503) << full.body;
    EXPECT_FALSE(serves(name));
    const rlimit large{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
    ASSERT_EQ(::prlimit(server_.pid(), RLIMIT_FSIZE, &large, nullptr), 0);
    EXPECT_EQ(pull(name, false).status, 200);
    EXPECT_TRUE(serves(name));
}

TEST_F(Manage, ACallerWhoLeavesEndsTheDownloadAndTheNextGoesOn) {
    registry_.add_model("me/tiny:q8", read_file(hearth::testing::make_gguf(GgufKind::Text)));
    registry_.set({.bytes_per_second = 2'000'000});
    const std::string name = registry_.name("me/tiny:q8");
    {
        HttpProbe probe(server_.address());
        const std::string body = json::serialize(json::object{{"model", name}});
        probe.write("POST /api/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n\r\n" + body);
        std::this_thread::sleep_for(seconds(2));
    }
    EXPECT_TRUE(eventually(seconds(5), [&] { return server_.worker_pids().empty(); }));
    const auto requests = registry_.blob_requests().size();
    registry_.set({});
    ASSERT_EQ(pull(name, false).status, 200);
    bool resumed = false;
    const auto seen = registry_.blob_requests();
    for (std::size_t i = requests; i < seen.size(); ++i) {
        resumed = resumed || (!seen[i].range.empty() && !seen[i].range.starts_with("bytes=0-"));
    }
    EXPECT_TRUE(resumed);
    EXPECT_TRUE(serves(name));
}

TEST_F(Manage, WhatLiesElsewhereIsNotTouched) {
    const Reply refused = ask("DELETE", "/api/delete", {{"model", "all-minilm"}});
    EXPECT_EQ(refused.status, 403) << refused.body;
    EXPECT_TRUE(serves("all-minilm"));
}

}  // namespace
}  // namespace hearth::system_test
