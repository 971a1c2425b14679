#include "backends/replicas/prefix.h"

#include <gtest/gtest.h>

#include <string>

#include "backends/replicas/work.h"

namespace hearth::replicas {
namespace {

constexpr std::size_t kBlock = PrefixChain::kBlockBytes;

PrefixChain chain_of(std::string_view text) {
    PrefixChain chain;
    chain.add(text);
    return chain;
}

TEST(PrefixChain, CountsWholeBlocksHoweverTheTextIsCut) {
    const std::string text(3 * kBlock + 7, 'a');
    PrefixChain pieces;
    for (const char c : text) pieces.add({&c, 1});
    EXPECT_EQ(pieces.hashes(), chain_of(text).hashes());
    EXPECT_EQ(pieces.hashes().size(), 3U);
    EXPECT_TRUE(chain_of(std::string(kBlock - 1, 'a')).hashes().empty());
}

TEST(PrefixChain, ABlockCountsForWhatStandsBeforeIt) {
    const std::string same(kBlock, 's');
    const auto one = chain_of(std::string(kBlock, 'a') + same).hashes();
    const auto other = chain_of(std::string(kBlock, 'b') + same).hashes();
    EXPECT_NE(one[0], other[0]);
    EXPECT_NE(one[1], other[1]);
}

TEST(PrefixChain, HasABound) {
    const std::string text(kBlock * (PrefixChain::kBlocksMax + 3), 'x');
    EXPECT_EQ(chain_of(text).hashes().size(), PrefixChain::kBlocksMax);
}

TEST(PrefixTable, TellsHowMuchEachHasSeen) {
    PrefixTable table;
    const std::string system(2 * kBlock, 's');
    table.note(chain_of(system + std::string(kBlock, 'a')), 0);
    table.note(chain_of(system), 2);
    const std::vector<std::size_t> expected = {3 * kBlock, 0, 2 * kBlock};
    EXPECT_EQ(table.matches(chain_of(system + std::string(kBlock, 'a')), 3), expected);
    const std::vector<std::size_t> less = {2 * kBlock, 0, 2 * kBlock};
    EXPECT_EQ(table.matches(chain_of(system + std::string(kBlock, 'b')), 3), less);
}

TEST(PrefixTable, ForgetsWhatIsOldestAndStaysBounded) {
    PrefixTable table;
    const PrefixChain old = chain_of(std::string(kBlock, 'o'));
    table.note(old, 1);
    for (std::size_t i = 0; i < PrefixTable::kEntriesMax; ++i) {
        std::string text = std::to_string(i);
        text.resize(kBlock, ' ');
        table.note(chain_of(text), 0);
    }
    EXPECT_EQ(table.matches(old, 2)[1], 0U);
}

TEST(PrefixTable, KeepsWhatThoseWhoStaySawUnderTheirNewNumbers) {
    PrefixTable table;
    const PrefixChain both = chain_of(std::string(kBlock, 'b'));
    const PrefixChain one = chain_of(std::string(kBlock, 'o'));
    for (const std::size_t replica : {0U, 63U}) table.note(both, replica);
    table.note(one, 0);
    const std::optional<std::size_t> before[] = {63, std::nullopt, 1};
    const PrefixTable next = table.renumbered(before);
    EXPECT_EQ(next.matches(both, 3), (std::vector<std::size_t>{kBlock, 0, 0}));
    EXPECT_EQ(next.matches(one, 3), (std::vector<std::size_t>{0, 0, 0}));
}

TEST(Work, CountsThePromptAndTheAnswer) {
    inference::GenerateRequest request;
    request.body = {{"messages", {{{"role", "user"}, {"content", std::string(396, 'x')}}}},
                    {"max_tokens", 50}};
    EXPECT_EQ(work_of(request).tokens, 100 + 50);
    EXPECT_EQ(work_of(request).prompt.hashes().size(), 1U);
    request.body.erase("max_tokens");
    EXPECT_EQ(work_of(request).tokens, 100 + 512);
    request.body = {{"prompt", std::string(400, 'x')}, {"n_predict", 1}};
    EXPECT_EQ(work_of(request).tokens, 101);
}

TEST(Work, OfTextsToEmbed) {
    inference::EmbedRequest request;
    request.inputs = {std::string(8, 'x'), inference::TokenIds(5)};
    EXPECT_EQ(work_of(request).tokens, 3 + 5);
}

}  // namespace
}  // namespace hearth::replicas
