#include "encoder/batcher_queue.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace hearth::encoder {

void BatchQueue::push(Item item) {
    items_.push_back(item);
    tokens_ += item.tokens;
}

void BatchQueue::drop(const std::function<bool(Item)>& dead, std::vector<Item>& out) {
    while (true) {
        const std::size_t window = std::min(items_.size(), kWindowTexts);
        taken_.assign(window, 0);
        bool any = false;
        for (std::size_t i = 0; i < window; ++i) {
            taken_[i] = dead(items_[i]);
            any |= taken_[i] != 0;
        }
        if (!any) return;
        remove_taken(window, out);
    }
}

void BatchQueue::take(std::size_t tokens_max, std::size_t idle_sessions, std::vector<Item>& batch) {
    CHECK(idle_sessions >= 1);
    batch.clear();
    if (items_.empty()) return;
    const std::size_t share = (tokens_ + idle_sessions - 1) / idle_sessions;
    const std::size_t budget = std::min(tokens_max, share);
    const std::size_t lead = items_.front().tokens;
    const std::size_t window = std::min(items_.size(), kWindowTexts);
    taken_.assign(window, 0);
    taken_[0] = 1;
    if (budget > lead) choose(budget - lead);
    remove_taken(window, batch);
}

// Marks what joins the leader: by distance in length, older first among equals, skipping what no
// longer fits in `room` tokens.
void BatchQueue::choose(std::size_t room) {
    const std::uint32_t lead = items_.front().tokens;
    const auto distance = [&](std::uint32_t position) {
        const std::uint32_t tokens = items_[position].tokens;
        return tokens > lead ? tokens - lead : lead - tokens;
    };
    order_.resize(taken_.size() - 1);
    std::iota(order_.begin(), order_.end(), 1U);
    std::ranges::sort(order_, [&](std::uint32_t a, std::uint32_t b) {
        const std::uint32_t near_a = distance(a);
        const std::uint32_t near_b = distance(b);
        return near_a != near_b ? near_a < near_b : a < b;
    });
    for (const std::uint32_t position : order_) {
        const std::size_t tokens = items_[position].tokens;
        if (tokens > room) continue;
        taken_[position] = 1;
        room -= tokens;
    }
}

// Appends the marked items of the window to `out`; the others keep their order.
void BatchQueue::remove_taken(std::size_t window, std::vector<Item>& out) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < window; ++i) {
        if (!taken_[i]) continue;
        out.push_back(items_[i]);
        tokens_ -= items_[i].tokens;
        ++count;
    }
    std::size_t to = window;
    for (std::size_t i = window; i-- > 0;) {
        if (!taken_[i]) items_[--to] = items_[i];
    }
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace hearth::encoder
