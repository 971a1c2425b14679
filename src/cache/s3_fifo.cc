#include "cache/s3_fifo.h"

#include <algorithm>
#include <cmath>

namespace hearth::cache {
namespace {

enum : std::uint8_t { kSmall, kMain };
constexpr std::uint8_t kFrequencyMax = 3;

}  // namespace

bool Ghosts::take(std::uint64_t hash) { return known_.erase(hash) > 0; }

void Ghosts::add(std::uint64_t hash, std::size_t count_max) {
    if (!known_.insert(hash).second) return;
    order_.push_back(hash);
    while (order_.size() > count_max) {
        known_.erase(order_.front());
        order_.pop_front();
    }
}

void S3Fifo::looked_up(const Key&, Node* node) {
    if (node != nullptr && node->frequency < kFrequencyMax) ++node->frequency;
}

void S3Fifo::insert(Node& node) {
    const double worth = std::log2(node.worth());
    mean_worth_ = seen_ == 0 ? worth : mean_worth_ + (worth - mean_worth_) / kWorthWindow;
    seen_ = std::min<std::size_t>(seen_ + 1, 2);
    node.frequency = 0;
    if (ghosts_.take(KeyHash()(*node.key))) {
        push(main_, kMain, node);
    } else {
        push(small_, kSmall, node);
    }
}

void S3Fifo::erase(Node& node) { (node.queue == kMain ? main_ : small_).remove(node); }

void S3Fifo::push(Queue& queue, std::uint8_t number, Node& node) {
    node.queue = number;
    queue.push(node);
}

// -1, 0 or 1: how its worth compares with that of the others.
int S3Fifo::grade(const Node& node) const {
    const double above = std::log2(node.worth()) - mean_worth_;
    return above > kGrade ? 1 : above < -kGrade ? -1 : 0;
}

Node& S3Fifo::evict() {
    for (;;) {
        const bool from_small = main_.empty() || (!small_.empty() && small_.bytes() > small_max_);
        if (Node* const victim = from_small ? evict_small() : evict_main()) return *victim;
    }
}

// Asked for again while it was new: it stays.
Node* S3Fifo::evict_small() {
    Node& node = small_.pop();
    if (node.frequency + grade(node) > 0 && node.frequency > 0) {
        node.frequency = 0;
        push(main_, kMain, node);
        return nullptr;
    }
    ghosts_.add(KeyHash()(*node.key), std::max<std::size_t>(main_.size() + small_.size(), 64));
    return &node;
}

Node* S3Fifo::evict_main() {
    Node& node = main_.pop();
    const int credit = node.frequency + (node.frequency > 0 ? grade(node) : 0);
    if (credit <= 0) return &node;
    node.frequency = static_cast<std::uint8_t>(std::min(credit - 1, int{kFrequencyMax}));
    push(main_, kMain, node);
    return nullptr;
}

}  // namespace hearth::cache
