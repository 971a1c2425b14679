#pragma once

// Internal to cache/.
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "cache/entry.h"
#include "cache/key.h"

namespace hearth::cache {

// An entry in memory with what an eviction policy knows of it.
struct Node : boost::intrusive::list_base_hook<> {
    const Key* key = nullptr;  // of the table, which owns the node
    EntryPtr entry;
    std::size_t weight = 0;      // bytes
    std::uint8_t queue = 0;      // which of the policy's queues it is in
    std::uint8_t frequency = 0;  // hits since the policy last looked, as far as it counts

    // What keeping it saves: microseconds for each byte. A new answer took some time, however
    // little the clock says.
    double worth() const {
        return (static_cast<double>(entry->took.count()) + 1) / static_cast<double>(weight);
    }
};

// A queue of nodes with the bytes they take. The front is the next to leave.
class Queue {
  public:
    bool empty() const { return nodes_.empty(); }
    std::size_t bytes() const { return bytes_; }
    std::size_t size() const { return nodes_.size(); }
    Node& front() { return nodes_.front(); }
    void push(Node& node) {
        bytes_ += node.weight;
        nodes_.push_back(node);
    }
    void remove(Node& node) {
        bytes_ -= node.weight;
        nodes_.erase(nodes_.iterator_to(node));
    }
    Node& pop() {
        Node& node = front();
        remove(node);
        return node;
    }
    void move_to_back(Node& node) { nodes_.splice(nodes_.end(), nodes_, nodes_.iterator_to(node)); }

  private:
    boost::intrusive::list<Node> nodes_;
    std::size_t bytes_ = 0;
};

// Which entries are worth their bytes. One for each part of the memory; not thread-safe.
class Eviction {
  public:
    virtual ~Eviction() = default;
    // A look-up found the node, or (`node` null) nothing under `key`.
    virtual void looked_up(const Key& key, Node* node) = 0;
    // It is new. What has to leave for it is asked for afterwards, and may be itself.
    virtual void insert(Node& node) = 0;
    // It is going away for another reason than evict().
    virtual void erase(Node& node) = 0;
    // Takes the node that is worth least out of the queues. REQUIRES that there is one.
    virtual Node& evict() = 0;
};

enum class Algorithm : std::uint8_t { S3Fifo, WTinyLfu, Lru };

// `bytes_max`: what the nodes may take together; the caller asks evict() when they are over it.
std::unique_ptr<Eviction> make_eviction(Algorithm algorithm, std::size_t bytes_max);

}  // namespace hearth::cache
