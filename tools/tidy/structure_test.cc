#include <gtest/gtest.h>

#include <string>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

std::vector<Finding> structure(const std::string& text, const std::string& path = "src/a/a.cc") {
    std::vector<Finding> findings;
    check_structure(make_source(path, text), findings);
    return findings;
}

std::string function_of(std::size_t lines, const std::string& header = "int f(int a) const {\n") {
    std::string text = header;
    for (std::size_t i = 2; i < lines; ++i) text += "    g();\n";
    return text + "}\n";
}

TEST(FunctionLength, AcceptsSeventyLinesAndRefusesOneMore) {
    EXPECT_TRUE(structure(function_of(70)).empty());
    ASSERT_EQ(structure(function_of(71)).size(), 1U);
    EXPECT_EQ(structure(function_of(71))[0].rule, "function-length");
}

TEST(FunctionLength, SeesConstructorsTemplatesAndTests) {
    EXPECT_EQ(structure(function_of(71, "A::A(int a) : a_(a), b_(2) {\n")).size(), 1U);
    EXPECT_EQ(structure(function_of(71, "template <class T> auto f(T t) -> int {\n")).size(), 1U);
    EXPECT_EQ(structure(function_of(71, "TEST(A, IsTrue) {\n")).size(), 1U);
    EXPECT_EQ(structure(function_of(71, "class A {\n void f() {\n")).size(), 1U);
}

TEST(FunctionLength, LetsClassesNamespacesAndTablesBeLong) {
    EXPECT_TRUE(structure(function_of(200, "namespace a {\n")).empty());
    EXPECT_TRUE(structure(function_of(200, "class TSA(x(\"m\")) A {\n")).empty());
    EXPECT_TRUE(structure(function_of(200, "constexpr int kTable[] = {\n")).empty());
}

TEST(FunctionLength, IsNotMisledByBracesInLiteralsAndComments) {
    EXPECT_TRUE(structure("void f() {\n g('{', \"}\", R\"(\n{{{\n)\"); // {\n}\n" + function_of(60))
                    .empty());
    EXPECT_EQ(structure("void f() { g('{', 1'000); }\n" + function_of(71)).size(), 1U);
}

TEST(FileLength, AcceptsUpToFourHundredNinetyNineLines) {
    EXPECT_TRUE(structure(std::string(499, '\n')).empty());
    EXPECT_EQ(structure(std::string(500, '\n')).size(), 1U);
}

TEST(CapturingCoroutine, IsReportedWhereverTheLambdaStands) {
    EXPECT_EQ(structure("void f() { g([x]() -> Awaitable<void> { co_return; }); }").size(), 1U);
    EXPECT_EQ(structure("auto l = [&] { co_await g(); };").size(), 1U);
    EXPECT_EQ(
        structure("void f() { return [this, a](int b) mutable {\n co_await g();\n }; }").size(),
        1U);
}

TEST(CapturingCoroutine, IsNotReportedForOthers) {
    EXPECT_TRUE(structure("void f() { g([]() -> Awaitable<void> { co_return; }); }").empty());
    EXPECT_TRUE(structure("Awaitable<int> f() { g([x] { return x; }); co_return 1; }").empty());
    EXPECT_TRUE(structure("Awaitable<int> f() { if (a[i]) { co_return b[j]; } }").empty());
    EXPECT_TRUE(structure("[[nodiscard]] Awaitable<int> f() { co_return 1; }").empty());
}

TEST(Header, BeginsWithPragmaOnce) {
    EXPECT_TRUE(structure("#pragma once\n", "src/a/a.h").empty());
    EXPECT_EQ(structure("int a;\n", "src/a/a.h").size(), 1U);
}

}  // namespace
}  // namespace hearth::tidy
