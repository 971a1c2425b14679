#include "http/reply_reader.h"

#include <algorithm>

namespace hearth::http {

ReplyReader::ReplyReader(Limits limits, Method method)
    : limits_(limits), method_(method), parser_(limits.header_bytes_max) {}

ReplyReader::Step ReplyReader::refuse(std::string_view why) {
    phase_ = Phase::Bad;
    persistent_ = false;
    refusal_ = why;
    return Step::Bad;
}

ReplyReader::Step ReplyReader::next(std::string_view& input, std::string_view& piece) {
    if (!input.empty()) started_ = true;
    switch (phase_) {
        case Phase::Head: return head(input);
        case Phase::Length:
        case Phase::Close: {
            if (input.empty()) return Step::More;
            const std::size_t size =
                phase_ == Phase::Close ? input.size()
                                       : std::size_t(std::min<std::uint64_t>(left_, input.size()));
            piece = input.substr(0, size);
            input.remove_prefix(size);
            if (phase_ == Phase::Length && (left_ -= size) == 0) phase_ = Phase::Done;
            return count(size);
        }
        case Phase::Chunks:
            switch (chunks_.next(input, piece)) {
                case ChunkDecoder::Step::More: return Step::More;
                case ChunkDecoder::Step::Piece: return count(piece.size());
                case ChunkDecoder::Step::Bad: return refuse("the chunked body is malformed");
                case ChunkDecoder::Step::Done: phase_ = Phase::Done;
            }
            return Step::Done;
        case Phase::Done: return Step::Done;
        case Phase::Bad: return Step::Bad;
    }
    return Step::Bad;
}

ReplyReader::Step ReplyReader::head(std::string_view& input) {
    for (;;) {
        if (input.empty()) return Step::More;
        const bool whole = head_.empty();
        if (!whole) head_.append(input);
        const std::string_view bytes = whole ? input : std::string_view(head_);
        switch (parser_.parse(bytes)) {
            case ParseStep::More:
                if (whole) head_.assign(input);
                input = {};
                return Step::More;
            case ParseStep::Bad: return refuse(parser_.refusal().message);
            case ParseStep::Done: break;
        }
        headers_.assign(bytes.substr(0, parser_.size()), parser_.fields());
        // Everything before this input was still incomplete, so the rest lies in it.
        input.remove_prefix(input.size() - (bytes.size() - parser_.size()));
        head_.clear();
        if (parser_.status() == 101) return refuse("the server switches protocols");
        if (parser_.status() >= 200) return begin_body();
        parser_.restart();
    }
}

ReplyReader::Step ReplyReader::begin_body() {
    const Framing& framing = parser_.framing();
    persistent_ = parser_.persistent();
    const int status = parser_.status();
    if (method_ == Method::Head || status == 204 || status == 304) {
        phase_ = Phase::Done;
    } else if (framing.chunked) {
        phase_ = Phase::Chunks;
    } else if (framing.content_length) {
        left_ = *framing.content_length;
        if (left_ > limits_.body_bytes_max) return refuse("the body is too large");
        phase_ = left_ == 0 ? Phase::Done : Phase::Length;
    } else {
        phase_ = Phase::Close;
        persistent_ = false;
    }
    return Step::Head;
}

ReplyReader::Step ReplyReader::count(std::size_t size) {
    body_received_ += size;
    if (body_received_ > limits_.body_bytes_max) return refuse("the body is too large");
    return Step::Piece;
}

ReplyReader::Step ReplyReader::received(std::size_t size) {
    left_ -= size;
    body_received_ += size;
    if (left_ == 0) phase_ = Phase::Done;
    return left_ == 0 ? Step::Done : Step::More;
}

ReplyReader::Step ReplyReader::end() {
    persistent_ = false;
    if (phase_ == Phase::Close) phase_ = Phase::Done;
    if (phase_ == Phase::Done) return Step::Done;
    return refuse("the server closed the connection inside the reply");
}

}  // namespace hearth::http
