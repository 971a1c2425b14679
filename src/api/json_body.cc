#include "api/json_body.h"

#include <algorithm>
#include <cmath>

#include "base/format.h"
#include "inference/json.h"

namespace hearth::api {
namespace {

namespace json = boost::json;

std::string_view name_of(Kind kind) {
    switch (kind) {
        case Kind::Text: return "a string";
        case Kind::Flag: return "true or false";
        case Kind::Number: return "a number";
        case Kind::Whole: return "a whole number";
        case Kind::List: return "a list";
        case Kind::Object: return "an object";
        case Kind::Any: return "a value";
    }
    return "a value";
}

// Also as a float without fraction: some languages know no other numbers.
bool is_whole(const json::value& value) {
    constexpr double kExactMax = 9007199254740992;
    if (!value.is_double()) return value.is_int64() || value.is_uint64();
    const double number = value.get_double();
    return std::trunc(number) == number && std::abs(number) <= kExactMax;
}

bool is_of(const json::value& value, Kind kind) {
    switch (kind) {
        case Kind::Text: return value.is_string();
        case Kind::Flag: return value.is_bool();
        case Kind::Number: return value.is_number();
        case Kind::Whole: return is_whole(value);
        case Kind::List: return value.is_array();
        case Kind::Object: return value.is_object();
        case Kind::Any: return true;
    }
    return false;
}

bool is_sound(const json::value& value, const Member& member) {
    if (!is_of(value, member.kind)) return false;
    if (member.kind != Kind::Number && member.kind != Kind::Whole) return true;
    const auto number = value.to_number<double>();
    return number >= member.least && number <= member.most;
}

std::string range_text(const Member& member) {
    const std::string_view kind = name_of(member.kind);
    if (member.least <= -1e300 && member.most >= 1e300) return std::string(kind);
    if (member.most >= 1e300) return format("{} of at least {}", kind, member.least);
    return format("{} from {} to {}", kind, member.least, member.most);
}

bool is_finite(const json::value& value) {
    if (value.is_double()) return std::isfinite(value.get_double());
    if (value.is_array()) return std::ranges::all_of(value.get_array(), is_finite);
    if (!value.is_object()) return true;
    return std::ranges::all_of(value.get_object(),
                               [](const auto& member) { return is_finite(member.value()); });
}

}  // namespace

Result<json::object> read_object(std::string_view body) {
    boost::system::error_code failed;
    json::value parsed = inference::parse_json(body, failed);
    if (failed == json::error::too_deep) {
        return fail(Code::InvalidArgument,
                    format("the body is nested deeper than {} levels", inference::kJsonDepthMax));
    }
    if (failed) {
        return fail(Code::InvalidArgument,
                    body.empty() ? std::string("the body is empty; a JSON object is expected")
                                 : format("the body is not valid JSON: {}", failed.message()));
    }
    if (!parsed.is_object()) {
        return fail(Code::InvalidArgument, "the body must be a JSON object");
    }
    // 1e400 is read as infinity, for which JSON has no word on the way to the engine.
    if (!is_finite(parsed)) {
        return fail(Code::InvalidArgument, "the body holds a number beyond the range of a double");
    }
    return std::move(parsed.get_object());
}

Result<void> check_members(const json::object& body, std::span<const Member> members) {
    for (const auto& [name, value] : body) {
        if (value.is_null()) continue;
        const auto member = std::ranges::find(members, std::string_view(name), &Member::name);
        if (member != members.end() && !is_sound(value, *member)) {
            return fail(must_be(member->name, range_text(*member)));
        }
    }
    return {};
}

Result<void> check_stop(const json::object& body) {
    constexpr std::size_t kStopsMax = 64;
    const json::value* stop = find(body, "stop");
    if (stop == nullptr || stop->is_string()) return {};
    const json::array* list = stop->if_array();
    if (list != nullptr && list->size() <= kStopsMax &&
        std::ranges::all_of(*list, [](const json::value& word) { return word.is_string(); })) {
        return {};
    }
    return fail(must_be("stop", format("a string or a list of at most {} strings", kStopsMax)));
}

std::string text_of(const json::object& from, std::string_view name) {
    return std::string(inference::text_at(from, name));
}

Error must_be(std::string_view name, std::string_view expected) {
    return {.code = Code::InvalidArgument,
            .message = format("{} must be {}", name, expected),
            .param = std::string(name)};
}

}  // namespace hearth::api
