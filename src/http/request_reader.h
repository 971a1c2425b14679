#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "http/chunk_decoder.h"
#include "http/gunzip.h"
#include "http/head_parser.h"
#include "http/message.h"

namespace hearth::http {

struct ReadLimits {
    std::size_t header_bytes_max = 64 << 10;
    std::size_t body_bytes_max = 64 << 20;
    // Whether a body is read by next_piece() and has no limit; must outlive the reader. Null: none.
    const std::function<bool(const Request&)>* streams_body = nullptr;
};

// Turns the bytes of one connection into requests, one after the other, however they are cut. Knows
// no sockets. Keeps its buffers between requests; holds at most header_bytes_max and one received
// piece of bytes that were not yet understood.
class RequestReader {
  public:
    enum class Step : std::uint8_t { More, Done, Bad };

    explicit RequestReader(ReadLimits limits);

    // Takes received bytes; all of them, also those of later requests. Not after Done before
    // next().
    Step feed(std::string_view bytes);
    // Starts with the next request, from the bytes left by the last one.
    Step next();
    // A streamed body, after the Done of its head: moves what feed() has taken into request().body,
    // which the caller empties. Done: that was the end.
    Step next_piece();

    // A large body of known length is read straight to where it belongs: where to put bytes, empty
    // when they should go through feed(). Then received() says how many were put there.
    std::span<char> body_space();
    Step received(std::size_t size);

    Request& request() { return request_; }
    const Refusal& refusal() const { return refusal_; }
    // The request's head, once it has been read and as long as nobody took it; else null.
    const Request* known_head() const {
        return head_known_ && !request_.path.empty() ? &request_ : nullptr;
    }
    bool keep_alive() const { return keep_alive_; }
    bool is_http_1_0() const { return parser_.minor_version() == 0; }
    // The request is HEAD; known as soon as its head is read, and also after it was moved away.
    bool is_head() const { return in_body_or_done() && parser_.method() == Method::Head; }
    bool in_body() const { return phase_ == Phase::Body; }
    bool in_streamed_body() const { return phase_ == Phase::Streamed; }
    // True once, when the client waits for "100 Continue" before it sends the body.
    bool take_continue();
    // Bytes of a request have come that is not complete, or of the next one after Done.
    bool has_input() const { return input_begin_ < input_.size(); }
    bool untouched() const { return phase_ == Phase::Head && !has_input(); }
    // Gives large buffers back to the system.
    void shrink();

  private:
    enum class Phase : std::uint8_t { Head, Body, Streamed, Done, Bad };

    bool in_body_or_done() const {
        return phase_ == Phase::Body || phase_ == Phase::Streamed || phase_ == Phase::Done;
    }
    Step refuse(Refusal refusal);
    Step head(std::string_view bytes);
    Step body(std::string_view bytes);
    Step begin_body();
    Step take_known_length(std::string_view& bytes);
    Step take_chunks(std::string_view& bytes);
    Step append(std::string_view piece);
    Step end_body();
    void keep(std::string_view rest);

    ReadLimits limits_;
    Phase phase_ = Phase::Head;
    RequestHeadParser parser_;
    ChunkDecoder chunks_;
    std::optional<Gunzip> gunzip_;
    Refusal refusal_;
    bool head_known_ = false;
    bool keep_alive_ = false;
    bool continue_due_ = false;
    bool streamed_ = false;
    std::uint64_t left_ = 0;         // of a body of known length
    std::size_t body_received_ = 0;  // before unpacking
    std::string input_;              // received and not yet understood, from input_begin_ on
    std::size_t input_begin_ = 0;
    Request request_;
};

}  // namespace hearth::http
