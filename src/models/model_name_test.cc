#include "models/model_name.h"

#include <gtest/gtest.h>

namespace hearth::models {
namespace {

std::string shown(std::string_view text) {
    const auto name = ModelName::parse(text);
    return name ? name->display() : name.error().message;
}

TEST(ModelName, FillsWhatIsLeftOut) {
    const auto name = ModelName::parse("qwen2.5-coder");
    ASSERT_TRUE(name);
    EXPECT_EQ(name->host, "registry.ollama.ai");
    EXPECT_EQ(name->owner, "library");
    EXPECT_EQ(name->name, "qwen2.5-coder");
    EXPECT_EQ(name->tag, "latest");
    EXPECT_EQ(name->relative_path(), "registry.ollama.ai/library/qwen2.5-coder/latest");
}

TEST(ModelName, IsShownInItsShortestForm) {
    EXPECT_EQ(shown("registry.ollama.ai/library/qwen2.5:0.5b"), "qwen2.5:0.5b");
    EXPECT_EQ(shown("Registry.Ollama.AI/Library/X"), "X:latest");
    EXPECT_EQ(shown("someone/model"), "someone/model:latest");
    EXPECT_EQ(shown("hf.co/Qwen/Qwen2.5-GGUF:Q4_K_M"), "hf.co/Qwen/Qwen2.5-GGUF:Q4_K_M");
    EXPECT_EQ(shown("localhost:5000/library/x:tag"), "localhost:5000/library/x:tag");
    EXPECT_EQ(shown("localhost:5000/library/x"), "localhost:5000/library/x:latest");
    EXPECT_EQ(shown("hf.co/some.one/x"), "hf.co/some.one/x:latest");
}

TEST(ModelName, ASchemeBeforeTheHostIsNoPartOfIt) {
    const auto plain = ModelName::parse("http://localhost:5000/library/x:tag");
    ASSERT_TRUE(plain);
    EXPECT_TRUE(plain->plain_http);
    EXPECT_EQ(plain->host, "localhost:5000");
    const auto secure = ModelName::parse("https://hf.co/a/b");
    ASSERT_TRUE(secure);
    EXPECT_FALSE(secure->plain_http);
    EXPECT_EQ(secure->display(), "hf.co/a/b:latest");
    EXPECT_FALSE(ModelName::parse("http://x"));
}

TEST(ModelName, KeysOfOneModelAreEqual) {
    const auto key = [](std::string_view text) { return ModelName::parse(text)->key(); };
    EXPECT_EQ(key("Llama3"), key("registry.ollama.ai/library/llama3:LATEST"));
    EXPECT_EQ(key("huggingface.co/Qwen/Q:q4_k_m"), key("hf.co/qwen/q:Q4_K_M"));
    EXPECT_NE(key("qwen/q"), key("hf.co/qwen/q"));
    EXPECT_NE(key("a:1"), key("a:2"));
}

TEST(ModelName, ComesBackFromItsPath) {
    const auto name = ModelName::parse("localhost:5000/org/x:tag");
    ASSERT_TRUE(name);
    const auto again = ModelName::parse_path(name->relative_path());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->display(), name->display());
    for (const auto* path : {"", "a", "a/b/c", "a/b/c/d/e", "h/o/../t", "h/o/n/.t", "/h/o/n/t"}) {
        EXPECT_FALSE(ModelName::parse_path(path)) << path;
    }
}

TEST(ModelName, RefusesWhatCouldLeaveTheStore) {
    for (const auto* text : {"",        "..",         "../x",    "a/../b",       "a/b/..", "x:..",
                             "x:../y",  ".hidden",    "a/.b",    "x:.t",         "/x",     "x/",
                             "a//b",    ":tag",       "x:",      "a/b/c/d",      "-x",     "x y",
                             "x\ny",    "x@sha256:1", "h:p/o/n", "h:123456/o/n", "a.b/c",  "x\\y",
                             "http://", "hf.co/x",    "a..b"}) {
        EXPECT_FALSE(ModelName::parse(text)) << text;
    }
    EXPECT_FALSE(ModelName::parse(std::string_view("x\0y", 3)));
}

TEST(ModelName, AcceptsTheBoundAndRefusesOneAbove) {
    const std::string most(80, 'a');
    EXPECT_TRUE(ModelName::parse(most + "/" + most + ":" + most));
    EXPECT_FALSE(ModelName::parse(most + "a"));
    EXPECT_FALSE(ModelName::parse("x:" + most + "a"));
    EXPECT_FALSE(ModelName::parse(most + "a/x"));
    EXPECT_FALSE(ModelName::parse(std::string(1'000'000, 'a')));
}

TEST(ModelName, SaysWhatIsWrongInOneCleanSentence) {
    EXPECT_EQ(shown("a b"),
              "'a b' is no name of a model: its name must be letters, digits and '-_.', begin "
              "with a letter, a digit or '_', and hold at most 80 bytes");
    EXPECT_EQ(shown("a/b/c/d"),
              "'a/b/c/d' is no name of a model: it has more parts than HOST/NAMESPACE/NAME:TAG");
    EXPECT_FALSE(shown("x\x1b[2J\xFF\n").contains('\x1b'));
    EXPECT_LT(shown(std::string(100'000, '\xFF')).size(), 500U);
}

TEST(ModelName, MakesAPartOfAFilesName) {
    EXPECT_EQ(model_name_part("My Model (v2)"), "My-Model--v2-");
    EXPECT_EQ(model_name_part("..a..b"), "a.b");
    EXPECT_EQ(model_name_part("---"), "model");
    EXPECT_TRUE(ModelName::parse(model_name_part("\xC3\xA9t\xC3\xA9")));
}

}  // namespace
}  // namespace hearth::models
