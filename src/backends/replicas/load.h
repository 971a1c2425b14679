#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace hearth::replicas {

// Tokens that a server has been asked for and has not finished, whichever of its models is to make
// them. Thread-safe.
class Load {
  public:
    std::int64_t tokens() const { return tokens_.load(std::memory_order_relaxed); }

    // Counts a call as long as it exists.
    class Share {
      public:
        Share(std::shared_ptr<Load> load, std::int64_t tokens)
            : load_(std::move(load)), tokens_(tokens) {
            load_->tokens_.fetch_add(tokens_, std::memory_order_relaxed);
        }
        ~Share() { load_->tokens_.fetch_sub(tokens_, std::memory_order_relaxed); }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

      private:
        const std::shared_ptr<Load> load_;
        const std::int64_t tokens_;
    };

  private:
    std::atomic<std::int64_t> tokens_{0};
};

}  // namespace hearth::replicas
