#include "tokens/wordpiece.h"

#include <algorithm>
#include <string>

#include "tokens/unicode.h"
#include "tokens/wordpiece_normalizer.h"

namespace hearth::tokens {
namespace {

// Receive tokens with the bytes they stand for; `truncate` takes back what an unknown word had
// begun.
class IdSink {
  public:
    explicit IdSink(std::vector<std::int32_t>& ids) : ids_(ids) {}
    void push(std::int32_t id, std::size_t, std::size_t) { ids_.push_back(id); }
    std::size_t size() const { return ids_.size(); }
    void truncate(std::size_t size) { ids_.resize(size); }

  private:
    std::vector<std::int32_t>& ids_;
};

class OffsetSink {
  public:
    explicit OffsetSink(Encoding& encoding) : encoding_(encoding) {}
    void push(std::int32_t id, std::size_t begin, std::size_t end) {
        encoding_.ids.push_back(id);
        encoding_.offsets.push_back(
            {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
    }
    std::size_t size() const { return encoding_.ids.size(); }
    void truncate(std::size_t size) {
        encoding_.ids.resize(size);
        encoding_.offsets.resize(size);
    }

  private:
    Encoding& encoding_;
};

constexpr std::size_t kTextBytesMax = 0xFFFFFFFF;  // offsets are 32 bits

}  // namespace

// Splits normalised characters into words and matches them.
template <class Sink>
class NormalizedWords {
  public:
    NormalizedWords(const WordPiece& model, Sink& sink) : model_(model), sink_(sink) {}

    void encode(std::span<const NormalizedChar> chars);

  private:
    void end_word();
    bool match_word();

    const WordPiece& model_;
    Sink& sink_;
    std::string bytes_;               // the word
    std::vector<NormalizedChar> at_;  // for each of its bytes
    std::size_t chars_ = 0;
};

template <class Sink>
void NormalizedWords<Sink>::encode(std::span<const NormalizedChar> chars) {
    for (const NormalizedChar& c : chars) {
        const unsigned flags = char_record(c.code).flags;
        if (flags & (kWhitespace | kPunctuation)) end_word();
        if (flags & kWhitespace) continue;
        char encoded[4];
        const std::size_t size = encode_char(c.code, encoded);
        bytes_.append(encoded, size);
        at_.insert(at_.end(), size, c);
        ++chars_;
        if (flags & kPunctuation) end_word();
    }
    end_word();
}

template <class Sink>
void NormalizedWords<Sink>::end_word() {
    if (chars_ == 0) return;
    const std::size_t mark = sink_.size();
    if (chars_ > model_.word_chars_max_ || !match_word()) {
        sink_.truncate(mark);
        sink_.push(model_.unknown_, at_.front().begin, at_.back().end);
    }
    bytes_.clear();
    at_.clear();
    chars_ = 0;
}

template <class Sink>
bool NormalizedWords<Sink>::match_word() {
    std::uint32_t node = WordPieceTrie::kRoot;
    for (std::size_t begin = 0; begin < bytes_.size();) {
        const auto match = model_.trie_.longest(std::string_view(bytes_).substr(begin), node);
        if (match.size == 0) return false;
        sink_.push(match.id, at_[begin].begin, at_[begin + match.size - 1].end);
        begin += match.size;
        node = model_.continuation_;
    }
    return true;
}

Result<std::unique_ptr<WordPiece>> WordPiece::make(TokenizerSpec spec) {
    std::unique_ptr<WordPiece> model(new WordPiece);
    std::int32_t id_max = 0;
    for (const auto& entry : spec.vocabulary) id_max = std::max(id_max, entry.id);
    for (const auto& token : spec.added) id_max = std::max(id_max, token.id);
    TRY(model->trie_, WordPieceTrie::build(std::move(spec.vocabulary)));
    model->normalizer_ = spec.normalizer;
    model->continuation_ = model->trie_.walk(spec.continuation);
    model->unknown_ = model->trie_.find_id(spec.unknown);
    model->word_chars_max_ = spec.word_chars_max;
    model->vocabulary_ = static_cast<std::size_t>(id_max) + 1;
    model->before_ = std::move(spec.before);
    model->after_ = std::move(spec.after);
    CHECK(model->unknown_ >= 0 && !model->before_.empty() && !model->after_.empty());
    model->fill_byte_tables(spec.normalizer);
    TRY_VOID(model->set_added(std::move(spec.added)));
    return model;
}

void WordPiece::fill_byte_tables(const NormalizerOptions& options) {
    kinds_.fill(Kind::Slow);
    fold_.fill(WordPieceTrie::kNoByte);
    for (unsigned char byte = 0; byte < 128; ++byte) {
        const CharRecord& record = char_record(byte);
        if (options.clean_text && (record.flags & kControl)) continue;
        if (record.flags & kWhitespace) {
            kinds_[byte] = Kind::Space;
        } else if (record.flags & kPunctuation) {
            kinds_[byte] = Kind::Punctuation;
            const char text = static_cast<char>(byte);
            const std::int32_t id = trie_.find_id({&text, 1});
            punctuation_ids_[byte] = id >= 0 ? id : unknown_;
        } else {
            kinds_[byte] = Kind::Word;
            fold_[byte] =
                static_cast<unsigned char>(byte + (options.lower_case ? record.lower_delta : 0));
        }
    }
}

Result<void> WordPiece::set_added(std::vector<AddedToken> added) {
    std::vector<AddedToken> raw, normalized;
    Normalizer normalizer(normalizer_);
    for (AddedToken& token : added) {
        if (!token.normalized) {
            raw.push_back(std::move(token));
            continue;
        }
        std::string content;
        for (const NormalizedChar& c : normalizer.normalize(token.content, 0)) {
            char encoded[4];
            content.append(encoded, encode_char(c.code, encoded));
        }
        token.content = std::move(content);
        normalized.push_back(std::move(token));
    }
    TRY(raw_added_, AddedTokens::build(std::move(raw)));
    TRY(normalized_added_, AddedTokens::build(std::move(normalized)));
    return {};
}

void WordPiece::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
    ids.clear();
    ids.reserve(before_.size() + after_.size() + text.size() / 2);
    IdSink sink(ids);
    encode_text(text, sink);
}

Encoding WordPiece::encode_with_offsets(std::string_view text) const {
    Encoding encoding;
    OffsetSink sink(encoding);
    encode_text(text, sink);
    return encoding;
}

template <class Sink>
void WordPiece::encode_text(std::string_view text, Sink& sink) const {
    CHECK(text.size() <= kTextBytesMax);
    for (const std::int32_t id : before_) sink.push(id, 0, 0);
    std::size_t done = 0;
    std::size_t from = 0;
    while (const auto match = raw_added_.find(text, from, done)) {
        if (done < match->begin) encode_piece(text, done, match->begin, sink);
        sink.push(match->id, match->begin, match->end);
        done = match->end;
        from = match->resume;
    }
    if (done < text.size()) encode_piece(text, done, text.size(), sink);
    for (const std::int32_t id : after_) sink.push(id, 0, 0);
}

template <class Sink>
void WordPiece::encode_piece(std::string_view text, std::size_t begin, std::size_t end,
                             Sink& sink) const {
    if (normalized_added_.empty()) {
        encode_plain(text.substr(0, end), begin, end, sink);
    } else {
        encode_normalized_piece(text, begin, end, sink);
    }
}

template <class Sink>
void WordPiece::encode_plain(std::string_view text, std::size_t begin, std::size_t end,
                             Sink& sink) const {
    std::optional<Normalizer> normalizer;
    NormalizedWords<Sink> words(*this, sink);
    for (std::size_t at = begin; at < end;) {
        const std::size_t start = at;
        switch (kind(text[at])) {
            case Kind::Space: ++at; continue;
            case Kind::Punctuation:
                sink.push(punctuation_ids_[static_cast<unsigned char>(text[at])], at, at + 1);
                ++at;
                continue;
            case Kind::Word:
                at = encode_ascii_word(text, at, sink);
                if (at != start) continue;
                [[fallthrough]];
            case Kind::Slow:
                at = slow_end(text, at);
                if (!normalizer) normalizer.emplace(normalizer_);
                words.encode(normalizer->normalize(text.substr(start, at - start),
                                                   static_cast<std::uint32_t>(start)));
        }
    }
}

// ASCII white space and punctuation end every word, and no mark moves across them.
std::size_t WordPiece::slow_end(std::string_view text, std::size_t at) const {
    while (at < text.size() && kind(text[at]) != Kind::Space &&
           kind(text[at]) != Kind::Punctuation) {
        ++at;
    }
    return at;
}

// Returns where the word ends, or `begin`, with nothing pushed, when it is not plain ASCII.
template <class Sink>
std::size_t WordPiece::encode_ascii_word(std::string_view text, std::size_t begin,
                                         Sink& sink) const {
    const std::size_t mark = sink.size();
    const std::size_t size = text.size();
    std::size_t piece = begin;
    std::uint32_t node = WordPieceTrie::kRoot;
    for (;;) {
        std::size_t accept_end = 0;
        std::uint32_t accept_node = 0;
        for (std::size_t at = piece; at < size;) {
            node = trie_.child(node, fold_[static_cast<unsigned char>(text[at])]);
            if (node == WordPieceTrie::kAbsent) break;
            ++at;
            if (trie_.accepts(node)) {
                accept_end = at;
                accept_node = node;
            }
        }
        if (accept_end == 0 || accept_end - begin > word_chars_max_) {
            sink.truncate(mark);
            return unknown_ascii_word(text, begin, piece, sink);
        }
        sink.push(trie_.id(accept_node), piece, accept_end);
        const Kind next = accept_end < size ? kind(text[accept_end]) : Kind::Space;
        if (next == Kind::Slow) {
            sink.truncate(mark);
            return begin;
        }
        if (next != Kind::Word) return accept_end;
        piece = accept_end;
        node = continuation_;
    }
}

// A word with a part that is in no vocabulary, or with too many characters.
template <class Sink>
std::size_t WordPiece::unknown_ascii_word(std::string_view text, std::size_t begin, std::size_t at,
                                          Sink& sink) const {
    while (at < text.size() && kind(text[at]) == Kind::Word) ++at;
    if (at < text.size() && kind(text[at]) == Kind::Slow) return begin;
    sink.push(unknown_, begin, at);
    return at;
}

template <class Sink>
void WordPiece::encode_normalized_piece(std::string_view text, std::size_t begin, std::size_t end,
                                        Sink& sink) const {
    Normalizer normalizer(normalizer_);
    const auto& chars =
        normalizer.normalize(text.substr(begin, end - begin), static_cast<std::uint32_t>(begin));
    std::string bytes;
    std::vector<std::size_t> starts;  // for each byte, the index of its character
    for (std::size_t i = 0; i < chars.size(); ++i) {
        char encoded[4];
        const std::size_t size = encode_char(chars[i].code, encoded);
        bytes.append(encoded, size);
        starts.insert(starts.end(), size, i);
    }
    starts.push_back(chars.size());
    NormalizedWords<Sink> words(*this, sink);
    const std::span<const NormalizedChar> all(chars);
    std::size_t done = 0;
    std::size_t from = 0;
    while (const auto match = normalized_added_.find(bytes, from, done)) {
        if (done < match->begin) {
            words.encode(all.subspan(starts[done], starts[match->begin] - starts[done]));
        }
        sink.push(match->id, chars[starts[match->begin]].begin, chars[starts[match->end] - 1].end);
        done = match->end;
        from = match->resume;
    }
    if (done < bytes.size()) words.encode(all.subspan(starts[done]));
}

}  // namespace hearth::tokens
