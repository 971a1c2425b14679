#include "fetch/hub.h"

#include <gtest/gtest.h>

#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

std::vector<HubFile> files_of(const std::vector<std::string>& paths) {
    std::vector<HubFile> files;
    for (const auto& path : paths) {
        files.push_back({.path = path, .size = 1, .digest = models::Digest::of(path)});
    }
    return files;
}

// The chosen files' paths, the projector after a "+"; or the word of the failure.
std::string chosen(const std::vector<std::string>& paths, std::string_view tag) {
    const auto choice = choose_files(files_of(paths), tag);
    if (!choice) return std::string(word_of(failure_of(choice.error())));
    std::string text;
    for (const HubFile& part : choice->parts) text += (text.empty() ? "" : " ") + part.path;
    if (choice->projector) text += " + " + choice->projector->path;
    return text;
}

TEST(HubTree, IsRead) {
    const std::string oid(64, 'a');
    const auto files = parse_tree(
        R"([{"type":"directory","path":"d"},{"type":"file","path":"README.md","size":3,"oid":"x"},
            {"type":"file","path":"d/m.gguf","size":7,"lfs":{"oid":")" +
        oid + R"(","size":8}}])");
    ASSERT_TRUE(files);
    ASSERT_EQ(files->size(), 2);
    EXPECT_FALSE((*files)[0].digest);
    EXPECT_EQ((*files)[1].path, "d/m.gguf");
    EXPECT_EQ((*files)[1].size, 8);
    EXPECT_EQ((*files)[1].digest->hex(), oid);
}

TEST(HubTree, LeavesOutPathsThatLeadElsewhere) {
    for (const char* path : {"", "/a", "../a", "a/../b", "a//b", "a/", "./a", ".."}) {
        const auto files =
            parse_tree(R"([{"type":"file","size":1,"path":")" + std::string(path) + "\"}]");
        ASSERT_TRUE(files);
        EXPECT_TRUE(files->empty()) << path;
    }
}

TEST(HubTree, ThatIsNoListIsRefused) {
    for (const char* text : {"", "{}", "7", "[", "<html>"}) EXPECT_FALSE(parse_tree(text)) << text;
    EXPECT_TRUE(parse_tree(R"([1,null,"a",[],{"type":7},{"type":"file","path":3}])")->empty());
}

TEST(HubPages, FollowTheLink) {
    EXPECT_EQ(next_page(R"(<https://h/a?cursor=1>; rel="next")"), "https://h/a?cursor=1");
    EXPECT_EQ(next_page(R"(<https://h/0>; rel="prev", <https://h/2>; rel="next")"), "https://h/2");
    for (const char* link :
         {"", "<", ">", "<a", R"(<https://h>; rel="prev")", "https://h; rel=next"}) {
        EXPECT_EQ(next_page(link), std::nullopt) << link;
    }
}

TEST(HubChoice, IsByQuantisation) {
    const std::vector<std::string> paths{"m-IQ4_XS.gguf", "m-Q4_K.gguf", "m-Q4_K_M.gguf",
                                         "m-Q8_0.gguf", "README.md"};
    EXPECT_EQ(chosen(paths, "Q8_0"), "m-Q8_0.gguf");
    EXPECT_EQ(chosen(paths, "q8_0"), "m-Q8_0.gguf");
    EXPECT_EQ(chosen(paths, "Q4_K"), "m-Q4_K.gguf");
    EXPECT_EQ(chosen(paths, "latest"), "m-Q4_K_M.gguf");
    EXPECT_EQ(chosen(paths, "Q4_XS"), "not_found");
    EXPECT_EQ(chosen(paths, "Q5_K_M"), "not_found");
}

TEST(HubChoice, NamesWhatThereIs) {
    const auto choice =
        choose_files(files_of({"a-Q8_0.gguf", "a-Q2_K-00001-of-00002.gguf"}), "Q5_0");
    ASSERT_FALSE(choice);
    EXPECT_EQ(choice.error().message,
              "the repository has no quantisation Q5_0; there are Q2_K, Q8_0");
}

TEST(HubChoice, PrefersThePlainVariant) {
    EXPECT_EQ(chosen({"m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"}, "Q4_K_M"), "m-Q4_K_M.gguf");
    EXPECT_EQ(chosen({"m-UD-Q4_K_M.gguf", "m-Q4_K_M.gguf"}, "UD-Q4_K_M"), "m-UD-Q4_K_M.gguf");
}

TEST(HubChoice, TakesTheFirstWhenNothingIsPreferred) {
    EXPECT_EQ(chosen({"imatrix.gguf", "mtp-m.gguf", "m.gguf", "n.gguf"}, "latest"), "m.gguf");
    EXPECT_EQ(chosen({"README.md", "model.safetensors"}, "latest"), "not_found");
}

TEST(HubChoice, TakesEveryPartInOrder) {
    EXPECT_EQ(chosen({"Q8_0/m-Q8_0-00002-of-00002.gguf", "Q8_0/m-Q8_0-00001-of-00002.gguf",
                      "m-Q4_0.gguf"},
                     "Q8_0"),
              "Q8_0/m-Q8_0-00001-of-00002.gguf Q8_0/m-Q8_0-00002-of-00002.gguf");
    EXPECT_EQ(chosen({"m-Q8_0-00002-of-00002.gguf"}, "Q8_0"), "bad_registry");
    EXPECT_EQ(chosen({"m-Q8_0-00001-of-99999.gguf"}, "Q8_0"), "bad_registry");
    EXPECT_EQ(chosen({"m-Q8_0-00003-of-00002.gguf"}, "Q8_0"), "m-Q8_0-00003-of-00002.gguf");
}

TEST(HubChoice, BringsTheProjector) {
    EXPECT_EQ(
        chosen({"m-Q8_0.gguf", "mmproj-m-BF16.gguf", "mmproj-m-F16.gguf", "mmproj-m-F32.gguf"},
               "Q8_0"),
        "m-Q8_0.gguf + mmproj-m-F16.gguf");
    EXPECT_EQ(chosen({"m-Q8_0.gguf", "m.mmproj-Q8_0.gguf"}, "Q8_0"),
              "m-Q8_0.gguf + m.mmproj-Q8_0.gguf");
}

TEST(HubChoice, NeedsADigest) {
    auto files = files_of({"m-Q8_0.gguf"});
    files[0].digest.reset();
    const auto choice = choose_files(files, "Q8_0");
    ASSERT_FALSE(choice);
    EXPECT_EQ(failure_of(choice.error()), Failure::BadRegistry);
}

}  // namespace
}  // namespace hearth::fetch
