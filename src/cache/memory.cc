#include "cache/memory.h"

#include <boost/unordered/unordered_node_map.hpp>

#include "base/thread_safety.h"

namespace hearth::cache {

struct Memory::Part {
    Part(std::size_t bytes_max_in, Algorithm algorithm, Totals& totals_in)
        : bytes_max(bytes_max_in),
          eviction(make_eviction(algorithm, bytes_max_in)),
          totals(totals_in) {}

    const std::size_t bytes_max;
    Mutex mutex;
    boost::unordered_node_map<Key, Node, KeyHash> nodes GUARDED_BY(mutex);
    std::unique_ptr<Eviction> eviction GUARDED_BY(mutex);
    std::size_t bytes GUARDED_BY(mutex) = 0;
    Stats stats GUARDED_BY(mutex);  // without entries and bytes
    Totals& totals;

    void count(const Node& node) REQUIRES(mutex) {
        bytes += node.weight;
        totals.bytes.fetch_add(node.weight, std::memory_order_relaxed);
        totals.entries.fetch_add(1, std::memory_order_relaxed);
    }
    void discount(const Node& node) REQUIRES(mutex) {
        bytes -= node.weight;
        totals.bytes.fetch_sub(node.weight, std::memory_order_relaxed);
        totals.entries.fetch_sub(1, std::memory_order_relaxed);
    }
    void forget(Node& node) REQUIRES(mutex) {
        discount(node);
        // A copy: the key lies in what is erased.
        nodes.erase(Key(*node.key));
    }
    void erase(Node& node) REQUIRES(mutex) {
        eviction->erase(node);
        forget(node);
    }
};

Memory::Memory(std::size_t bytes_max, Algorithm algorithm, std::size_t parts) {
    CHECK(parts > 0);
    for (std::size_t i = 0; i < parts; ++i) {
        parts_.push_back(std::make_unique<Part>(bytes_max / parts, algorithm, totals_));
    }
}

Memory::~Memory() {
    (void)erase_if([](const Key&, const Entry&) { return true; });
}

// Not by the bits of KeyHash, which choose the place in its table.
Memory::Part& Memory::part_of(const Key& key) const {
    return *parts_[std::to_integer<std::size_t>(key.digest.back()) % parts_.size()];
}

EntryPtr Memory::find(const Key& key, Moment when) {
    Part& part = part_of(key);
    const MutexLock lock(part.mutex);
    const auto found = part.nodes.find(key);
    Node* node = found == part.nodes.end() ? nullptr : &found->second;
    if (node != nullptr && node->entry->expires <= when) {
        part.erase(*node);
        node = nullptr;
    }
    part.eviction->looked_up(key, node);
    return node == nullptr ? nullptr : node->entry;
}

void Memory::insert(const Key& key, EntryPtr entry) {
    Part& part = part_of(key);
    const std::size_t weight = entry->weight();
    EntryPtr before;  // destroyed after the lock is given back
    const MutexLock lock(part.mutex);
    const auto found = part.nodes.find(key);
    if (found != part.nodes.end()) {
        before = found->second.entry;
        part.erase(found->second);
    }
    if (weight > part.bytes_max) {
        ++part.stats.refused;
        return;
    }
    const auto at = part.nodes.try_emplace(key).first;
    Node& node = at->second;
    node.key = &at->first;
    node.entry = std::move(entry);
    node.weight = weight;
    part.count(node);
    ++part.stats.inserted;
    part.eviction->insert(node);
    while (part.bytes > part.bytes_max) {
        ++part.stats.evicted;
        part.forget(part.eviction->evict());
    }
}

bool Memory::erase(const Key& key) {
    Part& part = part_of(key);
    const MutexLock lock(part.mutex);
    const auto found = part.nodes.find(key);
    if (found == part.nodes.end()) return false;
    part.erase(found->second);
    return true;
}

std::size_t Memory::erase_if(const std::function<bool(const Key&, const Entry&)>& is_meant) {
    std::size_t count = 0;
    for (const auto& part : parts_) {
        const MutexLock lock(part->mutex);
        count += boost::unordered::erase_if(part->nodes,
                                            [&](auto& pair) HEARTH_TSA(no_thread_safety_analysis) {
                                                Node& node = pair.second;
                                                if (!is_meant(pair.first, *node.entry))
                                                    return false;
                                                part->eviction->erase(node);
                                                part->discount(node);
                                                return true;
                                            });
    }
    return count;
}

void Memory::visit(const std::function<void(const Key&, const Entry&)>& see) const {
    for (const auto& part : parts_) {
        const MutexLock lock(part->mutex);
        for (const auto& [key, node] : part->nodes) see(key, *node.entry);
    }
}

Memory::Stats Memory::stats() const {
    Stats sum{.entries = entries(), .bytes = bytes()};
    for (const auto& part : parts_) {
        const MutexLock lock(part->mutex);
        sum.inserted += part->stats.inserted;
        sum.evicted += part->stats.evicted;
        sum.refused += part->stats.refused;
    }
    return sum;
}

}  // namespace hearth::cache
