#include "cli/option_values.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

enum class Type { Whole, Number, Flag, Texts };

struct Option {
    std::string_view name;
    Type type;
};

constexpr std::array kOptions = {
    Option{"temperature", Type::Number},
    Option{"top_k", Type::Whole},
    Option{"top_p", Type::Number},
    Option{"min_p", Type::Number},
    Option{"typical_p", Type::Number},
    Option{"num_predict", Type::Whole},
    Option{"num_ctx", Type::Whole},
    Option{"num_keep", Type::Whole},
    Option{"seed", Type::Whole},
    Option{"stop", Type::Texts},
    Option{"repeat_last_n", Type::Whole},
    Option{"repeat_penalty", Type::Number},
    Option{"presence_penalty", Type::Number},
    Option{"frequency_penalty", Type::Number},
    Option{"mirostat", Type::Whole},
    Option{"mirostat_tau", Type::Number},
    Option{"mirostat_eta", Type::Number},
    Option{"num_batch", Type::Whole},
    Option{"num_gpu", Type::Whole},
    Option{"main_gpu", Type::Whole},
    Option{"num_thread", Type::Whole},
    Option{"use_mmap", Type::Flag},
    Option{"draft_num_predict", Type::Whole},
};

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number number{};
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::unexpected<Error> wrong(std::string_view name, std::string_view what) {
    return fail(Code::InvalidArgument, format("{} must be {}", name, what));
}

Result<json::value> parse_value(const Option& option, std::string_view text) {
    switch (option.type) {
        case Type::Whole:
            if (const auto number = number_in<std::int64_t>(text)) return json::value(*number);
            return wrong(option.name, "a whole number");
        case Type::Number:
            if (const auto number = number_in<double>(text); number && std::isfinite(*number)) {
                return json::value(*number);
            }
            return wrong(option.name, "a number");
        case Type::Flag:
            if (text == "true" || text == "false") return json::value(text == "true");
            return wrong(option.name, "true or false");
        case Type::Texts: break;
    }
    return json::value(repair_utf8(text));
}

std::string names() {
    std::string all;
    for (const Option& option : kOptions) {
        if (!all.empty()) all += ", ";
        all += option.name;
    }
    return all;
}

}  // namespace

Result<void> set_option(json::object& options, std::string_view name, std::string_view value) {
    constexpr std::size_t kStopsMax = 64;
    const auto option = std::ranges::find(kOptions, name, &Option::name);
    if (option == kOptions.end()) {
        return fail(Code::InvalidArgument,
                    format("there is no option '{}'; there are {}", name, names()));
    }
    TRY(json::value parsed, parse_value(*option, value));
    if (option->type != Type::Texts) {
        options[name] = std::move(parsed);
        return {};
    }
    json::value& list = options[name];
    if (!list.is_array()) list = json::array();
    if (list.get_array().size() >= kStopsMax) {
        return fail(Code::InvalidArgument, format("{} has at most {} values", name, kStopsMax));
    }
    list.get_array().push_back(std::move(parsed));
    return {};
}

Result<void> set_option(json::object& options, std::string_view assignment) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string_view::npos || equals == 0) {
        return fail(Code::InvalidArgument,
                    format("'{}' is not NAME=VALUE, such as temperature=0.2", assignment));
    }
    return set_option(options, assignment.substr(0, equals), assignment.substr(equals + 1));
}

json::value keep_alive_value(std::string_view text) {
    if (const auto seconds = number_in<double>(text); seconds && std::isfinite(*seconds)) {
        return *seconds;
    }
    return json::value(repair_utf8(text));
}

Result<json::value> think_value(std::string_view text) {
    if (text == "true" || text == "false") return json::value(text == "true");
    for (const std::string_view level : {"low", "medium", "high", "max"}) {
        if (text == level) return json::value(level);
    }
    return wrong("think", "true, false, low, medium, high or max");
}

}  // namespace hearth::cli
