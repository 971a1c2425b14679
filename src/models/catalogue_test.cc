#include "models/catalogue.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/format.h"
#include "models/scan_fixture.h"
#include "models/test_folder.h"

namespace hearth::models {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTinyHeader =
    R"({"embeddings.word_embeddings.weight":{"dtype":"F32","shape":[10,8],"data_offsets":[0,320]},)"
    R"("embeddings.position_ids":{"dtype":"I64","shape":[1],"data_offsets":[320,328]}})";

void write_model(const TestFolder& root, const std::string& at) {
    root.write(at + "/config.json", kTinyBertConfig)
        .write(at + "/vocab.txt", "[PAD]\n[UNK]\n")
        .write(at + "/model.safetensors", safetensors_bytes(kTinyHeader, 328));
}

TEST(Catalogue, FindsFoldersNestedFoldersAndTheHubCache) {
    const TestFolder root;
    write_model(root, "tiny");
    write_model(root, "org/nested");
    write_model(root, "models--acme--hub-model/snapshots/0123abc");
    write_model(root, ".hidden");
    const Catalogue catalogue = scan(root);
    ASSERT_EQ(catalogue.models().size(), 3U);
    EXPECT_EQ(catalogue.models()[0].name, "acme/hub-model:latest");
    EXPECT_EQ(catalogue.models()[1].name, "org/nested:latest");
    EXPECT_EQ(catalogue.models()[2].name, "tiny:latest");
    EXPECT_TRUE(catalogue.broken().empty());

    const Model* model = catalogue.find("tiny");
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model->folder, root.path() / "tiny");
    EXPECT_EQ(model->digest.size(), 64U);
    EXPECT_EQ(model->parameters, 80U);
    EXPECT_EQ(model->precision, "F32");
    EXPECT_EQ(model->family, "bert");
    EXPECT_EQ(model->format, "safetensors");
    EXPECT_EQ(model->context_length, 32U);
    EXPECT_EQ(model->embedding_length, 8U);
    EXPECT_EQ(model->capabilities, std::vector<std::string>{"embedding"});
    EXPECT_GT(model->size_bytes, 320U);
    EXPECT_GT(model->modified_unix_ns, 0);
}

TEST(Catalogue, TakesTheSnapshotThatTheReferenceNames) {
    const TestFolder root;
    write_model(root, "models--acme--m/snapshots/aaa");
    write_model(root, "models--acme--m/snapshots/bbb");
    EXPECT_EQ(only_reason(scan(root)), "it has no snapshot that refs/main names");
    root.write("models--acme--m/refs/main", "bbb\n");
    const Catalogue catalogue = scan(root);
    ASSERT_EQ(catalogue.models().size(), 1U);
    EXPECT_EQ(catalogue.models()[0].folder.filename(), "bbb");
}

TEST(Catalogue, LooksNamesUpAsClientsWriteThem) {
    const TestFolder root;
    write_model(root, "all-minilm");
    write_model(root, "other:small");
    const Catalogue catalogue = scan(root);
    const Model* model = catalogue.find("all-minilm:latest");
    ASSERT_NE(model, nullptr);
    for (const auto* name :
         {"all-minilm", "All-MiniLM", "library/all-minilm", "library/all-minilm:latest",
          "all-MiniLM-L6-v2", "all-minilm-l6-v2:latest", "all-minilm:22m",
          "sentence-transformers/all-MiniLM-L6-v2",
          "hf.co/sentence-transformers/all-MiniLM-L6-v2"}) {
        EXPECT_EQ(catalogue.find(name), model) << name;
    }
    EXPECT_NE(catalogue.find("other:small"), nullptr);
    for (const auto* name :
         {"", "all-minilm:33m", "all-minil", "other", "other:large", "../all-minilm"}) {
        EXPECT_EQ(catalogue.find(name), nullptr) << name;
    }
    EXPECT_EQ(catalogue.find(std::string(100'000, 'a')), nullptr);
}

TEST(Catalogue, LetsAFoldersOwnNameWinOverAnAlias) {
    const TestFolder root;
    write_model(root, "all-minilm");
    write_model(root, "all-MiniLM-L6-v2");
    const Catalogue catalogue = scan(root);
    EXPECT_EQ(catalogue.find("all-minilm")->folder.filename(), "all-minilm");
    EXPECT_EQ(catalogue.find("all-minilm-l6-v2")->folder.filename(), "all-MiniLM-L6-v2");
}

TEST(Catalogue, PrefersTheEarlierDirectory) {
    const TestFolder first;
    const TestFolder second;
    write_model(first, "tiny");
    write_model(second, "tiny");
    const std::vector<Source> sources = {
        {first.path()}, {second.path()}, {first.path() / "none"}, {first.path() / "."}};
    const Catalogue catalogue = Catalogue::scan(sources);
    ASSERT_EQ(catalogue.models().size(), 1U);
    EXPECT_EQ(catalogue.models()[0].folder, first.path() / "tiny");
    EXPECT_EQ(only_reason(catalogue), "another model is already served as tiny:latest");
}

TEST(Catalogue, SaysWhyAFolderIsBrokenAndServesTheOthers) {
    const auto reason = [](std::string_view file, std::string_view text) {
        const TestFolder root;
        write_model(root, "good");
        write_model(root, "tiny");
        if (text == "remove") {
            fs::remove(root.path() / "tiny" / file);
        } else {
            root.write(format("tiny/{}", file), text);
        }
        const Catalogue catalogue = scan(root);
        EXPECT_EQ(catalogue.models().size(), 1U);
        return only_reason(catalogue);
    };
    EXPECT_EQ(reason("config.json", "remove"), "it has neither config.json nor a GGUF file");
    EXPECT_EQ(reason("vocab.txt", "remove"), "it has neither tokenizer.json nor vocab.txt");
    EXPECT_EQ(reason("model.safetensors", "remove"), "model.safetensors is missing");
    EXPECT_EQ(reason("model.safetensors", ""), "model.safetensors is empty");
    EXPECT_EQ(reason("model.safetensors", safetensors_bytes(kTinyHeader, 327)),
              "model.safetensors: tensor \"embeddings.position_ids\" reaches byte 328 of 327: the "
              "file is cut short");
    EXPECT_EQ(reason("model.safetensors", safetensors_bytes(kTinyHeader, 329)),
              "model.safetensors: the file has 1 bytes behind its last tensor");
    EXPECT_EQ(reason("model.safetensors", safetensors_bytes("{}", 0)),
              "model.safetensors holds no tensor of type F32, F16 or BF16");
    EXPECT_EQ(reason("model.safetensors",
                     safetensors_bytes(R"({"embeddings.word_embeddings.weight":)"
                                       R"({"dtype":"F32","shape":[9,8],"data_offsets":[0,288]}})",
                                       288)),
              "model.safetensors: tensor \"embeddings.word_embeddings.weight\" does not have the "
              "shape [10, 8] that config.json gives");
    EXPECT_EQ(reason("config.json", R"({"model_type":"llama"})"),
              "config.json: model_type \"llama\" is not offered; bert and nomic_bert are");
}

TEST(Catalogue, NamesTheWeightsThatItFoundInstead) {
    const TestFolder root;
    write_model(root, "tiny");
    fs::remove(root.path() / "tiny/model.safetensors");
    root.write("tiny/pytorch_model.bin", "x");
    EXPECT_EQ(only_reason(scan(root)),
              "model.safetensors is missing; pytorch_model.bin is not read instead");
}

TEST(Catalogue, GivesADigestThatFollowsTheContentAndNotThePlace) {
    const TestFolder root;
    for (const auto* name : {"a", "b", "other-vocabulary", "other-weights"})
        write_model(root, name);
    root.write("other-vocabulary/vocab.txt", "[PAD]\n[UNX]\n");
    std::string weights = safetensors_bytes(kTinyHeader, 328);
    weights[weights.size() - 328] = 1;
    root.write("other-weights/model.safetensors", weights);
    const Catalogue catalogue = scan(root);
    const std::string digest = catalogue.find("a")->digest;
    EXPECT_EQ(catalogue.find("b")->digest, digest);
    EXPECT_NE(catalogue.find("other-vocabulary")->digest, digest);
    EXPECT_NE(catalogue.find("other-weights")->digest, digest);
}

TEST(Catalogue, ReadsTheDefaultModelInAFewMilliseconds) {
    const char* folder = std::getenv("HEARTH_DEFAULT_MODEL");
    if (folder == nullptr) GTEST_SKIP() << "HEARTH_DEFAULT_MODEL is not set";
    const std::vector<Source> sources = {{fs::path(folder).parent_path()}};
    const auto start = std::chrono::steady_clock::now();
    const Catalogue catalogue = Catalogue::scan(sources);
    const auto took = std::chrono::steady_clock::now() - start;
    const Model* model = catalogue.find("all-MiniLM-L6-v2");
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model->parameters, 22'713'216U);
    EXPECT_EQ(model->context_length, 256U);
    EXPECT_LT(took, std::chrono::milliseconds(500));  // sanitizers and loaded machines included
    RecordProperty("scan_us", static_cast<int>(took / std::chrono::microseconds(1)));
}

}  // namespace
}  // namespace hearth::models
