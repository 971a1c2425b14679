#include "cache/eviction.h"

#include "cache/s3_fifo.h"
#include "cache/w_tiny_lfu.h"

namespace hearth::cache {
namespace {

// What the others are measured against.
class Lru final : public Eviction {
  public:
    void looked_up(const Key&, Node* node) override {
        if (node != nullptr) queue_.move_to_back(*node);
    }
    void insert(Node& node) override { queue_.push(node); }
    void erase(Node& node) override { queue_.remove(node); }
    Node& evict() override { return queue_.pop(); }

  private:
    Queue queue_;
};

}  // namespace

std::unique_ptr<Eviction> make_eviction(Algorithm algorithm, std::size_t bytes_max) {
    switch (algorithm) {
        case Algorithm::S3Fifo: return std::make_unique<S3Fifo>(bytes_max);
        case Algorithm::WTinyLfu: return std::make_unique<WTinyLfu>(bytes_max);
        case Algorithm::Lru: return std::make_unique<Lru>();
    }
    return nullptr;
}

}  // namespace hearth::cache
