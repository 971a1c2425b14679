// Any bytes are a text: ids stay in range, offsets stay inside and in order, both encodings agree.
#include <cstdint>
#include <string_view>

#include "tokens/tokenizer_spec.h"
#include "tokens/wordpiece.h"

namespace {

using hearth::tokens::TokenizerSpec;
using hearth::tokens::WordPiece;

// Every option and kind of added token in turn, over a small vocabulary.
std::unique_ptr<WordPiece> make_model(unsigned options) {
    TokenizerSpec spec;
    spec.normalizer = {.clean_text = (options & 1) != 0,
                       .space_ideographs = (options & 2) != 0,
                       .strip_accents = (options & 4) != 0,
                       .lower_case = (options & 8) != 0};
    spec.word_chars_max = options & 16 ? 100 : 5;
    std::int32_t id = 0;
    const auto add = [&](std::string_view text) {
        spec.vocabulary.push_back({std::string(text), id++});
    };
    for (const char* text : {"[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##ing", "é", "##é", "東",
                             "가", "##ᅡ", "i", "##i", "##\u0307", "\u0301"}) {
        add(text);
    }
    for (char c = '!'; c <= '~'; ++c) {
        if (c != 'i') add({&c, 1});
        const char more[] = {'#', '#', c};
        if (c != 'i') add({more, 3});
    }
    spec.added = {{.content = "[MASK]", .id = 3, .strip_left = true},
                  {.content = "<a>", .id = 1000, .single_word = true, .strip_right = true}};
    if (options & 32) spec.added.push_back({.content = "ÉT東", .id = 1001, .normalized = true});
    spec.before = {1};
    spec.after = {2};
    auto model = WordPiece::make(std::move(spec));
    CHECK(model);
    return std::move(*model);
}

void check(const WordPiece& model, std::string_view text) {
    const auto encoding = model.encode_with_offsets(text);
    std::vector<std::int32_t> ids;
    model.encode(text, ids);
    CHECK(ids == encoding.ids && ids.size() == encoding.offsets.size());
    CHECK(ids.size() >= 2 && ids.front() == model.cls_id() && ids.back() == model.sep_id());
    std::uint32_t last = 0;
    for (std::size_t i = 1; i + 1 < ids.size(); ++i) {
        const auto [begin, end] = encoding.offsets[i];
        CHECK(ids[i] >= 0 && static_cast<std::size_t>(ids[i]) < model.vocabulary());
        // Reordered marks keep the places of the characters they replaced, so order holds.
        CHECK(begin >= last && begin < end && end <= text.size());
        last = begin;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto models = [] {
        std::array<std::unique_ptr<WordPiece>, 64> all;
        for (unsigned i = 0; i < all.size(); ++i) all[i] = make_model(i);
        return all;
    }();
    if (size == 0) return 0;
    check(*models[data[0] % 64], {reinterpret_cast<const char*>(data) + 1, size - 1});
    return 0;
}
