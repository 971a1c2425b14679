#include "backends/replicas/prefix.h"

#include <algorithm>
#include <bit>
#include <boost/endian/conversion.hpp>
#include <utility>

namespace hearth::replicas {
namespace {

constexpr std::size_t kWordBytes = sizeof(std::uint64_t);
constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;  // 2^64 by the golden ratio
static_assert(PrefixChain::kBlockBytes % kWordBytes == 0);
static_assert(kReplicasMax <= 64, "they are the bits of a set");

}  // namespace

void PrefixChain::add(std::string_view text) {
    while (!text.empty() && hashes_.size() < kBlocksMax) {
        // A word at a time: long prompts pass here before each call.
        if (filled_ % kWordBytes == 0 && text.size() >= kWordBytes) {
            word_ =
                boost::endian::load_little_u64(reinterpret_cast<const unsigned char*>(text.data()));
            text.remove_prefix(kWordBytes);
            filled_ += kWordBytes;
        } else {
            word_ = word_ >> 8 | std::uint64_t{static_cast<unsigned char>(text.front())} << 56;
            text.remove_prefix(1);
            ++filled_;
        }
        if (filled_ % kWordBytes != 0) continue;
        state_ = (std::rotl(state_, 23) ^ word_) * kOdd;
        if (filled_ < kBlockBytes) continue;
        hashes_.push_back(state_ ^ state_ >> 32);
        filled_ = 0;
    }
}

std::uint64_t PrefixTable::holders(std::uint64_t hash) const {
    std::uint64_t set = 0;
    for (const Table* table : {&young_, &old_}) {
        if (const auto found = table->find(hash); found != table->end()) set |= found->second;
    }
    return set;
}

std::vector<std::size_t> PrefixTable::matches(const PrefixChain& prompt,
                                              std::size_t replicas) const {
    std::vector<std::size_t> bytes(replicas, 0);
    std::uint64_t all = ~std::uint64_t{0};
    std::size_t depth = 0;
    for (const std::uint64_t hash : prompt.hashes()) {
        all &= holders(hash);
        if (all == 0) break;
        depth += PrefixChain::kBlockBytes;
        for (std::size_t i = 0; i < std::min(replicas, kReplicasMax); ++i) {
            if ((all >> i & 1U) != 0) bytes[i] = depth;
        }
    }
    return bytes;
}

void PrefixTable::note(const PrefixChain& prompt, std::size_t replica) {
    if (replica >= kReplicasMax) return;
    for (const std::uint64_t hash : prompt.hashes()) {
        young_[hash] |= std::uint64_t{1} << replica;
        if (young_.size() < kEntriesMax / 2) continue;
        old_ = std::exchange(young_, {});
    }
}

PrefixTable PrefixTable::renumbered(std::span<const std::optional<std::size_t>> before) const {
    PrefixTable next;
    for (const auto& [from, to] : {std::pair(&young_, &next.young_), {&old_, &next.old_}}) {
        for (const auto& [hash, set] : *from) {
            std::uint64_t kept = 0;
            for (std::size_t i = 0; i < std::min(before.size(), kReplicasMax); ++i) {
                if (before[i] && (set >> *before[i] & 1U) != 0) kept |= std::uint64_t{1} << i;
            }
            if (kept != 0) to->emplace(hash, kept);
        }
    }
    return next;
}

}  // namespace hearth::replicas
