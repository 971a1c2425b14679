#include <gtest/gtest.h>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

std::vector<Finding> words(const std::string& text, const std::string& path = "src/http/a.cc") {
    std::vector<Finding> findings;
    check_words(make_source(path, text), findings);
    return findings;
}

std::vector<Finding> texts(const std::string& text, const std::string& path) {
    std::vector<Finding> findings;
    check_text(make_source(path, text), findings);
    return findings;
}

TEST(CoSpawn, BelongsToRuntime) {
    EXPECT_EQ(words("boost::asio::co_spawn(ex, f(), token);\n").size(), 1U);
    EXPECT_TRUE(words("co_spawn(ex, f(), token);\n", "src/runtime/task_group.cc").empty());
    EXPECT_TRUE(words("// co_spawn is for the task group\n").empty());
}

TEST(Detached, IsBannedEverywhere) {
    EXPECT_EQ(words("f(asio::detached);\n", "src/runtime/a.cc").size(), 1U);
}

TEST(Task, TakesEverythingByValue) {
    EXPECT_TRUE(words("Awaitable<void> serve_task(Socket socket, std::string name);\n").empty());
    EXPECT_EQ(words("Awaitable<void> serve_task(const Socket& socket);\n").size(), 1U);
    EXPECT_EQ(
        words("Awaitable<Result<int>> A::read_task(int a,\n   std::string_view b) {\n").size(), 1U);
    EXPECT_TRUE(words("Awaitable<void> serve(const Socket& socket);\n").empty());
}

TEST(ResultValue, IsBannedOnResultsAndCalls) {
    EXPECT_EQ(words("f(a).value();\n").size(), 1U);
    EXPECT_EQ(words("Result<int> a = f();\nint b = a.value();\n").size(), 1U);
    EXPECT_TRUE(words("UniqueFd fd;\nint b = fd.value();\n").empty());
}

TEST(Unfinished, WorkIsNotLeftInComments) {
    EXPECT_EQ(words(std::string("// TO") + "DO later\n").size(), 1U);
}

TEST(CommentedCode, IsFound) {
    EXPECT_EQ(words("    // foo(bar);\n").size(), 1U);
    EXPECT_EQ(words("    // a = b;\n").size(), 1U);
    EXPECT_TRUE(words("    // Sent once (RFC 9112); see above.\n").empty());
}

TEST(Text, NamesNoHostInScripts) {
    EXPECT_EQ(texts("curl https://example.org/x\n", "scripts/a.sh").size(), 1U);
    EXPECT_TRUE(texts("curl http://localhost:80/\n", "scripts/a.sh").empty());
    EXPECT_TRUE(texts("// RFC: https://example.org/x\n", "src/a.cc").empty());
}

TEST(Text, NamesNoPathOfOneMachine) {
    EXPECT_EQ(texts("read(\"/ho"
                    "me/ann/x\");\n",
                    "src/a.cc")
                  .size(),
              1U);
    EXPECT_TRUE(texts("a/home/b\n", "src/a.cc").empty());
}

TEST(Text, HasNoWhiteSpaceAtLineEnds) { EXPECT_EQ(texts("a \n", "a.md").size(), 1U); }

}  // namespace
}  // namespace hearth::tidy
