#include "server/config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "server/upstream_options.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;

std::string refusal(std::string_view text, const Environment& environment = {}) {
    const auto config = parse_config("hearth.yaml", text, environment);
    return config ? "accepted" : config.error().message;
}

TEST(Config, EveryKeyHasADefault) {
    const auto config = parse_config("hearth.yaml", "", {});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->server.listen, std::vector<std::string>{"127.0.0.1:11435"});
    EXPECT_EQ(config->encoder.precision, "auto");
}

TEST(Config, ReadsEveryKindOfValue) {
    const auto config = parse_config("hearth.yaml",
                                     "server:\n  listen: [127.0.0.1:0, 'unix:/run/h']\n"
                                     "  body_bytes_max: 4096\n  request_time: 5s\n"
                                     "models: {preload: true}\nencoder: {precision: int8}\n",
                                     {});
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->server.listen, (std::vector<std::string>{"127.0.0.1:0", "unix:/run/h"}));
    EXPECT_EQ(config->server.http.body_bytes_max, 4096u);
    EXPECT_EQ(config->server.request_time, milliseconds(5000));
    EXPECT_TRUE(config->models.preload);
    EXPECT_EQ(config->encoder.precision, "int8");
}

TEST(Config, TheEnvironmentOverridesTheFile) {
    const auto config = parse_config(
        "hearth.yaml", "server: {shards: 1}",
        {{"HEARTH_SERVER__SHARDS", "3"}, {"HEARTH_SERVER__LISTEN", "127.0.0.1:1,127.0.0.1:2"}});
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->server.shards, 3u);
    EXPECT_EQ(config->server.listen.size(), 2u);
}

TEST(Config, AModelMayHaveKeysOfItsOwn) {
    const auto config =
        parse_config("hearth.yaml",
                     "llama:\n  context: 4096\n  devices: CUDA0\n  models:\n"
                     "    - qwen:30b  gpu_layers=20 devices=CUDA0,CUDA1 visible_devices=MIG-1f2e\n"
                     "    - tiny context=512 keep_alive=1m\n",
                     {});
    ASSERT_TRUE(config) << config.error().message;
    const auto keys_of = [&](std::string_view name) {
        return *config->llama.of_model([&](std::string_view named) { return named == name; });
    };
    EXPECT_EQ(config->llama.named_models(), (std::vector<std::string>{"qwen:30b", "tiny"}));
    const LlamaSection qwen = keys_of("qwen:30b");
    EXPECT_EQ(qwen.gpu_layers, "20");
    EXPECT_EQ(qwen.devices, "CUDA0,CUDA1");
    EXPECT_EQ(qwen.visible_devices, "MIG-1f2e");
    EXPECT_EQ(qwen.context, 4096U);
    EXPECT_EQ(keys_of("tiny").context, 512U);
    EXPECT_EQ(keys_of("tiny").keep_alive, std::chrono::minutes(1));
    EXPECT_EQ(keys_of("other").devices, "CUDA0");
    EXPECT_EQ(refusal("llama: {models: ['tiny layers=3']}"),
              "llama.models: tiny line 2: unknown key llama.layers");
    EXPECT_EQ(refusal("llama: {models: ['tiny context=many']}"),
              "llama.models: tiny line 2: llama.context must be a whole number from 0 to 16777216, "
              "not 'many'");
    EXPECT_NE(refusal("llama: {models: ['tiny context=\"1']}"), "accepted");
}

TEST(Config, ModelsCanHaveTheirOwnWaysWithTheCache) {
    const auto config = parse_config("f", "cache: {models: ['coder:7b=all', tiny=off]}", {});
    ASSERT_TRUE(config) << config.error().message;
    const std::map<std::string, cache::Mode> modes = {{"coder:7b", cache::Mode::All},
                                                      {"tiny", cache::Mode::Off}};
    EXPECT_EQ(*config->cache.modes(), modes);
    for (const char* wrong : {"tiny", "tiny=", "=all", "tiny=only", "tiny=refresh", "tiny=yes"}) {
        EXPECT_EQ(
            refusal(std::string("cache: {models: ['") + wrong + "']}"),
            std::string("cache.models: '") + wrong + "' is not `NAME=MODE` with auto, all or off");
    }
}

TEST(Config, RefusesWithFileLineAndKey) {
    EXPECT_EQ(refusal("server:\n  lisen: x\n"), "hearth.yaml line 2: unknown key server.lisen");
    EXPECT_EQ(refusal("\nserve: {}\n"), "hearth.yaml line 2: unknown key serve");
    EXPECT_EQ(refusal("server: {shards: 257}"),
              "hearth.yaml line 1: server.shards must be a whole number from 0 to 256, not '257'");
    EXPECT_EQ(
        refusal("server: {request_time: soon}"),
        "hearth.yaml line 1: server.request_time must be a time such as 500ms, 30s, 5m or 1h, "
        "not 'soon'");
    EXPECT_EQ(refusal("encoder: {precision: int4}"),
              "hearth.yaml line 1: encoder.precision must be one of auto, fp32, bf16, int8, not "
              "'int4'");
    EXPECT_EQ(refusal("models: {preload: [1]}"),
              "hearth.yaml line 1: models.preload must be one value");
    EXPECT_EQ(refusal("backends:\n  box:\n    kind: ollama\n"),
              "hearth.yaml line 3: backends.box.url: a server elsewhere needs one");
    EXPECT_EQ(refusal("backends:\n  box:\n    kind: ollama\n    ulr: http://h:1\n"),
              "hearth.yaml line 4: unknown key backends.box.ulr");
    EXPECT_TRUE(refusal("backends:\n  box:\n    weight: 2\n    url: ftp://h\n")
                    .starts_with("hearth.yaml line 4: backends.box.url: "));
    EXPECT_EQ(refusal("backends: {box: {url: 'http://h:1', headers: [x]}}"),
              "hearth.yaml line 1: backends.box.headers: entry 1 is not `Name: value`");
    EXPECT_EQ(refusal("", {{"HEARTH_BACKENDS__BOX__KIND", "ollama"}}),
              "environment: backends.box.url: a server elsewhere needs one");
    EXPECT_EQ(refusal("aliases:\n  a: [b, c]\n"), "hearth.yaml line 2: aliases.a must be one name");
    EXPECT_EQ(refusal("\ndefaults:\n  a: b\n"),
              "hearth.yaml line 3: defaults.a 'b' is not `member=value`");
    EXPECT_EQ(refusal("server: 5"), "hearth.yaml line 1: server must be a section of keys");
    EXPECT_EQ(refusal("- 5"), "hearth.yaml: the top level must be sections of keys");
    EXPECT_EQ(refusal("", {{"HEARTH_SERVER__LISEN", "x"}}),
              "environment: unknown key HEARTH_SERVER__LISEN");
    EXPECT_NE(refusal("server: {a: [}").find("hearth.yaml line 1: "), std::string::npos);
}

TEST(Config, RefusesHeadersThatNoCallCanHaveAndRepeatsNoSecret) {
    const auto refused = [](const std::string& entry) {
        return refusal("backends: {box: {url: 'http://h:1', headers: ['A: b', \"" + entry +
                       "\"]}}");
    };
    EXPECT_EQ(refused("X-Key: s3cret, and: more"), "accepted");
    EXPECT_EQ(refused("X-Empty:"), "accepted");
    EXPECT_TRUE(refused("s3cret").ends_with("entry 2 is not `Name: value`"));
    for (const char* entry : {"X Key: s3cret", ": s3cret", "X-K\\u00e9y: s3cret"}) {
        EXPECT_TRUE(refused(entry).ends_with("entry 2 has a name that no field can have"))
            << refused(entry);
    }
    EXPECT_TRUE(
        refused("X-Key: s3\\ncret").ends_with("entry 2 has a control character in its value"))
        << refused("X-Key: s3\\ncret");
    const std::string url = refusal("backends: {box: {url: 'http://me:s3cret@h:1'}}");
    EXPECT_TRUE(url.contains("http://h:1")) << url;
    EXPECT_FALSE(url.contains("s3cret")) << url;
}

TEST(Config, AcceptsTheBoundAndRefusesOneAbove) {
    EXPECT_EQ(refusal("server: {shards: 256}"), "accepted");
    EXPECT_EQ(refusal("server: {request_time: 8760h}"), "accepted");
    EXPECT_NE(refusal("server: {request_time: 8761h}"), "accepted");
}

TEST(Config, TheReferencePageIsTheOneGenerated) {
    std::ifstream page(HEARTH_SOURCE_DIR "/docs/configuration.md");
    std::ostringstream text;
    text << page.rdbuf();
    EXPECT_EQ(text.str(), config_reference())
        << "run: hearth doctor --reference > docs/configuration.md";
}

TEST(Config, OpenaisOwnServersAreKnownByTheirHost) {
    const auto openai = [](std::string_view url, std::string_view more = "") {
        Config config;
        config.routing.find_ollama = false;
        BackendSection& section = config.backends["b"];
        section.url = url;
        if (!more.empty()) section.strict = more;
        const auto plans = plan_upstreams(config);
        EXPECT_TRUE(plans);
        return plans ? plans->front().openai : remote::Openai::Compatible;
    };
    using remote::Openai;
    EXPECT_EQ(openai("https://api.openai.com/v1"), Openai::Itself);
    EXPECT_EQ(openai("https://eu.api.openai.com"), Openai::Itself);
    EXPECT_EQ(openai("https://mine.openai.azure.com/openai/v1"), Openai::Itself);
    EXPECT_EQ(openai("https://api.openai.com.example.net"), Openai::Compatible);
    EXPECT_EQ(openai("http://box:8000"), Openai::Compatible);
    EXPECT_EQ(openai("http://box:8000", "yes"), Openai::Itself);
    EXPECT_EQ(openai("https://api.openai.com", "no"), Openai::Compatible);
}

TEST(Config, ModelsOfATritonServerHaveKeysOfTheirOwn) {
    const auto config = parse_config(
        "hearth.yaml",
        "backends:\n  t:\n    kind: triton\n    url: http://h:1\n    tokenizer: /a\n    models:\n"
        "      - mini=minilm_v2 tokenizer=/b pooling=cls window=128\n      - other\n",
        {});
    ASSERT_TRUE(config) << config.error().message;
    const BackendSection& section = config->backends.at("t");
    const auto mini = section.of_model(section.models[0]);
    ASSERT_TRUE(mini);
    EXPECT_EQ(mini->name, "mini");
    EXPECT_EQ(mini->its_name, "minilm_v2");
    EXPECT_EQ(mini->section.tokenizer, "/b");
    EXPECT_EQ(mini->section.pooling, "cls");
    EXPECT_EQ(mini->section.window, 128U);
    EXPECT_EQ(section.of_model(section.models[1])->section.tokenizer, "/a");
    const std::string begin = "backends: {t: {url: 'http://h:1', kind: ";
    EXPECT_TRUE(refusal(begin + "triton, models: ['a color=red']}}").contains("color"));
    EXPECT_TRUE(refusal(begin + "triton, models: ['a pooling=max']}}").contains("pooling"));
    EXPECT_TRUE(refusal(begin + "openai, tokenizer: /a}}").contains("leave it out"));
}

}  // namespace
}  // namespace hearth::server
