#include "api/ollama_manage.h"

#include <gtest/gtest.h>

#include "base/format.h"

namespace hearth::api::ollama {
namespace {

template <class T>
std::string refusal(const Result<T>& parsed) {
    if (parsed) return "accepted";
    EXPECT_EQ(parsed.error().code, Code::InvalidArgument);
    return parsed.error().param + ": " + parsed.error().message;
}

TEST(OllamaManage, ParsesAPull) {
    auto call = parse_pull(R"({"model":"a"})");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->model, "a");
    EXPECT_FALSE(call->insecure);
    EXPECT_TRUE(call->stream);
    call = parse_pull(R"({"name":"b","insecure":true,"stream":false,"username":"x"})");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->model, "b");
    EXPECT_TRUE(call->insecure);
    EXPECT_FALSE(call->stream);
    EXPECT_EQ(refusal(parse_pull("{}")), "model: model is required");
    EXPECT_EQ(refusal(parse_pull(R"({"model":7})")), "model: model must be a string");
    EXPECT_EQ(refusal(parse_pull(R"({"model":"a","stream":1})")),
              "stream: stream must be true or false");
    EXPECT_EQ(refusal(parse_pull("")), ": the body is empty; a JSON object is expected");
}

TEST(OllamaManage, ParsesADeleteAndACopy) {
    EXPECT_EQ(*parse_delete(R"({"model":"a"})"), "a");
    EXPECT_EQ(*parse_delete(R"({"name":"a"})"), "a");
    EXPECT_EQ(refusal(parse_delete(R"({"model":""})")), "model: model is required");
    const auto copy = parse_copy(R"({"source":"a","destination":"b"})");
    ASSERT_TRUE(copy);
    EXPECT_EQ(copy->source, "a");
    EXPECT_EQ(copy->destination, "b");
    EXPECT_EQ(refusal(parse_copy(R"({"destination":"b"})")),
              "source: source must be the name of a model");
    EXPECT_EQ(refusal(parse_copy(R"({"source":"a"})")), "destination: destination must be a name");
    EXPECT_EQ(refusal(parse_copy(R"({"source":[]})")), "source: source must be a string");
}

TEST(OllamaManage, ParsesACreate) {
    const auto call = parse_create(
        R"({"model":"a","from":"b","template":"t","system":"","parameters":{"seed":1},)"
        R"("messages":[{"role":"user"}],"license":["x","y"],"quantize":"q8_0","stream":false,)"
        R"("files":{}})");
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->model, "a");
    EXPECT_EQ(call->from, "b");
    EXPECT_EQ(call->ollama_template, "t");
    EXPECT_EQ(call->system, "") << "set, to nothing";
    EXPECT_EQ(call->parameters, R"({"seed":1})");
    EXPECT_EQ(call->messages, R"([{"role":"user"}])");
    EXPECT_EQ(call->licenses, (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(call->quantise, "q8_0");
    EXPECT_FALSE(call->stream);
    const auto least = parse_create(R"({"model":"a","from":"b","license":"x"})");
    ASSERT_TRUE(least);
    EXPECT_FALSE(least->system);
    EXPECT_TRUE(least->stream);
    EXPECT_EQ(least->licenses, (std::vector<std::string>{"x"}));
    EXPECT_EQ(refusal(parse_create(R"({"from":"b"})")), "model: model is required");
    EXPECT_EQ(refusal(parse_create(R"({"model":"a"})")),
              "from: either from, the name of a model, or files is required");
    EXPECT_EQ(refusal(parse_create(R"({"model":"a","from":"b","files":{"f":"sha256:0"}})")),
              "from: either from, the name of a model, or files is required");
    EXPECT_EQ(refusal(parse_create(R"({"model":"a","files":{"f":1}})")),
              "files: files must be an object of digests");
    EXPECT_EQ(refusal(parse_create(R"({"model":"a","from":"b","license":[1]})")),
              "license: license must be a text or a list of texts");
    const auto files = parse_create(R"({"model":"a","files":{"f":"sha256:0"}})");
    ASSERT_TRUE(files);
    EXPECT_EQ(files->files.at("f"), "sha256:0");
}

TEST(OllamaManage, WritesProgress) {
    EXPECT_EQ(encode_status("so"), R"({"status":"so"})");
    EXPECT_EQ(encode_status("so", 1, 2), R"({"status":"so","total":2,"completed":1})");
}

TEST(OllamaManage, ReadsWhatTheDownloaderSays) {
    EXPECT_FALSE(read_pull_line(R"({"status":"pulling manifest"})")->success);
    EXPECT_TRUE(read_pull_line(R"({"status":"success"})")->success);
    for (const char* wrong : {"", "x", "[]", "{"}) {
        const auto read = read_pull_line(wrong);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, Code::Internal);
    }
    const auto code_of = [](std::string_view word) {
        return read_pull_line(format(R"({{"error":"why","code":"{}"}})", word)).error().code;
    };
    EXPECT_EQ(code_of("invalid"), Code::InvalidArgument);
    EXPECT_EQ(code_of("not_found"), Code::NotFound);
    EXPECT_EQ(code_of("unauthorized"), Code::Forbidden);
    EXPECT_EQ(code_of("no_space"), Code::Unavailable);
    EXPECT_EQ(code_of("stopped"), Code::Cancelled);
    EXPECT_EQ(code_of("internal"), Code::Internal);
    EXPECT_EQ(code_of("of another version"), Code::BadUpstream);
    EXPECT_EQ(read_pull_line(R"({"error":"why","code":"busy"})").error().message, "why");
}

}  // namespace
}  // namespace hearth::api::ollama
