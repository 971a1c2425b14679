#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/chunk_decoder.h"
#include "http/head_parser.h"
#include "http/message.h"

namespace hearth::http {

// Turns the bytes a server sends into one reply (RFC 9112 section 6.3), however they are cut. Knows
// no sockets. Interim replies (1xx) are skipped.
class ReplyReader {
  public:
    enum class Step : std::uint8_t {
        More,   // the input is used up
        Head,   // status and fields are known
        Piece,  // `piece` is a view of body bytes inside the input
        Done,   // the reply is complete; what is left of the input is not part of it
        Bad,    // see refusal()
    };
    struct Limits {
        std::size_t header_bytes_max = 64 << 10;
        std::size_t body_bytes_max = 256 << 20;
    };

    // `method`: of the request, because the answer to HEAD has no body.
    ReplyReader(Limits limits, Method method);

    // Takes bytes from the front of `input`.
    Step next(std::string_view& input, std::string_view& piece);
    // The peer has closed: Done if that ends the reply, else Bad.
    Step end();

    // Of a body of known length: what has still to come. The caller may read that many bytes itself
    // and say so.
    std::uint64_t known_left() const { return phase_ == Phase::Length ? left_ : 0; }
    Step received(std::size_t size);

    int status() const { return parser_.status(); }
    Headers& headers() { return headers_; }
    bool persistent() const { return persistent_; }
    bool started() const { return started_; }  // any byte has come
    std::string_view refusal() const { return refusal_; }

  private:
    enum class Phase : std::uint8_t { Head, Length, Chunks, Close, Done, Bad };

    Step head(std::string_view& input);
    Step begin_body();
    Step refuse(std::string_view why);
    Step count(std::size_t size);

    Limits limits_;
    Method method_;
    ReplyHeadParser parser_;
    ChunkDecoder chunks_;
    Phase phase_ = Phase::Head;
    bool started_ = false;
    bool persistent_ = false;
    std::uint64_t left_ = 0;
    std::size_t body_received_ = 0;
    std::string head_;  // a head that has not arrived wholly
    Headers headers_;
    std::string_view refusal_;
};

}  // namespace hearth::http
