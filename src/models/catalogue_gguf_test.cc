#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "base/format.h"
#include "models/catalogue.h"
#include "models/scan_fixture.h"
#include "models/store.h"
#include "models/test_folder.h"
#include "models/test_gguf.h"

namespace hearth::models {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

Words names(const Catalogue& catalogue) {
    Words found;
    for (const Model& model : catalogue.models()) found.push_back(model.name);
    return found;
}

void store_model(const TestFolder& root, std::string_view name) {
    const Store store(root.path());
    const Manifest manifest{.layers = {*store.put_bytes(llama_file(), kModelLayer)}};
    EXPECT_TRUE(store.write_manifest(*ModelName::parse(name), encode_manifest(manifest)));
}

TEST(CatalogueGguf, FilesAtTheTopAreNamedByThemselves) {
    const TestFolder root;
    root.write("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf", llama_file())
        .write("tiny.gguf", llama_file())
        .write("My Model (v2)-Q8_0.gguf", llama_file())
        .write(".hidden.gguf", llama_file())
        .write("readme.txt", "x");
    const Catalogue catalogue = scan(root);
    EXPECT_EQ(names(catalogue),
              (Words{"My-Model--v2-:Q8_0", "qwen2.5-coder-0.5b-instruct:q4_k_m", "tiny:latest"}));
    EXPECT_TRUE(catalogue.broken().empty());
    const Model* model = catalogue.find("Qwen2.5-Coder-0.5B-instruct");
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model, catalogue.find("qwen2.5-coder-0.5b-instruct:Q4_K_M"));
    EXPECT_EQ(model->aliases, Words{"qwen2.5-coder-0.5b-instruct"});
    EXPECT_EQ(model->home, Home::Folder);
    EXPECT_EQ(catalogue.find("qwen2.5-coder-0.5b-instruct:q8_0"), nullptr);
}

TEST(CatalogueGguf, TheUsualQuantisationAnswersWithoutATag) {
    const TestFolder root;
    for (const auto* quantisation : {"F16", "IQ2_XS", "Q4_K_M", "Q8_0"}) {
        root.write(format("m-{}.gguf", quantisation), llama_file());
    }
    root.write("n-Q4_K_M.gguf", llama_file()).write("n.gguf", llama_file());
    const Catalogue catalogue = scan(root);
    EXPECT_EQ(catalogue.models().size(), 6U);
    EXPECT_EQ(catalogue.find("m")->name, "m:Q4_K_M");
    EXPECT_EQ(catalogue.find("m:latest")->name, "m:Q4_K_M");
    EXPECT_EQ(catalogue.find("n")->name, "n:latest");
}

TEST(CatalogueGguf, AFolderGivesItsNameToTheFilesOfOneModel) {
    const TestFolder root;
    root.write("coder/qwen-q4_k_m.gguf", llama_file())
        .write("coder/qwen-q8_0.gguf", llama_file())
        .write("org/Coder-GGUF/coder-Q6_K.gguf", llama_file())
        .write("big/Q2_K/big-Q2_K-00001-of-00002.gguf", part_file(1, 2))
        .write("big/Q2_K/big-Q2_K-00002-of-00002.gguf", part_file(2, 2))
        .write("mixed/a-q4_0.gguf", llama_file())
        .write("mixed/b.gguf", llama_file());
    const Catalogue catalogue = scan(root);
    EXPECT_EQ(names(catalogue), (Words{"a:q4_0", "b:latest", "big:Q2_K", "coder:q4_k_m",
                                       "coder:q8_0", "org/Coder-GGUF:Q6_K"}));
    EXPECT_TRUE(catalogue.broken().empty());
    EXPECT_EQ(catalogue.find("qwen:q8_0"), catalogue.find("coder:q8_0"));
    EXPECT_EQ(catalogue.find("coder")->name, "coder:q4_k_m");
    EXPECT_EQ(catalogue.find("hf.co/org/coder-gguf:q6_k")->name, "org/Coder-GGUF:Q6_K");
    EXPECT_EQ(catalogue.find("big")->size_bytes, part_file(1, 2).size() + part_file(2, 2).size());
}

TEST(CatalogueGguf, AProjectorBelongsToWhatLiesBesideIt) {
    const TestFolder root;
    root.write("seer/seer-Q4_0.gguf", llama_file())
        .write("seer/mmproj-F32.gguf", projector_file())
        .write("seer/mmproj-F16.gguf", projector_file())
        .write("blind-Q4_0.gguf", llama_file())
        .write("eye-Q4_0.gguf", llama_file())
        .write("mmproj-eye-f16.gguf", projector_file())
        .write("alone/mmproj.gguf", projector_file());
    const Catalogue catalogue = scan(root);
    EXPECT_EQ(names(catalogue), (Words{"blind:Q4_0", "eye:Q4_0", "seer:Q4_0"}));
    EXPECT_EQ(catalogue.find("seer")->gguf->projector.filename(), "mmproj-F16.gguf");
    EXPECT_EQ(catalogue.find("seer")->capabilities, (Words{"completion", "vision"}));
    EXPECT_EQ(catalogue.find("eye")->gguf->projector.filename(), "mmproj-eye-f16.gguf");
    EXPECT_TRUE(catalogue.find("blind")->gguf->projector.empty());
    EXPECT_EQ(only_reason(catalogue), "there is no model beside this projector");
}

TEST(CatalogueGguf, BrokenFilesAreListedAndTheOthersServed) {
    const TestFolder root;
    root.write("good.gguf", llama_file())
        .write("cut.gguf", llama_file().substr(0, 100))
        .write("half-00002-of-00003.gguf", part_file(2, 3))
        .write("half-00003-of-00003.gguf", part_file(3, 3))
        .write("missing-00001-of-00002.gguf", part_file(1, 2));
    fs::create_symlink("loop.gguf", root.path() / "loop.gguf");
    fs::create_directory_symlink(".", root.path() / "self");
    const Catalogue catalogue = scan(root);
    EXPECT_NE(catalogue.find("good"), nullptr);
    std::map<std::string, std::string> reasons;
    for (const auto& broken : catalogue.broken()) {
        reasons[broken.path.filename().string()] += broken.reason;
        EXPECT_FALSE(broken.reason.contains('\n'));
    }
    EXPECT_EQ(reasons["half-00002-of-00003.gguf"],
              "part 1 of 3 is missing: half-00001-of-00003.gguf");
    EXPECT_EQ(reasons["missing-00001-of-00002.gguf"],
              "part 2 of 2 is missing: missing-00002-of-00002.gguf");
    EXPECT_TRUE(reasons["cut.gguf"].starts_with("cut.gguf: ")) << reasons["cut.gguf"];
    EXPECT_TRUE(reasons["loop.gguf"].starts_with("loop.gguf cannot be opened: "));
    EXPECT_FALSE(reasons.contains("half-00003-of-00003.gguf"));
}

TEST(CatalogueGguf, TheHubsCacheIsNamedAfterItsRepositories) {
    const TestFolder root;
    const std::string repository = "models--Qwen--Q-GGUF/snapshots/abc/";
    root.write("models--Qwen--Q-GGUF/blobs/b1", llama_file())
        .write(repository + "q-q8_0.gguf", llama_file())
        .write(repository + "other-q8_0.gguf", llama_file())
        .write(repository + "config.json", "{}")
        .write("models--x--speech/snapshots/abc/config.json", R"({"model_type":"whisper"})")
        .write("models--x--half/refs/main", "abc")
        .write("models--x--bert/snapshots/abc/config.json", R"({"model_type":5})")
        .write("datasets--x--y/snapshots/abc/m.gguf", llama_file())
        .write("stray.gguf", llama_file());
    fs::create_symlink("../../blobs/b1", root.path() / repository / "q-q4_k_m.gguf");
    const Catalogue catalogue = scan(root, Home::HubCache);
    EXPECT_EQ(names(catalogue), (Words{"hf.co/Qwen/Q-GGUF:q-q8_0", "hf.co/Qwen/Q-GGUF:q4_k_m",
                                       "hf.co/Qwen/Q-GGUF:q8_0"}));
    const Model* model = catalogue.find("hf.co/qwen/q-gguf");
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(model->name, "hf.co/Qwen/Q-GGUF:q4_k_m");
    EXPECT_EQ(model->home, Home::HubCache);
    EXPECT_EQ(catalogue.find("huggingface.co/Qwen/Q-GGUF:Q4_K_M"), model);
    EXPECT_EQ(catalogue.find("Qwen/Q-GGUF:Q4_K_M"), model);
    EXPECT_EQ(catalogue.broken().size(), 1U) << "only what claims to be an encoder";
}

TEST(CatalogueGguf, StoresAreListedByTheirManifests) {
    const TestFolder own;
    const TestFolder ollama;
    store_model(own, "mine");
    store_model(own, "both:1b");
    store_model(ollama, "both:1b");
    store_model(ollama, "hf.co/Org/Repo:Q4_K_M");
    ollama.write("manifests/registry.ollama.ai/library/broken/latest", "{}")
        .write("manifests/registry.ollama.ai/library/bad name/latest", "{}")
        .write("manifests/registry.ollama.ai/library/evil/latest",
               R"({"layers":[{"mediaType":"application/vnd.ollama.image.model",)"
               R"("digest":"sha256:../../../../etc/passwd","size":1}]})");
    const std::vector<Source> sources = {{own.path(), Home::OwnStore},
                                         {ollama.path(), Home::OllamaStore},
                                         {ollama.path() / "absent", Home::OllamaStore}};
    const Catalogue catalogue = Catalogue::scan(sources);
    EXPECT_EQ(names(catalogue), (Words{"both:1b", "hf.co/Org/Repo:Q4_K_M", "mine:latest"}));
    EXPECT_EQ(catalogue.find("mine")->home, Home::OwnStore);
    EXPECT_EQ(catalogue.find("both:1b")->home, Home::OwnStore);
    EXPECT_EQ(catalogue.find("org/repo")->home, Home::OllamaStore);
    EXPECT_EQ(catalogue.find("both"), nullptr);
    Words reasons;
    for (const auto& broken : catalogue.broken()) reasons.push_back(broken.reason);
    std::ranges::sort(reasons);
    EXPECT_EQ(reasons, (Words{"a digest must be \"sha256:\" and 64 hexadecimal digits",
                              "another model is already served as both:1b",
                              "its path is no name of a model", "the manifest has no layers"}));
}

TEST(CatalogueGguf, AModelsDirectoryMayBeAStore) {
    const TestFolder root;
    store_model(root, "m");
    EXPECT_EQ(names(scan(root)), Words{"m:latest"});
}

TEST(CatalogueGguf, LooksAtABoundedNumberOfEntries) {
    const TestFolder root;
    for (int i = 0; i < 4096; ++i) fs::create_symlink("/dev/null", root.path() / format("n{}", i));
    EXPECT_TRUE(scan(root).broken().empty());
    fs::create_symlink("/dev/null", root.path() / "one-more");
    EXPECT_EQ(only_reason(scan(root)), "only its first 4096 files and folders were looked at");
}

TEST(CatalogueGguf, NoticesThatSomethingChanged) {
    const TestFolder root;
    root.write("a/m.gguf", llama_file()).write("cut.gguf", "GG");
    // Times of files are coarse: what changed within one tick of the clock would go unnoticed.
    const auto past = fs::file_time_type::clock::now() - std::chrono::seconds(10);
    for (const auto* file : {"", "a", "cut.gguf"}) fs::last_write_time(root.path() / file, past);
    EXPECT_FALSE(Catalogue().is_stale());
    const Catalogue before = scan(root);
    EXPECT_FALSE(before.is_stale());
    root.write("a/n.gguf", llama_file());
    EXPECT_TRUE(before.is_stale());
    const Catalogue after = scan(root);
    EXPECT_FALSE(after.is_stale());
    root.write("cut.gguf", llama_file());
    EXPECT_TRUE(after.is_stale());
}

TEST(CatalogueGguf, NoticesAModelThatIsPulledIntoAStore) {
    const TestFolder root;
    const std::vector<Source> sources = {{root.path() / "store", Home::OwnStore}};
    const Catalogue before = Catalogue::scan(sources);
    root.write("store/manifests/h/o/n/t", "{}").write("store/blobs/x", "");
    EXPECT_TRUE(before.is_stale());
}

}  // namespace
}  // namespace hearth::models
