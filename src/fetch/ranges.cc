#include "fetch/ranges.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>

#include "fetch/json_text.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace json = boost::json;
namespace {

constexpr int kStateVersion = 1;

bool take(std::string_view& text, std::string_view front) {
    if (!text.starts_with(front)) return false;
    text.remove_prefix(front.size());
    return true;
}

std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

std::optional<std::uint64_t> number_of(const json::value& value) {
    boost::system::error_code error;
    const auto number = value.to_number<std::uint64_t>(error);
    if (error) return std::nullopt;
    return number;
}

std::optional<Part> part_of(const json::value& value) {
    const json::array* list = value.if_array();
    if (list == nullptr || list->size() != 3) return std::nullopt;
    std::array<std::uint64_t, 3> numbers{};
    for (std::size_t i = 0; i < 3; ++i) {
        const auto number = number_of((*list)[i]);
        if (!number) return std::nullopt;
        numbers[i] = *number;
    }
    return Part{.begin = numbers[0], .size = numbers[1], .done = numbers[2]};
}

// Every part begins where the one before ends, none is empty, none has more than its size.
bool covers(const std::vector<Part>& parts, std::uint64_t total) {
    std::uint64_t end = 0;
    for (const Part& part : parts) {
        const bool fits = part.size > 0 && part.size <= total - end && part.done <= part.size;
        if (part.begin != end || !fits) return false;
        end += part.size;
    }
    return end == total;
}

}  // namespace

std::vector<Part> plan_parts(std::uint64_t total, const PartSizes& sizes) {
    CHECK(total <= kBlobBytesMax && sizes.parts > 0 && sizes.bytes_min > 0);
    // Never more parts than a state may hold, whatever sizes were asked for.
    const std::uint64_t least = std::max(sizes.bytes_min, total / kPartsMax + 1);
    const std::uint64_t most = std::max(sizes.bytes_max, least);
    const std::uint64_t size = std::clamp((total + sizes.parts - 1) / sizes.parts, least, most);
    std::vector<Part> parts;
    for (std::uint64_t begin = 0; begin < total; begin += size) {
        parts.push_back({.begin = begin, .size = std::min(size, total - begin)});
    }
    return parts;
}

std::uint64_t bytes_done(const std::vector<Part>& parts) {
    std::uint64_t done = 0;
    for (const Part& part : parts) done += part.done;
    return done;
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
    ContentRange range;
    if (!take(value, "bytes ")) return std::nullopt;
    const auto first = take_number(value);
    if (!first || !take(value, "-")) return std::nullopt;
    const auto last = take_number(value);
    if (!last || *last < *first || !take(value, "/")) return std::nullopt;
    range.first = *first;
    range.last = *last;
    if (value == "*") return range;
    range.total = take_number(value);
    if (!range.total || !value.empty() || *range.total <= range.last) return std::nullopt;
    return range;
}

std::string encode_state(const models::Digest& digest, const std::vector<Part>& parts) {
    json::array list;
    for (const Part& part : parts) list.push_back(json::array{part.begin, part.size, part.done});
    return json::serialize(json::object{
        {"version", kStateVersion}, {"digest", digest.text()}, {"parts", std::move(list)}});
}

Result<std::vector<Part>> parse_state(std::string_view text, const models::Digest& digest,
                                      std::uint64_t total) {
    const auto useless = [] {
        return failed(Failure::Store, "the state of an earlier download is of no use");
    };
    TRY(const json::value root, parse_json_text(text, "the state of an earlier download"));
    const json::object* object = root.if_object();
    if (object == nullptr || text_member(root, "digest") != digest.text()) return useless();
    const json::value* version = object->if_contains("version");
    const json::value* list = object->if_contains("parts");
    if (version == nullptr || number_of(*version) != kStateVersion) return useless();
    if (list == nullptr || !list->is_array() || list->get_array().size() > kPartsMax) {
        return useless();
    }
    std::vector<Part> parts;
    for (const json::value& value : list->get_array()) {
        const auto part = part_of(value);
        if (!part) return useless();
        parts.push_back(*part);
    }
    if (!covers(parts, total)) return useless();
    return parts;
}

}  // namespace hearth::fetch
