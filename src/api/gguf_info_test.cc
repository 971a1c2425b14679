#include "api/gguf_info.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <limits>
#include <span>

#include "api/json_text.h"
#include "api/ollama.h"
#include "api/testing.h"
#include "models/gguf_writer.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using models::GgufType;
using models::GgufWriter;

models::GgufHeader header_of(const std::string& file) {
    auto header = models::parse_gguf_header(std::as_bytes(std::span(file)), file.size());
    EXPECT_TRUE(header) << (header ? "" : header.error().message);
    return header ? *std::move(header) : models::GgufHeader();
}

std::string sample_file() {
    return GgufWriter()
        .text("general.architecture", "llama")
        .text("general.name", "a\xFFz")
        .text("tokenizer.chat_template", "{{ messages }}")
        .texts("tokenizer.ggml.tokens", {"a", "b"})
        .number("llama.context_length", GgufType::U32, std::uint32_t{4096})
        .number("llama.rope.freq_base", GgufType::F32, 10000.0F)
        .number("llama.attention.layer_norm_rms_epsilon", GgufType::F32, 1e-5F)
        .number("llama.nothing", GgufType::F32, std::numeric_limits<float>::quiet_NaN())
        .number("llama.offset", GgufType::I32, std::int32_t{-3})
        .tensor("token_embd.weight", 0, {32, 4})
        .file();
}

TEST(GgufInfo, ShowsValuesAndNeitherListsNorTheTemplate) {
    const GgufInfo info = describe_gguf(header_of(sample_file()), false);
    std::string values;
    append_json(values, info.values);
    EXPECT_EQ(json::parse(values), json::parse(
                                       R"({"general.architecture":"llama","general.name":"a�z",
                    "tokenizer.ggml.tokens":null,"llama.context_length":4096,
                    "llama.rope.freq_base":10000,"llama.attention.layer_norm_rms_epsilon":1e-5,
                    "llama.nothing":null,"llama.offset":-3,"general.parameter_count":128})"));
    EXPECT_EQ(info.chat_template, "{{ messages }}");
    EXPECT_TRUE(info.tensors.empty());
}

TEST(GgufInfo, ShowsTensorsWhenAskedForThem) {
    EXPECT_EQ(json::value(describe_gguf(header_of(sample_file()), true).tensors),
              json::parse(R"([{"name":"token_embd.weight","type":"F32","shape":[32,4]}])"));
}

models::Model stored_model() {
    models::Model model = sample_model("small:latest");
    model.format = "gguf";
    model.family = "llama";
    model.precision = "Q4_K_M";
    model.parameters = 8'030'000'000;
    model.capabilities = {"completion", "tools"};
    model.gguf.emplace();
    return model;
}

json::value shown(const models::Model& model, const GgufInfo& info = {},
                  const GgufInfo& projector = {}) {
    return json::parse(ollama::encode_show(model, info, projector).body);
}

TEST(GgufInfo, FillsTheAnswerOfShow) {
    models::Model model = stored_model();
    model.gguf->system = "Be \"brief\".";
    model.gguf->ollama_template = "{{ .System }}";
    model.gguf->parameters = R"({"stop":["<a>","<b>"],"temperature":0.7,"num_ctx":4096})";
    model.gguf->messages = R"([{"role":"user","content":"hi"},{"role":"assistant"},3])";
    model.gguf->license = "MIT";
    const GgufInfo info = describe_gguf(header_of(sample_file()), true);
    const json::value answer = shown(model, info, info);
    EXPECT_EQ(answer.at("parameters"), json::value("stop                           \"<a>\"\n"
                                                   "stop                           \"<b>\"\n"
                                                   "temperature                    0.7\n"
                                                   "num_ctx                        4096"));
    EXPECT_EQ(answer.at("template"), json::value("{{ .System }}"));
    EXPECT_EQ(answer.at("system"), json::value("Be \"brief\"."));
    EXPECT_EQ(answer.at("license"), json::value("MIT"));
    EXPECT_EQ(answer.at("messages").as_array().size(), 3U);
    EXPECT_EQ(answer.at("modelfile"), json::value("FROM small:latest\n"
                                                  "TEMPLATE \"\"\"{{ .System }}\"\"\"\n"
                                                  "SYSTEM \"\"\"Be \"brief\".\"\"\"\n"
                                                  "PARAMETER stop \"<a>\"\n"
                                                  "PARAMETER stop \"<b>\"\n"
                                                  "PARAMETER temperature 0.7\n"
                                                  "PARAMETER num_ctx 4096\n"
                                                  "MESSAGE user \"\"\"hi\"\"\"\n"
                                                  "LICENSE \"\"\"MIT\"\"\"\n"));
    EXPECT_EQ(answer.at("model_info").at("llama.context_length"), json::value(4096));
    EXPECT_EQ(answer.at("projector_info").at("general.architecture"), json::value("llama"));
    EXPECT_EQ(answer.at("tensors").at(0).at("type"), json::value("F32"));
    EXPECT_EQ(answer.at("details").at("parameter_size"), json::value("8.0B"));
    EXPECT_EQ(answer.at("capabilities"), json::parse(R"(["completion","tools"])"));
}

TEST(GgufInfo, ShowsTheFilesTemplateWhereTheStoreHasNone) {
    const GgufInfo info = describe_gguf(header_of(sample_file()), false);
    EXPECT_EQ(shown(stored_model(), info).at("template"), json::value("{{ messages }}"));
    EXPECT_EQ(shown(stored_model()).at("template"), json::value("{{ .Prompt }}"));
}

TEST(GgufInfo, ShowsAModelWhoseFileCannotBeRead) {
    const json::value answer = shown(stored_model());
    EXPECT_EQ(answer.at("model_info"), json::parse(R"({"general.architecture":"llama",
        "general.parameter_count":8030000000,"llama.context_length":256,"llama.embedding_length":384})"));
    EXPECT_EQ(answer.at("parameters"), json::value(""));
    for (const char* name : {"system", "license", "messages", "projector_info", "tensors"}) {
        EXPECT_FALSE(answer.as_object().contains(name)) << name;
    }
}

TEST(GgufInfo, NamesAStoresModelByItsManifestAndTheProjectorsFamily) {
    models::Model model = stored_model();
    model.gguf->manifest_digest = std::string(64, 'e');
    model.gguf->projector = "mmproj.gguf";
    const json::value answer =
        json::parse(ollama::encode_tags(std::span(&model, 1)).body).at("models").at(0);
    EXPECT_EQ(answer.at("digest"), json::value(std::string(64, 'e')));
    EXPECT_EQ(answer.at("details").at("families"), json::parse(R"(["llama","clip"])"));
    EXPECT_EQ(answer.at("details").at("format"), json::value("gguf"));
}

}  // namespace
}  // namespace hearth::api
