#include "cache/w_tiny_lfu.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace hearth::cache {
namespace {

enum : std::uint8_t { kWindow, kProbation, kProtected };

constexpr unsigned kRows = 4;
constexpr unsigned kCounterMax = 15;
constexpr std::uint64_t kHalves = 0x7777'7777'7777'7777;

constexpr double kFirstWindow = 0.01;  // of all bytes
constexpr double kWindowMin = 0.01;
constexpr double kWindowMax = 0.8;
constexpr double kStep = 0.0625;
constexpr double kStepDecay = 0.98;
constexpr double kRestart = 0.05;  // a change of the hit rate that means other traffic

// For the sketch: an answer's bytes, about.
constexpr std::size_t kUsualWeight = 2048;

std::size_t usual_entries(std::size_t bytes_max) {
    return std::clamp<std::size_t>(bytes_max / kUsualWeight, 256, 1 << 20);
}

}  // namespace

FrequencySketch::FrequencySketch(std::size_t entries)
    : words_(std::bit_ceil(entries)), sample_(10 * words_.size()) {}

FrequencySketch::Place FrequencySketch::place(std::uint64_t hash, unsigned row) const {
    constexpr std::uint64_t kSeeds[kRows] = {0xc3a5c85c97cb3127, 0xb492b66fbe98f273,
                                             0x9ae16a3b2f90404f, 0xcbf29ce484222325};
    std::uint64_t mixed = (hash + kSeeds[row]) * kSeeds[row];
    mixed ^= mixed >> 32;
    const auto counter = static_cast<unsigned>((hash & 3) * 4 + row);
    return {.word = mixed & (words_.size() - 1), .shift = counter * 4};
}

void FrequencySketch::add(std::uint64_t hash) {
    bool is_added = false;
    for (unsigned row = 0; row < kRows; ++row) {
        const Place at = place(hash, row);
        if (((words_[at.word] >> at.shift) & kCounterMax) == kCounterMax) continue;
        words_[at.word] += std::uint64_t{1} << at.shift;
        is_added = true;
    }
    if (is_added && ++added_ == sample_) halve();
}

unsigned FrequencySketch::estimate(std::uint64_t hash) const {
    unsigned least = kCounterMax;
    for (unsigned row = 0; row < kRows; ++row) {
        const Place at = place(hash, row);
        least = std::min(least, static_cast<unsigned>((words_[at.word] >> at.shift) & kCounterMax));
    }
    return least;
}

void FrequencySketch::halve() {
    for (std::uint64_t& word : words_) word = (word >> 1) & kHalves;
    added_ /= 2;
}

WTinyLfu::WTinyLfu(std::size_t bytes_max)
    : bytes_max_(bytes_max),
      sample_(10 * usual_entries(bytes_max)),
      window_max_(static_cast<std::size_t>(kFirstWindow * static_cast<double>(bytes_max))),
      step_(kStep * static_cast<double>(bytes_max)),
      sketch_(usual_entries(bytes_max)) {}

void WTinyLfu::push(Queue& queue, std::uint8_t number, Node& node) {
    node.queue = number;
    queue.push(node);
}

Queue& WTinyLfu::queue_of(const Node& node) {
    return node.queue == kWindow ? window_ : node.queue == kProbation ? probation_ : protected_;
}

void WTinyLfu::looked_up(const Key& key, Node* node) {
    sketch_.add(KeyHash()(key));
    ++lookups_;
    if (node != nullptr) {
        ++hits_;
        if (node->queue == kProbation) {
            promote(*node);
        } else {
            queue_of(*node).move_to_back(*node);
        }
    }
    if (lookups_ >= sample_) climb();
}

void WTinyLfu::promote(Node& node) {
    probation_.remove(node);
    push(protected_, kProtected, node);
    const std::size_t protected_max = (bytes_max_ - window_max_) / 5 * 4;
    while (protected_.bytes() > protected_max) push(probation_, kProbation, protected_.pop());
}

void WTinyLfu::insert(Node& node) { push(window_, kWindow, node); }

void WTinyLfu::erase(Node& node) { queue_of(node).remove(node); }

double WTinyLfu::score(const Node& node) const {
    return sketch_.estimate(KeyHash()(*node.key)) * node.worth();
}

Node& WTinyLfu::evict() {
    while (!window_.empty() && window_.bytes() > window_max_ &&
           main_bytes() + window_.front().weight <= bytes_max_ - window_max_) {
        push(probation_, kProbation, window_.pop());
    }
    Queue& main = probation_.empty() ? protected_ : probation_;
    if (main.empty()) return window_.pop();
    if (window_.empty() || window_.bytes() <= window_max_) return main.pop();
    if (score(window_.front()) <= score(main.front())) return window_.pop();
    Node& victim = main.pop();
    push(probation_, kProbation, window_.pop());
    return victim;
}

// Where the hits became more the window goes on growing, or shrinking; else it turns round.
void WTinyLfu::climb() {
    const double rate = static_cast<double>(hits_) / static_cast<double>(lookups_);
    const double change = rate - last_rate_;
    const auto all = static_cast<double>(bytes_max_);
    if (change < 0) step_ = -step_;
    const double window =
        std::clamp(static_cast<double>(window_max_) + step_, kWindowMin * all, kWindowMax * all);
    window_max_ = static_cast<std::size_t>(window);
    step_ = std::abs(change) >= kRestart ? std::copysign(kStep * all, step_) : step_ * kStepDecay;
    last_rate_ = rate;
    lookups_ = hits_ = 0;
}

}  // namespace hearth::cache
