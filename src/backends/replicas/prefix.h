#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hearth::replicas {

inline constexpr std::size_t kReplicasMax = 64;   // of one model
inline constexpr std::size_t kBytesPerToken = 4;  // a guess, to compare work with

// A prompt as a chain of hashes: the n-th covers its first n blocks, so that two prompts share as
// many blocks as their chains have equal beginnings.
class PrefixChain {
  public:
    static constexpr std::size_t kBlockBytes = 256;
    static constexpr std::size_t kBlocksMax = 256;

    // The text may come in pieces; what is over kBlocksMax blocks is left out.
    void add(std::string_view text);
    // Of whole blocks only: a rest would match nothing else.
    const std::vector<std::uint64_t>& hashes() const { return hashes_; }

  private:
    std::vector<std::uint64_t> hashes_;
    std::uint64_t state_ = 1;
    std::uint64_t word_ = 0;  // its last filled_ % 8 bytes are at its high end
    std::size_t filled_ = 0;  // bytes of the block
};

// Which replica has last worked through which beginnings of prompts, and so most likely still has
// them in its cache. Remembers kEntriesMax blocks; what was used least recently is forgotten, by
// halves. Not thread-safe.
class PrefixTable {
  public:
    static constexpr std::size_t kEntriesMax = 32'768;

    // Bytes of the prompt that each of `replicas` has seen.
    std::vector<std::size_t> matches(const PrefixChain& prompt, std::size_t replicas) const;
    void note(const PrefixChain& prompt, std::size_t replica);
    // The same of other replicas: the n-th is the one that was `before[n]` here, or is new.
    PrefixTable renumbered(std::span<const std::optional<std::size_t>> before) const;

  private:
    // Two generations: the older is dropped when the younger is full.
    using Table = std::unordered_map<std::uint64_t, std::uint64_t>;  // hash to a set of replicas
    std::uint64_t holders(std::uint64_t hash) const;

    Table young_;
    Table old_;
};

}  // namespace hearth::replicas
