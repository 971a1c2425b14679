#pragma once

// Internal to cache/.
#include <vector>

#include "cache/eviction.h"

namespace hearth::cache {

// About how often hashes were seen, none more than 15 times, all forgotten by halves. Source: the
// count-min sketch of Caffeine.
class FrequencySketch {
  public:
    explicit FrequencySketch(std::size_t entries);
    void add(std::uint64_t hash);
    unsigned estimate(std::uint64_t hash) const;

  private:
    struct Place {
        std::size_t word;
        unsigned shift;
    };
    Place place(std::uint64_t hash, unsigned row) const;
    void halve();

    std::vector<std::uint64_t> words_;  // of sixteen counters each
    std::size_t added_ = 0;
    const std::size_t sample_;
};

// A small window for what is new, and a main part of two queues which only lets in what was asked
// for more often, by its worth, than what would leave for it. The window's size follows the hits.
// Source: Einziger et al., "TinyLFU" and "Adaptive software cache management"; the worth is ours.
class WTinyLfu final : public Eviction {
  public:
    explicit WTinyLfu(std::size_t bytes_max);

    void looked_up(const Key& key, Node* node) override;
    void insert(Node& node) override;
    void erase(Node& node) override;
    Node& evict() override;

  private:
    static void push(Queue& queue, std::uint8_t number, Node& node);
    Queue& queue_of(const Node& node);
    std::size_t main_bytes() const { return probation_.bytes() + protected_.bytes(); }
    double score(const Node& node) const;
    void promote(Node& node);
    void climb();

    const std::size_t bytes_max_;
    const std::size_t sample_;
    std::size_t window_max_;
    double step_;  // bytes by which the window grows next
    double last_rate_ = 0;
    std::size_t lookups_ = 0;
    std::size_t hits_ = 0;
    FrequencySketch sketch_;
    Queue window_;
    Queue probation_;
    Queue protected_;
};

}  // namespace hearth::cache
