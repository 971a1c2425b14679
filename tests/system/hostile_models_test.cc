#include <gtest/gtest.h>
#include <sys/stat.h>

#include <limits>
#include <map>

#include "http_probe.h"
#include "server_process.h"
#include "tiny_model.h"

namespace hearth::system_test {
namespace {

namespace fs = std::filesystem;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    if (at == std::string::npos) throw std::runtime_error("nothing to replace: " + from);
    return text.replace(at, from.size(), to);
}

std::map<std::string, TinyModel> hostile_models() {
    const TinyModel good = make_tiny_model();
    std::map<std::string, TinyModel> models;
    const auto add = [&](const char* name, auto change) {
        TinyModel model = good;
        change(model);
        models.emplace(name, std::move(model));
    };
    add("truncated", [](auto& m) { m.safetensors.resize(m.safetensors.size() / 2); });
    add("empty-weights", [](auto& m) { m.safetensors.clear(); });
    add("huge-header", [](auto& m) { m.safetensors.replace(0, 8, 8, '\x7f'); });
    add("header-no-json", [](auto& m) { m.safetensors[9] = '}'; });
    add("offsets-outside", [](auto& m) {
        m.safetensors = replaced(m.safetensors, "\"data_offsets\":[0,", "\"data_offsets\":[9,");
    });
    add("config-no-json", [](auto& m) { m.config = "{\"model_type\":"; });
    add("config-deep", [](auto& m) { m.config = std::string(100'000, '['); });
    add("config-huge", [](auto& m) {
        m.config = replaced(m.config, "\"hidden_size\":32", "\"hidden_size\":1073741824");
    });
    add("config-other-shape",
        [](auto& m) { m.config = replaced(m.config, "\"hidden_size\":32", "\"hidden_size\":64"); });
    add("config-no-heads", [](auto& m) {
        m.config = replaced(m.config, "\"num_attention_heads\":2", "\"num_attention_heads\":0");
    });
    add("unknown-family", [](auto& m) {
        m.config = replaced(m.config, "\"model_type\":\"bert\"", "\"model_type\":\"no_such\"");
    });
    add("empty-vocabulary", [](auto& m) { m.vocabulary.clear(); });
    models.emplace("not-a-number", make_tiny_model([](std::size_t, float) {
                       return std::numeric_limits<float>::quiet_NaN();
                   }));
    models.emplace("one-infinity", make_tiny_model([](std::size_t index, float value) {
                       return index == 1'500 ? std::numeric_limits<float>::infinity() : value;
                   }));
    return models;
}

class HostileModels : public ::testing::Test {
  protected:
    void SetUp() override { folder_ = make_folder(); }
    void TearDown() override { fs::remove_all(folder_); }

    StartOptions options() const {
        return {.arguments = {}, .environment = {"HEARTH_MODELS__DIRECTORIES=" + folder_.string()}};
    }

    fs::path folder_;
};

TEST_F(HostileModels, AreRefusedWithOneSentenceWhileTheRestServes) {
    const auto models = hostile_models();
    for (const auto& [name, model] : models) write_model(folder_ / name, model);
    write_model(folder_ / "pipe", make_tiny_model());
    fs::remove(folder_ / "pipe" / "model.safetensors");
    ASSERT_EQ(::mkfifo((folder_ / "pipe" / "model.safetensors").c_str(), 0600), 0);
    write_model(folder_ / "good", make_tiny_model());

    const ServerProcess server(options());
    const auto expect_refused = [&](const std::string& name) {
        const Reply reply =
            post(server.address(), "/v1/embeddings", embeddings_body(name, {"hello world"}));
        EXPECT_GE(reply.status, 400) << name;
        EXPECT_LE(reply.status, 503) << name;
        const auto error = reply.json().at("error");
        const std::string message(error.at("message").as_string());
        EXPECT_GT(message.size(), 10U) << name;
        EXPECT_EQ(message.find('\n'), std::string::npos) << name << ": " << message;
    };
    for (const auto& [name, model] : models) expect_refused(name);
    expect_refused("pipe");

    const Reply good = post(server.address(), "/v1/embeddings", embeddings_body("good", {"hello"}));
    EXPECT_EQ(good.status, 200) << good.body;
    const Reply real =
        post(server.address(), "/v1/embeddings", embeddings_body("all-minilm", {"hello"}));
    EXPECT_EQ(real.status, 200) << real.body;
}

TEST_F(HostileModels, ATinyModelAnswersWithItsOwnDimension) {
    write_model(folder_ / "tiny", make_tiny_model());
    const ServerProcess server(options());
    const Reply reply =
        post(server.address(), "/v1/embeddings", embeddings_body("tiny", {"hello worlds"}));
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.json().at("data").at(0).at("embedding").as_array().size(), 32U);
    // [CLS] hello world ##s [SEP]
    EXPECT_EQ(reply.json().at("usage").at("prompt_tokens").to_number<int>(), 5);
}

}  // namespace
}  // namespace hearth::system_test
