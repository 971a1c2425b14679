#pragma once

#include <algorithm>

#include "encoder/forward.h"

namespace hearth::encoder {

// The rows [begin, begin + rows) of a group, and everything around them.
struct Forward::Block {
    const Group& group;
    GroupState& state;
    Scratch& scratch;
    std::size_t begin = 0;
    std::size_t rows = 0;
    float* x = nullptr;  // of the first row

    // Calls each(sequence, first token, count) for the parts of sequences inside the block.
    template <class Each>
    void for_parts(Each each) const {
        const auto after =
            std::ranges::upper_bound(group.sequences, begin, {}, &Sequence::first_row);
        for (auto s = after - 1; s != group.sequences.end(); ++s) {
            const std::size_t from = std::max(begin, s->first_row);
            const std::size_t to = std::min(begin + rows, s->first_row + s->length);
            if (from >= begin + rows) return;
            each(*s, from - s->first_row, to - from);
        }
    }
};

}  // namespace hearth::encoder
