#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "inference/embed.h"

// Reading a JSON request body whose weight is a list of texts or token ids. The body is read event
// by event into the canonical inputs: no tree is built, each text is copied once. Every dialect's
// parser stands on this.
namespace hearth::api {

// A member that is not the input. List and Object stand for a value whose content was passed over.
struct List {};
struct Object {};
using Scalar = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, List, Object>;

struct BodyRules {
    std::string_view input = {};  // the member that holds the texts; empty: none does
    std::span<const std::string_view> members =
        {};                     // the others that are kept; the rest is passed over
    bool token_ids = false;     // lists of token ids are allowed
    bool list_only = false;     // one text by itself is not
    bool text_objects = false;  // an item may be an object with a member "text"
    std::size_t inputs_max = 2048;
    std::size_t token_ids_max = 300'000;  // in all lists together
};

struct Body {
    enum class Shape : std::uint8_t { Absent, Text, List };
    Shape shape = Shape::Absent;  // of the input; null counts as absent
    std::vector<inference::EmbedInput> inputs;
    // In the order they came; of equal names the last counts.
    std::vector<std::pair<std::string, Scalar>> members;

    // The input is present, and neither it nor one of its items is empty. `name` is the input's.
    // Errors: InvalidArgument with `param`; reason "empty" for a list without items.
    Result<void> require_inputs(std::string_view name) const;
    // nullptr when absent or null.
    const Scalar* find(std::string_view name) const;
    // The checked value, `otherwise` when absent. Errors: InvalidArgument with `param`.
    Result<std::string> text(std::string_view name) const;
    Result<bool> flag(std::string_view name, bool otherwise) const;
    // A whole number from `least` to 2^31 - 1.
    Result<std::optional<std::size_t>> count(std::string_view name, std::size_t least) const;
};

// Standard JSON in UTF-8, at most 32 levels deep. A \u escape of half a surrogate pair is read as
// U+FFFD, as most servers do. Errors: InvalidArgument with `param` ("input[3]"), saying what would
// be right.
Result<Body> read_body(std::string_view body, const BodyRules& rules);

// InvalidArgument about one member: "NAME must be EXPECTED, not FOUND".
Error wrong_member(std::string_view name, std::string_view expected, const Scalar& found);
Error bad_member(std::string_view name, std::string message);

}  // namespace hearth::api
