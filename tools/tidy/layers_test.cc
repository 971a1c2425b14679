#include <gtest/gtest.h>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

const char* const kModules =
    "base|errors||\n"
    "http|messages|base|\n"
    "backends/worker|both ends|base,http|\n"
    "index|search|base|\n"
    "server|all of it|base,backends/worker|index\n";

std::vector<Finding> layers(const std::string& path, const std::string& text) {
    std::vector<Finding> findings;
    check_layers(make_source(path, text), parse_modules(kModules), findings);
    return findings;
}

TEST(Modules, AreReadWithTheirDependencies) {
    const auto modules = parse_modules(kModules);
    ASSERT_EQ(modules.size(), 5U);
    EXPECT_EQ(modules[2].deps, (std::vector<std::string>{"base", "http"}));
    EXPECT_EQ(modules[4].test_deps, std::vector<std::string>{"index"});
}

TEST(Layers, AcceptOwnFolderAndDeclaredDependencies) {
    EXPECT_TRUE(
        layers("src/http/a.cc", "#include \"http/b.h\"\n#include \"base/error.h\"\n").empty());
    EXPECT_TRUE(layers("src/server/a.cc", "#include \"backends/worker/a.h\"\n").empty());
}

TEST(Layers, RefuseWhatIsNotDeclared) {
    ASSERT_EQ(layers("src/http/a.cc", "\n#include \"server/a.h\"\n").size(), 1U);
    EXPECT_EQ(layers("src/http/a.cc", "\n#include \"server/a.h\"\n")[0].line, 2U);
    EXPECT_EQ(layers("src/server/a.cc", "#include \"http/a.h\"\n").size(), 1U);
}

TEST(Layers, LetOnlyTestsUseTestDependencies) {
    for (const char* include : {"#include \"testing/clock.h\"\n", "#include \"index/a.h\"\n"}) {
        EXPECT_TRUE(layers("src/server/a_test.cc", include).empty());
        EXPECT_EQ(layers("src/server/a.cc", include).size(), 1U);
    }
}

TEST(Layers, RefuseRelativeIncludes) {
    EXPECT_EQ(layers("src/http/a.cc", "#include \"b.h\"\n").size(), 1U);
    EXPECT_EQ(layers("src/http/a.cc", "#include \"../base/error.h\"\n").size(), 1U);
}

TEST(Layers, TellTwoModulesOfOneFolderApartByTheirSources) {
    const auto modules = parse_modules(
        "encoder|engine|||encoder|\n"
        "backends/worker|gateway's end|||backends/worker|supervisor.cc\n"
        "worker|worker's end|encoder,backends/worker||backends/worker|loop.cc\n");
    const auto found = [&](const std::string& path, const std::string& include) {
        std::vector<Finding> findings;
        check_layers(make_source(path, "#include \"" + include + "\"\n"), modules, findings);
        return findings.size();
    };
    EXPECT_EQ(found("src/backends/worker/loop.h", "encoder/engine.h"), 0U);
    EXPECT_EQ(found("src/backends/worker/loop_test.cc", "encoder/engine.h"), 0U);
    EXPECT_EQ(found("src/backends/worker/loop.cc", "backends/worker/supervisor.h"), 0U);
    EXPECT_EQ(found("src/backends/worker/supervisor.cc", "encoder/engine.h"), 1U);
    EXPECT_EQ(found("src/backends/worker/supervisor.cc", "backends/worker/loop.h"), 1U);
}

TEST(Layers, LetTheWorkersProgramJoinBothEnds) {
    EXPECT_TRUE(layers("src/backends/worker/main.cc", "#include \"server/a.h\"\n").empty());
}

}  // namespace
}  // namespace hearth::tidy
