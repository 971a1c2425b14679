#include <gtest/gtest.h>

#include "tidy/rules.h"

namespace hearth::tidy {
namespace {

TEST(ModuleTable, ReplacesOnlyWhatStandsBetweenItsMarks) {
    const auto modules = parse_modules("base|errors||\nhttp|messages|base|\n");
    const std::string readme = "a\n<!-- modules: begin -->\nstale\n<!-- modules: end -->\nb\n";
    const std::string fixed = replace_module_table(readme, modules);
    EXPECT_NE(fixed.find("| `src/http/` | messages | base |\n<!-- modules: end -->\nb\n"),
              std::string::npos);
    EXPECT_EQ(fixed.find("stale"), std::string::npos);
    EXPECT_EQ(replace_module_table(fixed, modules), fixed);
    EXPECT_EQ(replace_module_table("no marks", modules), "no marks");
}

TEST(NamedFiles, MustExist) {
    const std::vector<std::string> files{"src/base/error.h", "src/base/error.cc", "README.md"};
    const auto findings = [&](const std::string& text) {
        return check_named_files(make_source("a.md", text), files).size();
    };
    EXPECT_EQ(findings("`src/base/error.h`, `src/base/`, `src/base`, `src/base/error.*`"), 0U);
    EXPECT_EQ(findings("`src/base/lost.h` and `LOST.md`"), 2U);
    EXPECT_EQ(findings("`GET /src/x`, src/base/lost.h"), 0U);
}

}  // namespace
}  // namespace hearth::tidy
