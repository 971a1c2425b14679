#include "testing/gguf_models.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "base/format.h"
#include "http/client.h"
#include "models/gguf.h"
#include "runtime/child_process.h"
#include "testing/gguf_decoder.h"
#include "testing/processes.h"
#include "testing/run.h"

namespace hearth::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;

constexpr auto kAnswerTime = 20s;

class Scratch {
  public:
    Scratch() {
        std::string name = fs::temp_directory_path() / "gguf-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Scratch() { fs::remove_all(path_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

std::string bytes_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

// llama-server with one model, on a socket of its own; ended with this.
class LlamaServer {
  public:
    explicit LlamaServer(const fs::path& model, std::vector<std::string> more = {})
        : socket_(folder_.path() / "s.sock"), client_("unix:" + socket_.string()) {
        std::vector<std::string> arguments = {
            "--model", model,       "--host", socket_,       "--ctx-size", "2048",  "--parallel",
            "1",       "--threads", "1",      "--no-warmup", "--offline",  "--fit", "off"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto child = runtime::ChildProcess::start(
            io_, {.program = llama_program("llama-server"),
                  .arguments = std::move(arguments),
                  .environment = {},
                  .on_line = [this](std::string_view line) { (log_ += line) += '\n'; }});
        EXPECT_TRUE(child) << child.error().message;
        if (child) child_ = *std::move(child);
        EXPECT_TRUE(eventually([this] { return call("/health", "").status == 200; }, 20s)) << log_;
    }

    // A GET when `body` is empty. Status 0 when there is no answer.
    http::Reply call(const std::string& path, std::string body) {
        const auto method = body.empty() ? http::Method::Get : http::Method::Post;
        auto reply = run(io_,
                         client_.send({.method = method,
                                       .target = path,
                                       .headers = {{"content-type", "application/json"}},
                                       .body = std::move(body)},
                                      Deadline::after(kAnswerTime)),
                         kAnswerTime + 5s);
        return reply ? *std::move(reply) : http::Reply{};
    }
    // The answer to a request that succeeds.
    json::value ask(const std::string& path, const json::value& body) {
        const http::Reply reply = call(path, json::serialize(body));
        EXPECT_EQ(reply.status, 200) << reply.body << '\n' << log_;
        boost::system::error_code error;
        return json::parse(reply.body, error);
    }

  private:
    Scratch folder_;
    fs::path socket_;
    boost::asio::io_context io_;
    http::Client client_;
    std::string log_;
    std::unique_ptr<runtime::ChildProcess> child_;
};

json::value chat(const json::value& content, int tokens = 16) {
    return {{"messages", json::array{{{"role", "user"}, {"content", content}}}},
            {"temperature", 0},
            {"max_tokens", tokens}};
}

std::string text_at(const json::value& answer, const char* pointer) {
    boost::system::error_code error;
    const json::value* found = answer.find_pointer(pointer, error);
    return found != nullptr && found->is_string() ? std::string(found->as_string()) : "";
}

constexpr const char* kContent = "/choices/0/message/content";

class GgufModels : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!can_make_gguf()) GTEST_SKIP() << "setup has not installed the vocabularies";
    }
};

class GgufModelsServed : public GgufModels {
  protected:
    void SetUp() override {
        GgufModels::SetUp();
        if (!fs::exists(llama_program("llama-server"))) GTEST_SKIP() << "there is no llama-server";
    }
};

TEST_F(GgufModels, HaveTheHeadersOfTheirArchitectures) {
    const std::pair<GgufKind, std::string_view> kinds[] = {
        {GgufKind::Text, "qwen2"},   {GgufKind::Fim, "qwen2"},     {GgufKind::Thinking, "qwen2"},
        {GgufKind::Vision, "qwen2"}, {GgufKind::Embedder, "bert"}, {GgufKind::Reranker, "bert"}};
    for (const auto& [kind, architecture] : kinds) {
        const fs::path file = make_gguf(kind);
        const auto header = models::read_gguf_header(file);
        ASSERT_TRUE(header) << header.error().message;
        EXPECT_EQ(header->text("general.architecture"), architecture);
        EXPECT_EQ(header->number("general.file_type"), 7U);
        EXPECT_LT(fs::file_size(file), 28U << 20);
        const bool fills = header->find("tokenizer.ggml.fim_pre_token_id") != nullptr;
        EXPECT_EQ(fills, kind == GgufKind::Fim);
    }
    const auto projector =
        models::read_gguf_header(gguf_cache() / "tiny-vision" / "mmproj-tiny-vision.gguf");
    ASSERT_TRUE(projector) << projector.error().message;
    EXPECT_EQ(projector->text("general.architecture"), "clip");
}

TEST_F(GgufModels, AreTheSameBytesWhoeverWritesThem) {
    const Scratch folder;
    std::vector<std::thread> writers;
    for (int i = 0; i < 4; ++i) {
        writers.emplace_back([&] { make_gguf(GgufKind::Embedder, folder.path()); });
    }
    for (std::thread& writer : writers) writer.join();
    EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
    const fs::path file = make_gguf(GgufKind::Embedder, folder.path());
    EXPECT_EQ(bytes_of(file), bytes_of(make_gguf(GgufKind::Embedder)));
}

TEST_F(GgufModels, AreWrittenAgainWhenTheyAreNotWhole) {
    const Scratch folder;
    const fs::path file = make_gguf(GgufKind::Embedder, folder.path());
    const auto size = fs::file_size(file);
    fs::resize_file(file, size / 2);
    EXPECT_EQ(fs::file_size(make_gguf(GgufKind::Embedder, folder.path())), size);
}

TEST_F(GgufModels, AFolderThatCannotBeWrittenIsAnError) {
    EXPECT_THROW(make_gguf(GgufKind::Embedder, "/dev/null/models"), std::runtime_error);
}

TEST_F(GgufModels, ShapesOfExpertsHaveTheirTensors) {
    const Scratch folder;
    DecoderShape shape = qwen3_30b_a3b(1);
    shape.hidden = shape.inner = shape.expert_inner = 64;
    shape.experts = 4;
    shape.experts_used = 2;
    const fs::path file = folder.path() / "experts.gguf";
    ASSERT_TRUE(write_decoder(shape, file));
    const auto header = models::read_gguf_header(file);
    ASSERT_TRUE(header) << header.error().message;
    EXPECT_EQ(header->number("qwen3moe.expert_count"), 4U);
    bool found = false;
    for (const auto& tensor : header->tensors) found |= tensor.name == "blk.0.ffn_up_exps.weight";
    EXPECT_TRUE(found);
}

TEST_F(GgufModelsServed, TextDependsOnThePromptAndGoesOn) {
    LlamaServer server(make_gguf(GgufKind::Text));
    const auto complete = [&](const char* prompt) {
        const json::value answer =
            server.ask("/completion", {{"prompt", prompt}, {"n_predict", 16}, {"temperature", 0}});
        EXPECT_EQ(answer.at("tokens_predicted").to_number<int>(), 16);
        return text_at(answer, "/content");
    };
    const std::string first = complete("The quick brown fox");
    EXPECT_EQ(complete("The quick brown fox"), first);
    EXPECT_NE(complete("int main(void) {"), first);
    const json::value answer = server.ask("/v1/chat/completions", chat("Good morning"));
    EXPECT_EQ(text_at(answer, "/choices/0/finish_reason"), "length");
    EXPECT_NE(text_at(server.ask("/v1/chat/completions", chat("Good night")), kContent),
              text_at(answer, kContent));
}

// A chat that offers a tool.
json::value chat_with_tool() {
    json::value request = chat("What is the weather?", 256);
    const json::value parameters = {
        {"type", "object"},
        {"properties", {{"city", {{"type", "string"}, {"enum", json::array{"Oslo", "Rome"}}}}}},
        {"required", json::array{"city"}}};
    request.as_object()["tools"] = json::array{
        {{"type", "function"}, {"function", {{"name", "weather"}, {"parameters", parameters}}}}};
    return request;
}

// The same chat after the tool has answered.
json::value chat_with_response() {
    json::value request = chat_with_tool();
    json::array& messages = request.as_object()["messages"].as_array();
    const json::value function = {{"name", "weather"}, {"arguments", R"({"city":"Oslo"})"}};
    messages.push_back(
        {{"role", "assistant"},
         {"content", ""},
         {"tool_calls", json::array{{{"id", "1"}, {"type", "function"}, {"function", function}}}}});
    messages.push_back({{"role", "tool"}, {"tool_call_id", "1"}, {"content", "rain"}});
    request.as_object()["max_tokens"] = 16;
    return request;
}

void expect_call(const json::value& answer) {
    EXPECT_EQ(text_at(answer, "/choices/0/finish_reason"), "tool_calls") << answer;
    EXPECT_EQ(text_at(answer, "/choices/0/message/tool_calls/0/function/name"), "weather");
    const std::string arguments =
        text_at(answer, "/choices/0/message/tool_calls/0/function/arguments");
    EXPECT_TRUE(arguments.contains("Oslo") || arguments.contains("Rome")) << arguments;
}

TEST_F(GgufModelsServed, TextCallsAToolUntilItHasAnswered) {
    LlamaServer server(make_gguf(GgufKind::Text));
    json::value request = chat_with_tool();
    for (const char* choice : {"auto", "required"}) {
        request.as_object()["tool_choice"] = choice;
        expect_call(server.ask("/v1/chat/completions", request));
    }
    const json::value answer = server.ask("/v1/chat/completions", chat_with_response());
    EXPECT_EQ(text_at(answer, "/choices/0/finish_reason"), "length");
    EXPECT_NE(text_at(answer, kContent), "");
}

TEST_F(GgufModelsServed, FimFillsInTheMiddleAndTextCannot) {
    const json::value request = {{"input_prefix", "int add(int a, int b) {\n"},
                                 {"input_suffix", "}\n"},
                                 {"n_predict", 16},
                                 {"temperature", 0}};
    LlamaServer fim(make_gguf(GgufKind::Fim));
    EXPECT_NE(text_at(fim.ask("/infill", request), "/content"), "");
    LlamaServer text(make_gguf(GgufKind::Text));
    EXPECT_EQ(text.call("/infill", json::serialize(request)).status, 501);
}

TEST_F(GgufModelsServed, ThinkingThinksUnlessItIsToldNotTo) {
    LlamaServer server(make_gguf(GgufKind::Thinking));
    json::value request = chat("Hello", 64);
    const json::value answer = server.ask("/v1/chat/completions", request);
    EXPECT_EQ(text_at(answer, "/choices/0/message/reasoning_content"), "Let me think.");
    EXPECT_EQ(text_at(answer, kContent), "Done!");
    EXPECT_EQ(text_at(answer, "/choices/0/finish_reason"), "stop");
    request.as_object()["chat_template_kwargs"] = {{"enable_thinking", false}};
    const json::value short_answer = server.ask("/v1/chat/completions", request);
    EXPECT_EQ(text_at(short_answer, "/choices/0/message/reasoning_content"), "");
    EXPECT_EQ(text_at(short_answer, kContent), "Done!");
    const json::value call = server.ask("/v1/chat/completions", chat_with_tool());
    EXPECT_EQ(text_at(call, "/choices/0/message/reasoning_content"), "Let me think.");
    expect_call(call);
    const json::value last = server.ask("/v1/chat/completions", chat_with_response());
    EXPECT_EQ(text_at(last, kContent), "Done!") << last;
}

TEST_F(GgufModelsServed, VisionSeesTheImage) {
    const fs::path model = make_gguf(GgufKind::Vision);
    LlamaServer server(model, {"--mmproj", model.parent_path() / "mmproj-tiny-vision.gguf"});
    const auto describe = [&](std::string_view png) {
        const std::string address = format("data:image/png;base64,{}", png);
        const json::value content =
            json::array{{{"type", "text"}, {"text", "What is this?"}},
                        {{"type", "image_url"}, {"image_url", {{"url", address}}}}};
        return text_at(server.ask("/v1/chat/completions", chat(content)), kContent);
    };
    // Two points by two, all red; eight by eight, a chessboard.
    const std::string red = describe(
        "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR42mP4z8AARAwQCgAf7gP9Y167WwAA"
        "AABJRU5ErkJggg==");
    EXPECT_NE(red, "");
    EXPECT_NE(
        describe(
            "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAF0lEQVR42mNgYGD4//8/FhK7KAQMPh0AXXNf"
            "oWyFCAcAAAAASUVORK5CYII="),
        red);
}

TEST_F(GgufModelsServed, EmbedderGivesUnitVectors) {
    LlamaServer server(make_gguf(GgufKind::Embedder), {"--embedding"});
    const json::value answer =
        server.ask("/v1/embeddings", {{"input", json::array{"a cat", "a retry limit"}}});
    const json::array& data = answer.at("data").as_array();
    ASSERT_EQ(data.size(), 2U);
    const json::array& vector = data[0].at("embedding").as_array();
    EXPECT_EQ(vector.size(), 64U);
    double squares = 0;
    for (const json::value& value : vector) squares += std::pow(value.to_number<double>(), 2);
    EXPECT_NEAR(squares, 1, 1e-3);
    EXPECT_NE(data[0].at("embedding"), data[1].at("embedding"));
}

TEST_F(GgufModelsServed, RerankerTellsDocumentsApart) {
    LlamaServer server(make_gguf(GgufKind::Reranker), {"--rerank"});
    const auto scores = [&](const char* query) {
        const json::value answer = server.ask(
            "/v1/rerank", {{"query", query}, {"documents", json::array{"a cat", "a retry limit"}}});
        std::map<std::int64_t, double> found;
        for (const json::value& result : answer.at("results").as_array()) {
            found[result.at("index").as_int64()] = result.at("relevance_score").to_number<double>();
        }
        // [CLS] cats [SEP] a cat [SEP], [CLS] cats [SEP] a re ##try limit [SEP]
        EXPECT_EQ(answer.at("usage").at("prompt_tokens").as_int64(), 4 + 2 + 4 + 4);
        return found;
    };
    const auto cats = scores("cats");
    ASSERT_EQ(cats.size(), 2U);
    EXPECT_GT(std::abs(cats.at(0) - cats.at(1)), 1e-3);
    EXPECT_GT(std::abs(cats.at(0) - scores("dogs").at(0)), 1e-3);
}

}  // namespace
}  // namespace hearth::testing
