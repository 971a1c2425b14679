#include "tokens/wordpiece_trie.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <deque>
#include <span>

#include "base/format.h"

namespace hearth::tokens {

// Places nodes breadth first, so that what every walk passes lies together, and looks for room in
// the newest blocks only, so that no vocabulary can make it slow.
class WordPieceTrieBuilder {
  public:
    explicit WordPieceTrieBuilder(std::vector<WordPieceTrie::Entry> entries)
        : entries_(std::move(entries)) {}

    Result<WordPieceTrie> build();

  private:
    using Entry = WordPieceTrie::Entry;
    static constexpr std::uint32_t kBlock = 256;
    static constexpr std::size_t kBlocksOpen = 16;
    static constexpr std::size_t kUnitsMax = std::size_t{1} << 26;
    static constexpr std::uint32_t kReserved = 0xFFFFFFFE;
    struct Range {  // entries that share their first `depth` bytes
        std::size_t first, last, depth;
        std::uint32_t node;
    };

    void expand(const Range& range);
    std::uint32_t find_base(std::span<const unsigned char> labels);
    bool fits(std::uint32_t base, std::span<const unsigned char> labels) const;
    void occupy(std::uint32_t unit, std::uint32_t parent);
    std::uint32_t add_block();
    unsigned char label(std::size_t entry, std::size_t depth) const {
        return static_cast<unsigned char>(entries_[entry].text[depth]);
    }

    std::vector<Entry> entries_;
    std::deque<Range> open_;
    WordPieceTrie trie_;
    struct Block {
        std::array<std::uint64_t, kBlock / 64> free;
        std::uint32_t free_count = kBlock;
    };
    std::vector<Block> blocks_;
};

std::uint32_t WordPieceTrieBuilder::add_block() {
    const auto first = static_cast<std::uint32_t>(trie_.units_.size());
    trie_.units_.resize(first + kBlock);
    trie_.ids_.resize(first + kBlock, -1);
    blocks_.emplace_back().free.fill(~std::uint64_t{0});
    return first;
}

void WordPieceTrieBuilder::occupy(std::uint32_t unit, std::uint32_t parent) {
    trie_.units_[unit].parent = parent;
    Block& block = blocks_[unit / kBlock];
    block.free[unit % kBlock / 64] &= ~(std::uint64_t{1} << unit % 64);
    --block.free_count;
}

bool WordPieceTrieBuilder::fits(std::uint32_t base, std::span<const unsigned char> labels) const {
    return std::ranges::all_of(labels, [&](unsigned char byte) {
        return trie_.units_[base ^ byte].parent == WordPieceTrie::kAbsent;
    });
}

std::uint32_t WordPieceTrieBuilder::find_base(std::span<const unsigned char> labels) {
    const std::size_t oldest = blocks_.size() - std::min(blocks_.size(), kBlocksOpen);
    for (std::size_t at = oldest; at < blocks_.size(); ++at) {
        const Block& block = blocks_[at];
        if (block.free_count < labels.size()) continue;
        for (std::uint32_t word = 0; word < block.free.size(); ++word) {
            for (std::uint64_t left = block.free[word]; left != 0; left &= left - 1) {
                const auto bit = static_cast<std::uint32_t>(std::countr_zero(left));
                const std::uint32_t slot =
                    static_cast<std::uint32_t>(at) * kBlock + word * 64 + bit;
                const std::uint32_t base = slot ^ labels.front();
                if (fits(base, labels)) return base;
            }
        }
    }
    return add_block() ^ labels.front();
}

void WordPieceTrieBuilder::expand(const Range& range) {
    std::size_t first = range.first;
    if (entries_[first].text.size() == range.depth) {
        trie_.ids_[range.node] = entries_[first].id;
        trie_.units_[range.node].base |= WordPieceTrie::kAccept;
        if (++first == range.last) return;
    }
    std::array<unsigned char, kBlock> labels;
    std::array<std::size_t, kBlock + 1> starts;
    std::size_t count = 0;
    for (std::size_t i = first; i < range.last; ++i) {
        const unsigned char byte = label(i, range.depth);
        if (count > 0 && labels[count - 1] == byte) continue;
        labels[count] = byte;
        starts[count++] = i;
    }
    starts[count] = range.last;
    const std::uint32_t base = find_base({labels.data(), count});
    trie_.units_[range.node].base |= base;
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t child = base ^ labels[i];
        occupy(child, range.node);
        open_.push_back({starts[i], starts[i + 1], range.depth + 1, child});
    }
}

Result<WordPieceTrie> WordPieceTrieBuilder::build() {
    std::ranges::sort(entries_, {}, &Entry::text);
    const auto twice = std::ranges::adjacent_find(entries_, {}, &Entry::text);
    if (twice != entries_.end()) {
        return fail(Code::InvalidArgument, format("the token \"{}\" comes twice", twice->text));
    }
    add_block();
    occupy(WordPieceTrie::kRoot, kReserved);
    occupy(WordPieceTrie::kDead, kReserved);
    if (!entries_.empty()) open_.push_back({0, entries_.size(), 0, WordPieceTrie::kRoot});
    while (!open_.empty()) {
        const Range range = open_.front();
        open_.pop_front();
        expand(range);
        if (trie_.units_.size() > kUnitsMax) {
            return fail(Code::InvalidArgument, "the vocabulary is too large");
        }
    }
    return std::move(trie_);
}

Result<WordPieceTrie> WordPieceTrie::build(std::vector<Entry> entries) {
    return WordPieceTrieBuilder(std::move(entries)).build();
}

std::uint32_t WordPieceTrie::walk(std::string_view text) const {
    std::uint32_t node = kRoot;
    for (const char c : text) {
        node = child(node, static_cast<unsigned char>(c));
        if (node == kAbsent) return kDead;
    }
    return node;
}

std::int32_t WordPieceTrie::find_id(std::string_view text) const {
    const std::uint32_t node = walk(text);
    return accepts(node) ? id(node) : -1;
}

WordPieceTrie::Match WordPieceTrie::longest(std::string_view text, std::uint32_t from) const {
    Match match;
    std::uint32_t node = from;
    for (std::size_t i = 0; i < text.size(); ++i) {
        node = child(node, static_cast<unsigned char>(text[i]));
        if (node == kAbsent) break;
        if (accepts(node)) match = {i + 1, id(node)};
    }
    return match;
}

}  // namespace hearth::tokens
