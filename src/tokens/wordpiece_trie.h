#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace hearth::tokens {

// Byte strings and their ids as a double array: one dependent load per byte. Immutable once built.
// Bounds: 2^26 units (512 MiB), far above any real vocabulary.
class WordPieceTrie {
  public:
    struct Entry {
        std::string text;  // not empty, well-formed UTF-8
        std::int32_t id = 0;
    };
    static constexpr std::uint32_t kRoot = 0;
    static constexpr std::uint32_t kDead = 1;       // a node without children
    static constexpr unsigned char kNoByte = 0xFF;  // leads nowhere: in no UTF-8 text
    static constexpr std::uint32_t kAbsent = 0xFFFFFFFF;

    // Errors: InvalidArgument when a text comes twice or the array would be too large.
    static Result<WordPieceTrie> build(std::vector<Entry> entries);

    // The child of `node`, or kAbsent.
    std::uint32_t child(std::uint32_t node, unsigned char byte) const {
        const std::uint32_t at = (units_[node].base & ~kAccept) ^ byte;
        return units_[at].parent == node ? at : kAbsent;
    }
    bool accepts(std::uint32_t node) const { return units_[node].base & kAccept; }
    std::int32_t id(std::uint32_t node) const { return ids_[node]; }
    // The node `text` leads to from the root, or kDead.
    std::uint32_t walk(std::string_view text) const;
    // The id of exactly `text`, or -1.
    std::int32_t find_id(std::string_view text) const;

    struct Match {
        std::size_t size = 0;  // 0: none
        std::int32_t id = -1;
    };
    // The longest entry that `text` begins with, walking from `from`.
    Match longest(std::string_view text, std::uint32_t from = kRoot) const;

  private:
    friend class WordPieceTrieBuilder;
    static constexpr std::uint32_t kAccept = 0x80000000;
    struct Unit {
        std::uint32_t base = 0;
        std::uint32_t parent = kAbsent;
    };

    std::vector<Unit> units_;
    std::vector<std::int32_t> ids_;
};

}  // namespace hearth::tokens
