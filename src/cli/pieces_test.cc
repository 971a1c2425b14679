#include "cli/pieces.h"

#include <gtest/gtest.h>

namespace hearth::cli {
namespace {

TEST(Pieces, CutAtEveryTopLevelConstruct) {
    const auto pieces = cut_pieces("a.cc",
                                   "#include <a>\n#include <b>\n#include <c>\n\n"
                                   "int f() {\n    return 1;\n}\n\nint g() {\n    return 2;\n}\n",
                                   {});
    ASSERT_EQ(pieces.size(), 2u);
    EXPECT_EQ(pieces[0].line, 5u);
    EXPECT_EQ(pieces[0].text, "int f() {\n    return 1;\n}");
    EXPECT_EQ(pieces[1].line, 9u);
}

TEST(Pieces, AFileOfIncludesOnlyIsOnePiece) {
    const auto pieces = cut_pieces("all.h", "#pragma once\n\n#include <a>\n\n#include <b>\n", {});
    ASSERT_EQ(pieces.size(), 1u);
    EXPECT_EQ(pieces[0].text, "#pragma once\n\n#include <a>\n\n#include <b>");
}

TEST(Pieces, JoinsWhatIsTooShortAndCutsWhatIsTooLong) {
    EXPECT_EQ(cut_pieces("a", "a\n\nb\n", {}).size(), 1u);
    std::string lines;
    for (int i = 0; i < 61; ++i) lines += "x\n";
    EXPECT_EQ(cut_pieces("a", lines, {}).size(), 2u);
    EXPECT_EQ(cut_pieces("a", std::string(10'000, 'x'), {}).size(), 1u);
}

TEST(Pieces, AnEmptyTextHasNone) {
    EXPECT_TRUE(cut_pieces("a", "", {}).empty());
    EXPECT_TRUE(cut_pieces("a", "\n \n", {}).empty());
}

}  // namespace
}  // namespace hearth::cli
