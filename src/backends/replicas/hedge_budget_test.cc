#include "backends/replicas/hedge_budget.h"

#include <gtest/gtest.h>

namespace hearth::replicas {
namespace {

TEST(HedgeBudget, IsATenthOfTheCallsAndABurst) {
    HedgeBudget budget;
    for (int i = 0; i < 1'000; ++i) budget.note_call();
    for (std::int64_t i = 0; i < HedgeBudget::kBurst; ++i) EXPECT_TRUE(budget.take());
    EXPECT_FALSE(budget.take());
    int taken = 0;
    for (int i = 0; i < 1'000; ++i) {
        budget.note_call();
        taken += budget.take() ? 1 : 0;
    }
    EXPECT_EQ(taken, 100);
}

}  // namespace
}  // namespace hearth::replicas
