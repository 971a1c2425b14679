#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hearth::http {

// Unpacks a gzip stream (RFC 1952, also several members in a row) that arrives in pieces.
class Gunzip {
  public:
    Gunzip();
    ~Gunzip();
    Gunzip(Gunzip&&) noexcept;
    Gunzip& operator=(Gunzip&&) noexcept;

    // Appends what `bytes` unpack to. Errors: TooLarge when `out` would pass `size_max`, whatever
    // the stream claims; InvalidArgument for a broken stream.
    Result<void> feed(std::string_view bytes, std::string& out, std::size_t size_max);
    // True when the bytes so far are whole members.
    bool complete() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace hearth::http
