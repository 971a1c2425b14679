#include "http/chunk_decoder.h"

#include <algorithm>

#include "http/char_class.h"

namespace hearth::http {
namespace {

constexpr int kDigitsMax = 15;

}  // namespace

ChunkDecoder::Step ChunkDecoder::next(std::string_view& input, std::string_view& piece) {
    while (!input.empty()) {
        if (state_ == State::Data) {
            const auto size = std::size_t(std::min<std::uint64_t>(left_, input.size()));
            piece = input.substr(0, size);
            input.remove_prefix(size);
            left_ -= size;
            if (left_ == 0) state_ = State::DataCr;
            return Step::Piece;
        }
        if (state_ == State::Done) return Step::Done;
        if (state_ == State::Bad) return Step::Bad;
        state_ = on(input.front());
        input.remove_prefix(1);
    }
    if (state_ == State::Done) return Step::Done;
    return state_ == State::Bad ? Step::Bad : Step::More;
}

ChunkDecoder::State ChunkDecoder::on(char c) {
    switch (state_) {
        case State::Size:
        case State::BeforeExtension:
        case State::Extension:
        case State::SizeEnd: return on_size(c);
        case State::DataCr: return c == '\r' ? State::DataEnd : State::Bad;
        case State::DataEnd: digits_ = 0; return c == '\n' ? State::Size : State::Bad;
        case State::LineStart:
        case State::Name:
        case State::Value:
        case State::LineEnd:
        case State::LastEnd: return on_trailer(c);
        case State::Data:
        case State::Done:
        case State::Bad: break;
    }
    return State::Bad;
}

ChunkDecoder::State ChunkDecoder::on_size(char c) {
    if (state_ == State::SizeEnd) {
        if (c != '\n') return State::Bad;
        return left_ == 0 ? State::LineStart : State::Data;
    }
    if (state_ == State::Size) {
        if (const int digit = hex_digit(c); digit >= 0) {
            if (++digits_ > kDigitsMax) return State::Bad;
            left_ = left_ * 16 + std::uint64_t(digit);
            return State::Size;
        }
        if (digits_ == 0) return State::Bad;
    }
    if (++overhead_ > kOverheadMax) return State::Bad;
    if (state_ == State::Extension) {
        if (c == '\r') return State::SizeEnd;
        return is(kFieldValue, c) ? State::Extension : State::Bad;
    }
    if (c == ';') return State::Extension;
    if (c == ' ' || c == '\t') return State::BeforeExtension;
    return c == '\r' && state_ == State::Size ? State::SizeEnd : State::Bad;
}

ChunkDecoder::State ChunkDecoder::on_trailer(char c) {
    if (++overhead_ > kOverheadMax) return State::Bad;
    switch (state_) {
        case State::LineStart:
            if (c == '\r') return State::LastEnd;
            return is(kToken, c) ? State::Name : State::Bad;
        case State::Name:
            if (c == ':') return State::Value;
            return is(kToken, c) ? State::Name : State::Bad;
        case State::Value:
            if (c == '\r') return State::LineEnd;
            return is(kFieldValue, c) ? State::Value : State::Bad;
        case State::LineEnd: return c == '\n' ? State::LineStart : State::Bad;
        case State::LastEnd: return c == '\n' ? State::Done : State::Bad;
        default: return State::Bad;
    }
}

}  // namespace hearth::http
