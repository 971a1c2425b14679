#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth::http {

// Takes the chunked transfer coding apart (RFC 9112 section 7.1), in pieces of any size. Chunk
// extensions and trailer fields are checked and dropped; together they may take kOverheadMax bytes.
class ChunkDecoder {
  public:
    enum class Step : std::uint8_t {
        More,   // the input is used up
        Piece,  // `piece` is a view of data inside the input
        Done,   // the body has ended; what is left of the input belongs to the next message
        Bad,
    };
    static constexpr std::size_t kOverheadMax = 16 << 10;

    // Takes bytes from the front of `input`.
    Step next(std::string_view& input, std::string_view& piece);

  private:
    enum class State : std::uint8_t {
        Size,
        BeforeExtension,
        Extension,
        SizeEnd,
        Data,
        DataCr,
        DataEnd,
        LineStart,
        Name,
        Value,
        LineEnd,
        LastEnd,
        Done,
        Bad,
    };
    State on(char c);
    State on_size(char c);
    State on_trailer(char c);

    State state_ = State::Size;
    int digits_ = 0;
    std::uint64_t left_ = 0;
    std::size_t overhead_ = 0;
};

}  // namespace hearth::http
