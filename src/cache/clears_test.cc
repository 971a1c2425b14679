#include "cache/clears.h"

#include <gtest/gtest.h>

namespace hearth::cache {
namespace {

Entry made_after(std::uint64_t clears, Space space = Space::Chat, std::string model = "m",
                 std::string tenant = {}) {
    Entry entry;
    entry.space = to_string(space);
    entry.model = std::move(model);
    entry.tenant = std::move(tenant);
    entry.clears = clears;
    return entry;
}

TEST(ClearsTest, KillsWhatWasBegunBeforeAndNothingElse) {
    Clears clears;
    const Entry before = made_after(clears.count());
    EXPECT_FALSE(clears.has_killed(before));
    clears.add({});
    EXPECT_TRUE(clears.has_killed(before));
    EXPECT_FALSE(clears.has_killed(made_after(clears.count())));
}

TEST(ClearsTest, TellsKindsModelsAndTenantsApart) {
    Clears clears;
    clears.add({.space = Space::Chat});
    EXPECT_TRUE(clears.has_killed(made_after(0)));
    EXPECT_FALSE(clears.has_killed(made_after(0, Space::Fim)));
    Clears of_model;
    of_model.add({.model = "m"});
    EXPECT_TRUE(of_model.has_killed(made_after(0, Space::Fim, "m")));
    EXPECT_FALSE(of_model.has_killed(made_after(0, Space::Fim, "n")));
    Clears of_tenant;
    of_tenant.add({.space = Space::Fim, .tenant = "t"});
    EXPECT_TRUE(of_tenant.has_killed(made_after(0, Space::Fim, "n", "t")));
    EXPECT_FALSE(of_tenant.has_killed(made_after(0, Space::Chat, "n", "t")));
    EXPECT_FALSE(of_tenant.has_killed(made_after(0, Space::Fim, "n")));
}

// At the bound each is told apart; one above, everything older is dead rather than something wrong
// alive.
TEST(ClearsTest, ForgetsOnTheSafeSide) {
    Clears clears;
    for (std::size_t i = 0; i < Clears::kFiltersMax; ++i) clears.add({.model = "other"});
    EXPECT_FALSE(clears.has_killed(made_after(0)));
    clears.add({.model = "other"});
    EXPECT_TRUE(clears.has_killed(made_after(0)));
    EXPECT_FALSE(clears.has_killed(made_after(clears.count())));
}

}  // namespace
}  // namespace hearth::cache
