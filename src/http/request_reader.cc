#include "http/request_reader.h"

#include <algorithm>

namespace hearth::http {
namespace {

constexpr std::size_t kDirectBodyMin =
    16 << 10;  // smaller rests of a body go through the shared buffer
constexpr std::size_t kGrowthMin = 64 << 10;
constexpr std::size_t kKeptCapacityMax = 16 << 10;

void shrink_string(std::string& text) {
    if (text.capacity() > kKeptCapacityMax) std::string().swap(text);
}

}  // namespace

RequestReader::RequestReader(ReadLimits limits)
    : limits_(limits), parser_(limits.header_bytes_max) {}

RequestReader::Step RequestReader::refuse(Refusal refusal) {
    phase_ = Phase::Bad;
    refusal_ = refusal;
    keep_alive_ = false;
    return Step::Bad;
}

bool RequestReader::take_continue() {
    return std::exchange(continue_due_, false) && !has_input() && body_received_ == 0;
}

RequestReader::Step RequestReader::feed(std::string_view bytes) {
    switch (phase_) {
        case Phase::Head: break;
        case Phase::Body: return body(bytes);
        case Phase::Streamed: keep(bytes); return Step::Done;
        case Phase::Done: keep(bytes); return Step::Done;
        case Phase::Bad: return Step::Bad;
    }
    if (!has_input()) return head(bytes);
    input_.erase(0, input_begin_);
    input_begin_ = 0;
    input_.append(bytes);
    return head(input_);
}

RequestReader::Step RequestReader::next() {
    phase_ = Phase::Head;
    head_known_ = false;
    parser_.restart();
    continue_due_ = false;
    shrink_string(request_.body);
    if (!has_input()) return Step::More;
    return head(std::string_view(input_).substr(input_begin_));
}

// Keeps `rest`, which may lie inside input_, for later.
void RequestReader::keep(std::string_view rest) {
    if (rest.empty()) {
        input_.clear();
        input_begin_ = 0;
    } else if (has_input() && rest.data() >= input_.data() &&
               rest.data() < input_.data() + input_.size()) {
        input_begin_ = std::size_t(rest.data() - input_.data());
    } else {
        input_.erase(0, input_begin_);
        input_begin_ = 0;
        input_.append(rest);
    }
}

RequestReader::Step RequestReader::head(std::string_view bytes) {
    switch (parser_.parse(bytes)) {
        case ParseStep::More: keep(bytes); return Step::More;
        case ParseStep::Bad: return refuse(parser_.refusal());
        case ParseStep::Done: break;
    }
    if (!parser_.fill(bytes, request_)) {
        return refuse({.status = 400, .message = "the path has an invalid percent escape"});
    }
    head_known_ = true;
    keep_alive_ = parser_.persistent();
    request_.body.clear();
    const std::string_view rest = bytes.substr(parser_.size());
    streamed_ = limits_.streams_body != nullptr && *limits_.streams_body &&
                (*limits_.streams_body)(request_);
    if (const Step step = begin_body(); step != Step::More) {
        if (step == Step::Done) keep(rest);
        return step;
    }
    if (!streamed_) return body(rest);
    phase_ = Phase::Streamed;
    keep(rest);
    return Step::Done;
}

RequestReader::Step RequestReader::next_piece() {
    if (phase_ != Phase::Streamed) return phase_ == Phase::Done ? Step::Done : Step::Bad;
    return body(std::string_view(input_).substr(input_begin_));
}

RequestReader::Step RequestReader::begin_body() {
    const Framing& framing = parser_.framing();
    left_ = framing.content_length.value_or(0);
    if (left_ == 0 && !framing.chunked) {
        phase_ = Phase::Done;
        return Step::Done;
    }
    if (left_ > limits_.body_bytes_max && !streamed_) {
        return refuse({.status = 413, .message = "the body is too large"});
    }
    if (streamed_ && framing.gzip) {
        return refuse({.status = 415, .message = "this body may not be compressed"});
    }
    phase_ = Phase::Body;
    body_received_ = 0;
    chunks_ = ChunkDecoder();
    gunzip_.reset();
    if (framing.gzip) gunzip_.emplace();
    continue_due_ = framing.expect_continue && parser_.minor_version() > 0;
    return Step::More;
}

RequestReader::Step RequestReader::body(std::string_view bytes) {
    const Step step = parser_.framing().chunked ? take_chunks(bytes) : take_known_length(bytes);
    if (step == Step::Bad) return step;
    keep(bytes);
    return step == Step::Done ? end_body() : step;
}

RequestReader::Step RequestReader::take_known_length(std::string_view& bytes) {
    const auto size = std::size_t(std::min<std::uint64_t>(left_, bytes.size()));
    if (append(bytes.substr(0, size)) == Step::Bad) return Step::Bad;
    bytes.remove_prefix(size);
    left_ -= size;
    return left_ == 0 ? Step::Done : Step::More;
}

RequestReader::Step RequestReader::take_chunks(std::string_view& bytes) {
    for (;;) {
        std::string_view piece;
        switch (chunks_.next(bytes, piece)) {
            case ChunkDecoder::Step::More: return Step::More;
            case ChunkDecoder::Step::Done: return Step::Done;
            case ChunkDecoder::Step::Bad:
                return refuse({.status = 400, .message = "the chunked body is malformed"});
            case ChunkDecoder::Step::Piece:
                if (append(piece) == Step::Bad) return Step::Bad;
        }
    }
}

RequestReader::Step RequestReader::append(std::string_view piece) {
    body_received_ += piece.size();
    if (body_received_ > limits_.body_bytes_max && !streamed_) {
        return refuse({.status = 413, .message = "the body is too large"});
    }
    if (!gunzip_) {
        request_.body.append(piece);
        return Step::More;
    }
    const Result<void> fed = gunzip_->feed(piece, request_.body, limits_.body_bytes_max);
    if (fed) return Step::More;
    if (fed.error().code == Code::TooLarge) {
        return refuse({.status = 413, .message = "the unpacked body is too large"});
    }
    return refuse({.status = 400, .message = "the gzip body is broken"});
}

RequestReader::Step RequestReader::end_body() {
    continue_due_ = false;
    if (gunzip_ && !gunzip_->complete()) {
        return refuse({.status = 400, .message = "the gzip body is cut off"});
    }
    gunzip_.reset();
    phase_ = Phase::Done;
    return Step::Done;
}

std::span<char> RequestReader::body_space() {
    if (phase_ != Phase::Body || parser_.framing().chunked || gunzip_ || left_ < kDirectBodyMin)
        return {};
    std::string& text = request_.body;
    const std::size_t have = text.size();
    // Memory follows what has really come, not what the client announces.
    const auto more = std::size_t(std::min<std::uint64_t>(left_, std::max(kGrowthMin, have)));
    // libstdc++ 12 hands the lambda the capacity, not the size asked for.
    const std::size_t wanted = have + more;
    text.resize_and_overwrite(wanted, [wanted](char*, std::size_t) { return wanted; });
    return {text.data() + have, more};
}

RequestReader::Step RequestReader::received(std::size_t size) {
    // body_space() grew the body by this much; what was not filled goes again.
    const auto space =
        std::size_t(std::min<std::uint64_t>(left_, std::max(kGrowthMin, body_received_)));
    std::string& text = request_.body;
    text.resize(text.size() - space + size);
    body_received_ += size;
    left_ -= size;
    return left_ == 0 ? end_body() : Step::More;
}

void RequestReader::shrink() {
    shrink_string(request_.body);
    shrink_string(request_.target);
    shrink_string(request_.path);
    shrink_string(input_);
}

}  // namespace hearth::http
