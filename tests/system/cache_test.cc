#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "http_probe.h"
#include "server_process.h"
#include "text_requests.h"

// Answers that are kept, through the real server, its workers and every dialect.
namespace hearth::system_test {
namespace {

namespace json = boost::json;

constexpr const char* kKeeps = "HEARTH_CACHE__MEMORY_MIB=64";

Reply ask(const std::string& address, std::string_view path, const json::object& body,
          std::string_view fields = {}) {
    const std::string text = json::serialize(body);
    HttpProbe probe(address);
    probe.write("POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" +
                std::string(fields) + "Content-Length: " + std::to_string(text.size()) +
                "\r\n\r\n" + text);
    return probe.read_reply();
}

std::string cache_field(const Reply& reply) { return reply.field("x-hearth-cache"); }

json::object with(json::object body, std::string_view name, const json::value& value) {
    body[name] = value;
    return body;
}

class KeptVectors : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ =
            std::make_unique<ServerProcess>(StartOptions{.arguments = {}, .environment = {kKeeps}});
    }
    static void TearDownTestSuite() { server_.reset(); }
    static const std::string& address() { return server_->address(); }
    void SetUp() override { EXPECT_EQ(post(address(), "/api/cache/clear", "").status, 200); }

  private:
    static inline std::unique_ptr<ServerProcess> server_;
};

TEST_F(KeptVectors, ServeEveryDialect) {
    const std::string body = embeddings_body("all-minilm", {"one text", "another"});
    const Reply first = post(address(), "/v1/embeddings", body);
    ASSERT_EQ(first.status, 200) << first.body;
    EXPECT_EQ(cache_field(first), "miss");
    const Reply second = post(address(), "/v1/embeddings", body);
    EXPECT_EQ(cache_field(second), "hit-l1");
    EXPECT_EQ(second.body, first.body);
    for (const char* field : {"x-hearth-model", "x-hearth-backend"}) {
        EXPECT_EQ(second.field(field), first.field(field));
        EXPECT_NE(second.field(field), "");
    }
    const Reply half =
        post(address(), "/v1/embeddings", embeddings_body("all-minilm", {"another", "a third"}));
    EXPECT_EQ(cache_field(half), "miss");
    EXPECT_EQ(half.json().at("data").at(0).at("embedding"),
              first.json().at("data").at(1).at("embedding"));
    // This one cuts texts that are too long, which is another wish.
    const Reply ollama = post(address(), "/api/embed", body);
    EXPECT_EQ(cache_field(ollama), "miss");
    EXPECT_EQ(cache_field(post(address(), "/api/embed", body)), "hit-l1");
    EXPECT_EQ(ollama.json().at("embeddings").at(0), first.json().at("data").at(0).at("embedding"));
    const double texts = metric(address(), "hearth_embedding_texts_total");
    EXPECT_EQ(cache_field(post(address(), "/embed", R"({"inputs":"one text"})")), "hit-l1");
    EXPECT_EQ(metric(address(), "hearth_embedding_texts_total"), texts);
}

TEST_F(KeptVectors, FollowTheCallersWish) {
    const json::object body{{"model", "all-minilm"}, {"input", "wishes"}};
    const auto wish = [&](const char* fields) {
        return ask(address(), "/v1/embeddings", body, fields);
    };
    const Reply none = wish("x-hearth-cache: only\r\n");
    EXPECT_EQ(none.status, 404);
    EXPECT_EQ(none.json().at("error").at("code"), "not_cached");
    EXPECT_EQ(cache_field(wish("x-hearth-cache: off\r\n")), "bypass");
    EXPECT_EQ(cache_field(wish("X-Hearth-Cache: refresh\r\n")), "miss");
    EXPECT_EQ(cache_field(wish("x-hearth-cache: only\r\n")), "hit-l1");
    const Reply wrong = wish("x-hearth-cache: yes\r\n");
    EXPECT_EQ(wrong.status, 400);
    EXPECT_EQ(wrong.json().at("error").at("param"), "x-hearth-cache");
    EXPECT_EQ(wish("x-hearth-cache-ttl: soon\r\n").status, 400);
    EXPECT_EQ(cache_field(wish("x-hearth-cache: refresh\r\nx-hearth-cache-ttl: 1\r\n")), "miss");
    EXPECT_EQ(cache_field(wish("")), "hit-l1");
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    EXPECT_EQ(cache_field(wish("")), "miss");
}

TEST_F(KeptVectors, AreCountedAndCleared) {
    const std::string body = embeddings_body("all-minilm", {"counted"});
    const auto stats = [&] { return get(address(), "/api/cache/stats").json(); };
    const json::value before = stats();
    for (int i = 0; i < 4; ++i) (void)post(address(), "/v1/embeddings", body);
    const json::value after = stats();
    const auto grown = [&](const char* name) {
        return after.at(name).to_number<int>() - before.at(name).to_number<int>();
    };
    EXPECT_EQ(grown("hits"), 3);
    EXPECT_EQ(grown("misses"), 1);
    EXPECT_EQ(after.at("keys"), 1);
    const double rate = after.at("hitRate").to_number<double>();
    EXPECT_TRUE(rate > 0 && rate < 1) << rate;
    const json::value& space = after.at("namespaces").at("embedding");
    EXPECT_EQ(space.at("keys"), 1);
    EXPECT_GT(space.at("bytes").to_number<int>(), 384 * 4);
    EXPECT_GT(space.at("saved_ms").to_number<double>(), 0);
    EXPECT_EQ(after.at("levels").at("l1").at("bytes"), space.at("bytes"));
    EXPECT_EQ(post(address(), "/api/cache/clear", R"({"namespace":"chat"})").json().at("cleared"),
              0);
    EXPECT_EQ(post(address(), "/api/cache/clear", R"({"model":"all-minilm"})").json().at("cleared"),
              1);
    EXPECT_EQ(cache_field(post(address(), "/v1/embeddings", body)), "miss");
    for (const char* wrong : {"x", "[]", R"({"namespace":"y"})", R"({"models":"m"})",
                              R"({"model":1})", R"({"model":""})"}) {
        EXPECT_EQ(post(address(), "/api/cache/clear", wrong).status, 400) << wrong;
    }
    EXPECT_EQ(post(address(), "/api/cache/prune", "").json().at("cleared"), 0);
}

TEST_F(KeptVectors, AreShownByTheCommand) {
    (void)post(address(), "/v1/embeddings", embeddings_body("all-minilm", {"shown"}));
    const Ended stats = run_hearth({"cache", "stats", "--url", address()});
    EXPECT_EQ(stats.code, 0) << stats.errors;
    EXPECT_TRUE(stats.output.contains("embedding")) << stats.output;
    EXPECT_TRUE(stats.output.contains("HIT RATE")) << stats.output;
    const Ended as_json = run_hearth({"cache", "stats", "--json", "--url", address()});
    EXPECT_EQ(json::parse(as_json.output).at("keys"), 1);
    const Ended cleared =
        run_hearth({"cache", "clear", "--namespace", "embedding", "--url", address()});
    EXPECT_EQ(cleared.output, "cleared 1 answers\n");
    const Ended wrong = run_hearth({"cache", "clear", "--namespace", "x", "--url", address()});
    EXPECT_EQ(wrong.code, 1);
    EXPECT_TRUE(wrong.errors.contains("embedding, rerank, chat, completion or fim"));
}

class KeptAnswers : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        server_ = std::make_unique<ServerProcess>(text_options({kKeeps}));
    }
    static void TearDownTestSuite() { server_.reset(); }
    static const std::string& address() { return server_->address(); }

  private:
    static inline std::unique_ptr<ServerProcess> server_;
};

std::string text_of(const Reply& reply) {
    return std::string(reply.json().at("choices").at(0).at("message").at("content").as_string());
}

// The text that a stream of /v1/chat/completions brings, and its last usage.
struct Streamed {
    std::string text;
    json::value usage;
    bool is_done = false;
};
Streamed read_stream(const Reply& reply) {
    Streamed streamed;
    std::istringstream lines(reply.body);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("data: ")) continue;
        if (line == "data: [DONE]") {
            streamed.is_done = true;
            continue;
        }
        const json::value event = json::parse(line.substr(6));
        if (const auto* usage = event.as_object().if_contains("usage")) streamed.usage = *usage;
        for (const json::value& choice : event.at("choices").as_array()) {
            const auto* content = choice.at("delta").as_object().if_contains("content");
            if (content != nullptr && content->is_string()) streamed.text += content->as_string();
        }
    }
    return streamed;
}

TEST_F(KeptAnswers, AreSaidAgainInEveryDialectAndAsStreams) {
    const json::object body = chat("tiny-text", "the same in every dialect");
    const Reply first = ask(address(), "/v1/chat/completions", body);
    ASSERT_EQ(first.status, 200) << first.body;
    EXPECT_EQ(cache_field(first), "miss");
    const Reply again = ask(address(), "/v1/chat/completions", body);
    EXPECT_EQ(cache_field(again), "hit-l1");
    EXPECT_EQ(text_of(again), text_of(first));
    EXPECT_EQ(again.json().at("usage"), first.json().at("usage"));
    const Reply stream = ask(
        address(), "/v1/chat/completions",
        with(with(body, "stream", true), "stream_options", json::object{{"include_usage", true}}));
    EXPECT_EQ(cache_field(stream), "hit-l1");
    const Streamed streamed = read_stream(stream);
    EXPECT_EQ(streamed.text, text_of(first));
    EXPECT_TRUE(streamed.is_done);
    EXPECT_EQ(streamed.usage.at("completion_tokens"),
              first.json().at("usage").at("completion_tokens"));
    const Reply anthropic = ask(address(), "/v1/messages", body);
    ASSERT_EQ(anthropic.status, 200) << anthropic.body;
    EXPECT_EQ(cache_field(anthropic), "hit-l1");
    EXPECT_EQ(anthropic.json().at("content").at(0).at("text").as_string(), text_of(first));
}

TEST_F(KeptAnswers, BeginAsStreamsToo) {
    const json::object body = chat("tiny-text", "first as a stream");
    const Reply stream = ask(address(), "/v1/chat/completions", with(body, "stream", true));
    EXPECT_EQ(cache_field(stream), "miss");
    const Reply whole = ask(address(), "/v1/chat/completions", body);
    EXPECT_EQ(cache_field(whole), "hit-l1");
    EXPECT_EQ(text_of(whole), read_stream(stream).text);
}

TEST_F(KeptAnswers, AreOnlyThoseThatWouldComeOutTheSame) {
    json::object body = chat("tiny-text", "chance");
    body["temperature"] = 0.8;
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(cache_field(ask(address(), "/v1/chat/completions", body)), "bypass");
    }
    EXPECT_EQ(cache_field(ask(address(), "/v1/chat/completions", body, "x-hearth-cache: all\r\n")),
              "miss");
    const Reply kept = ask(address(), "/v1/chat/completions", body, "x-hearth-cache: all\r\n");
    EXPECT_EQ(cache_field(kept), "hit-l1");
    EXPECT_EQ(cache_field(ask(address(), "/v1/chat/completions", body)), "bypass");
}

TEST(KeptByConfiguration, NamesModelsAsRequestsDo) {
    const ServerProcess server(
        text_options({kKeeps, "HEARTH_CACHE__MODELS=Tiny-Text=all,tiny-fim=off"}));
    json::object body = chat("tiny-text", "chance");
    body["temperature"] = 0.8;
    EXPECT_EQ(cache_field(ask(server.address(), "/v1/chat/completions", body)), "miss");
    EXPECT_EQ(cache_field(ask(server.address(), "/v1/chat/completions", body)), "hit-l1");
    const json::object off = chat("tiny-fim", "never");
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(cache_field(ask(server.address(), "/v1/chat/completions", off)), "bypass");
    }
}

// F39: there, the model was loaded before the look-up.
TEST_F(KeptAnswers, NeedNoModelInMemory) {
    const json::object body = chat("tiny-text", "unloaded");
    ASSERT_EQ(ask(address(), "/v1/chat/completions", body).status, 200);
    ASSERT_EQ(ask(address(), "/api/generate", {{"model", "tiny-text"}, {"keep_alive", 0}}).status,
              200);
    const auto is_loaded = [&] { return get(address(), "/api/ps").body.contains("\"tiny-text"); };
    ASSERT_TRUE(eventually(std::chrono::seconds(10), [&] { return !is_loaded(); }));
    EXPECT_EQ(cache_field(ask(address(), "/v1/chat/completions", body)), "hit-l1");
    EXPECT_FALSE(is_loaded());
}

TEST_F(KeptAnswers, FillInTheMiddleIsOfAKindOfItsOwn) {
    const json::object body{{"model", "tiny-fim"},
                            {"prompt", "int main() {"},
                            {"suffix", "}"},
                            {"max_tokens", 4},
                            {"temperature", 0}};
    ASSERT_EQ(ask(address(), "/v1/completions", body).status, 200);
    EXPECT_EQ(cache_field(ask(address(), "/v1/completions", body)), "hit-l1");
    const json::value stats = get(address(), "/api/cache/stats").json();
    EXPECT_EQ(stats.at("namespaces").at("fim").at("hits"), 1);
    EXPECT_EQ(stats.at("namespaces").at("completion").at("hits"), 0);
}

}  // namespace
}  // namespace hearth::system_test
