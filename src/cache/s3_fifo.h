#pragma once

// Internal to cache/.
#include <deque>
#include <unordered_set>

#include "cache/eviction.h"

namespace hearth::cache {

// Hashes of what was evicted lately, in the order in which it was.
class Ghosts {
  public:
    // Whether it was there; it is no longer.
    bool take(std::uint64_t hash);
    void add(std::uint64_t hash, std::size_t count_max);

  private:
    std::unordered_set<std::uint64_t> known_;
    std::deque<std::uint64_t> order_;  // taken ones included, until they reach the front
};

// Three first-in-first-out queues: a small one for what is new, the main one for what was asked for
// again, and ghosts of what left the small one. What saves more time for each byte than others
// needs fewer hits to stay. Source: Yang et al., "FIFO queues are all you need for cache eviction",
// SOSP 2023; the grades are ours.
class S3Fifo final : public Eviction {
  public:
    explicit S3Fifo(std::size_t bytes_max) : small_max_(bytes_max / 10) {}

    void looked_up(const Key& key, Node* node) override;
    void insert(Node& node) override;
    void erase(Node& node) override;
    Node& evict() override;

  private:
    static constexpr double kWorthWindow = 1024;  // entries over which the mean forgets
    static constexpr double kGrade = 2;           // a factor of four

    static void push(Queue& queue, std::uint8_t number, Node& node);
    int grade(const Node& node) const;
    Node* evict_small();
    Node* evict_main();

    const std::size_t small_max_;
    Queue small_;
    Queue main_;
    Ghosts ghosts_;
    double mean_worth_ = 0;  // log2
    std::size_t seen_ = 0;
};

}  // namespace hearth::cache
