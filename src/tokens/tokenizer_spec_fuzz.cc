// Any bytes are a tokenizer.json or a vocabulary: refused with one sentence, or a tokenizer that
// works.
#include <cstdint>
#include <string_view>

#include "tokens/tokenizer_spec.h"
#include "tokens/wordpiece.h"

namespace {

using namespace hearth;
using namespace hearth::tokens;

void check(Result<TokenizerSpec> spec) {
    if (!spec) {
        CHECK(spec.error().code == Code::InvalidArgument && !spec.error().message.empty());
        return;
    }
    const auto model = WordPiece::make(std::move(*spec));
    if (!model) {
        CHECK(model.error().code == Code::InvalidArgument);
        return;
    }
    std::vector<std::int32_t> ids;
    (*model)->encode("the [CLS] naïve ##ing\x80 東京, [MASK]", ids);
    CHECK(ids.size() >= 2);
    for (const std::int32_t id : ids) {
        CHECK(id >= 0 && static_cast<std::size_t>(id) < (*model)->vocabulary());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    check(parse_tokenizer_json(text));
    const std::size_t half = text.find('\0');
    if (half != std::string_view::npos) {
        check(parse_vocabulary(text.substr(0, half), text.substr(half + 1)));
    }
    return 0;
}
