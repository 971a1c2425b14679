#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

namespace hearth::encoder {

// Which queued texts run together: the policy of the Batcher, without clock, lock or thread.
// The oldest text always leads, so none waits for more batches than there were texts before it. The
// rest of a batch comes from the window of the oldest kWindowTexts, nearest in length first. Cost
// of take(): O(window log window), no allocation once warm.
class BatchQueue {
  public:
    static constexpr std::size_t kWindowTexts = 512;

    // `slot` is the caller's own name for the text.
    struct Item {
        std::uint32_t tokens = 0;
        std::uint32_t slot = 0;
    };

    void push(Item item);

    // Removes from the window every item for which `dead` holds, until the window has none, and
    // appends them to `out`.
    void drop(const std::function<bool(Item)>& dead, std::vector<Item>& out);

    // Removes the next batch into `batch` (replaced; empty only when the queue is). Its tokens are
    // at most `tokens_max` and at most an even share of the queue per idle session, except that the
    // leader always goes: one text over the budget goes alone. REQUIRES idle_sessions >= 1.
    void take(std::size_t tokens_max, std::size_t idle_sessions, std::vector<Item>& batch);

    std::size_t texts() const { return items_.size(); }
    std::size_t tokens() const { return tokens_; }
    bool empty() const { return items_.empty(); }

  private:
    void choose(std::size_t room);
    void remove_taken(std::size_t window, std::vector<Item>& out);

    std::deque<Item> items_;  // oldest first
    std::size_t tokens_ = 0;
    std::vector<std::uint32_t> order_;  // scratch: window positions by similarity
    std::vector<char> taken_;           // scratch: per window position
};

}  // namespace hearth::encoder
