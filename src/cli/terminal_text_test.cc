#include "cli/terminal_text.h"

#include <gtest/gtest.h>

namespace hearth::cli {
namespace {

TEST(Printable, KeepsTextNewlinesAndTabs) {
    EXPECT_EQ(printable("a\tb\nc \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x94\xA5"),
              "a\tb\nc \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x94\xA5");
    EXPECT_EQ(printable("\xC2\xA0\xC2\xA9"), "\xC2\xA0\xC2\xA9");
    EXPECT_EQ(printable(""), "");
}

TEST(Printable, LeavesOutWhatATerminalObeys) {
    EXPECT_EQ(printable("a\x1b[2Jb\rc\x07\x08\x7F"), "a[2Jbc");
    EXPECT_EQ(printable("\x1b]52;c;aGk=\x07"), "]52;c;aGk=");
    EXPECT_EQ(printable("\xC2\x9B"
                        "31mred\xC2\x80\xC2\x9F"),
              "31mred");
    EXPECT_EQ(printable(std::string_view("\0x", 2)), "x");
}

TEST(Printable, RepairsIllFormedText) {
    EXPECT_EQ(printable("\x9B"
                        "31m"),
              "\xEF\xBF\xBD"
              "31m");
    EXPECT_EQ(printable("a\xC2"), "a\xEF\xBF\xBD");
}

TEST(PrintableLine, IsOneLine) { EXPECT_EQ(printable_line("a\nb\tc\x1b"), "a b c"); }

struct Screen {
    std::string text;
    AnswerPrinter printer(bool terminal) {
        return {[this](std::string_view piece) { text += piece; }, terminal};
    }
};

TEST(AnswerPrinter, DimsTheReasoningOnATerminal) {
    Screen screen;
    AnswerPrinter printer = screen.printer(true);
    printer.thinking("Let me");
    printer.thinking(" see.\x1b[0m");
    printer.text("Yes\x1b[31m");
    printer.text(".");
    printer.finish();
    EXPECT_EQ(screen.text, "\033[2mLet me see.[0m\033[0m\n\nYes[31m.\n");
}

TEST(AnswerPrinter, ClearsTheSignOfWaiting) {
    Screen screen;
    AnswerPrinter printer = screen.printer(true);
    printer.waiting();
    printer.text("Yes\n");
    printer.finish();
    EXPECT_EQ(screen.text, "\033[2m...\033[0m\r\033[KYes\n");
    screen.text.clear();
    printer.waiting();
    printer.finish();
    EXPECT_EQ(screen.text, "\033[2m...\033[0m\r\033[K");
}

TEST(AnswerPrinter, ReasoningWithoutAnAnswerIsEnded) {
    Screen screen;
    AnswerPrinter printer = screen.printer(true);
    printer.thinking("Hm");
    printer.finish();
    EXPECT_EQ(screen.text, "\033[2mHm\033[0m\n\n");
}

TEST(AnswerPrinter, WritesTheAnswerAloneElsewhere) {
    Screen screen;
    AnswerPrinter printer = screen.printer(false);
    printer.waiting();
    printer.thinking("Let me see.");
    printer.text("Yes\x1b[31m");
    printer.finish();
    EXPECT_EQ(screen.text, "Yes\x1b[31m\n");
}

}  // namespace
}  // namespace hearth::cli
