#pragma once

#include <array>
#include <boost/json/value.hpp>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace hearth::cache {

// What an answer is found by: SHA-256 of everything that changes it. A value.
struct Key {
    std::array<std::byte, 32> digest{};

    auto operator<=>(const Key&) const = default;
    std::string hex() const;
    std::string_view bytes() const {
        return {reinterpret_cast<const char*>(digest.data()), digest.size()};
    }
};

// The digest is as good as random.
struct KeyHash {
    std::size_t operator()(const Key& key) const {
        std::size_t hash = 0;
        std::memcpy(&hash, key.digest.data(), sizeof hash);
        return hash;
    }
};

// Makes a Key of named fields, each written with its type and length, so that no two requests that
// differ give the same bytes. The order of the calls matters. Not thread-safe; one object, one key.
class KeyWriter {
  public:
    // Raised whenever the same fields begin to mean another answer.
    static constexpr std::uint64_t kSchema = 1;

    explicit KeyWriter(std::string_view kind);

    KeyWriter& text(std::string_view name, std::string_view value);
    KeyWriter& number(std::string_view name, std::uint64_t value);
    KeyWriter& key(std::string_view name, const Key& value);
    // The members of an object count in the order of their names at the top, since no engine cares
    // for that of its parameters; below as they were written, since templates and grammars do.
    // `without`: names of members that do not count.
    KeyWriter& json(std::string_view name, const boost::json::object& value,
                    std::span<const std::string_view> without = {});

    Key finish();

  private:
    void field(char type, std::string_view name);
    void length(std::uint64_t size);
    void bytes(std::string_view value);
    void value(const boost::json::value& value);
    void integer(std::int64_t value);
    void real(double value);

    Sha256 hash_;
    std::string pending_;  // hashed in pieces of some size: each call into the library costs
};

}  // namespace hearth::cache
