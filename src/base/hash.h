#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hearth {

// Incremental SHA-256 (FIPS 180-4). Not thread-safe; one object hashes one message.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);
    std::array<std::byte, 32> finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

// Digest of one message as 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);

}  // namespace hearth
