#include "cache/key.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "base/encoding.h"

namespace json = boost::json;

namespace hearth::cache {
namespace {

constexpr std::size_t kPendingMax = 4096;

}  // namespace

std::string Key::hex() const { return encode_hex(digest); }

KeyWriter::KeyWriter(std::string_view kind) { number("schema", kSchema).text("kind", kind); }

KeyWriter& KeyWriter::text(std::string_view name, std::string_view value) {
    field('t', name);
    bytes(value);
    return *this;
}

KeyWriter& KeyWriter::number(std::string_view name, std::uint64_t value) {
    field('n', name);
    length(value);
    return *this;
}

KeyWriter& KeyWriter::key(std::string_view name, const Key& value) {
    field('k', name);
    bytes(value.bytes());
    return *this;
}

KeyWriter& KeyWriter::json(std::string_view name, const json::object& value,
                           std::span<const std::string_view> without) {
    field('j', name);
    std::vector<const json::key_value_pair*> members;
    members.reserve(value.size());
    for (const auto& member : value) {
        const bool counts =
            std::ranges::find(without, std::string_view(member.key())) == without.end();
        if (counts) members.push_back(&member);
    }
    std::ranges::sort(members, {},
                      [](const auto* member) { return std::string_view(member->key()); });
    length(members.size());
    for (const auto* member : members) {
        bytes(member->key());
        this->value(member->value());
    }
    return *this;
}

void KeyWriter::field(char type, std::string_view name) {
    pending_ += type;
    bytes(name);
}

void KeyWriter::length(std::uint64_t size) {
    for (int shift = 0; shift < 64; shift += 8) pending_ += static_cast<char>(size >> shift);
}

void KeyWriter::bytes(std::string_view value) {
    length(value.size());
    if (pending_.size() + value.size() <= kPendingMax) {
        pending_ += value;
        return;
    }
    hash_.update(pending_);
    pending_.clear();
    hash_.update(value);
}

void KeyWriter::value(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null: pending_ += '0'; return;
        case json::kind::bool_: pending_ += value.get_bool() ? 'T' : 'F'; return;
        case json::kind::string: pending_ += 's'; return bytes(value.get_string());
        case json::kind::int64: return integer(value.get_int64());
        case json::kind::uint64: pending_ += 'u'; return length(value.get_uint64());
        case json::kind::double_: return real(value.get_double());
        case json::kind::array:
            pending_ += 'a';
            length(value.get_array().size());
            for (const json::value& item : value.get_array()) this->value(item);
            return;
        case json::kind::object:
            pending_ += 'o';
            length(value.get_object().size());
            for (const auto& member : value.get_object()) {
                bytes(member.key());
                this->value(member.value());
            }
    }
}

void KeyWriter::integer(std::int64_t value) {
    pending_ += 'i';
    length(std::bit_cast<std::uint64_t>(value));
}

// 1 and 1.0 are one number in JSON; beyond 2^53 a double no longer tells integers apart.
void KeyWriter::real(double value) {
    constexpr double kExact = 9007199254740992.0;
    if (std::abs(value) < kExact && value == std::trunc(value)) {
        return integer(static_cast<std::int64_t>(value));
    }
    pending_ += 'd';
    length(std::bit_cast<std::uint64_t>(value));
}

Key KeyWriter::finish() {
    hash_.update(pending_);
    pending_.clear();
    return {hash_.finish()};
}

}  // namespace hearth::cache
