#include "api/embed_body.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <limits>

#include "base/encoding.h"
#include "base/format.h"

namespace hearth::api {
namespace json = boost::json;
namespace {

constexpr std::size_t kEmbedDepthMax = 32;
constexpr std::size_t kMembersMax = 256;  // kept ones; a body repeats a member only by mistake
constexpr std::int64_t kTokenIdMax = std::numeric_limits<std::int32_t>::max();

using inference::EmbedInput;
using inference::TokenIds;

// Depth 1 is the body, 2 the input list, 3 a token list in it. A handler that returns false stops
// the parser; `problem` then says why.
class Handler {
  public:
    static constexpr std::size_t max_object_size = SIZE_MAX;
    static constexpr std::size_t max_array_size = SIZE_MAX;
    static constexpr std::size_t max_key_size = SIZE_MAX;
    static constexpr std::size_t max_string_size = SIZE_MAX;
    using Ec = boost::system::error_code;

    Body body;
    std::optional<Error> problem;
    const BodyRules* rules = nullptr;

    bool on_document_begin(Ec&) { return true; }
    bool on_document_end(Ec&) { return true; }

    bool on_object_begin(Ec& ec) {
        ++depth_;
        if (depth_ == 1) return true;
        if (in_item_) return !at_item_text(4) || stop(ec, wrong_item_text("an object"));
        if (in_input_) return start_item(ec);
        if (depth_ == 2) keep(Object{});
        return true;
    }
    bool on_object_end(std::size_t, Ec& ec) {
        --depth_;
        return !in_item_ || depth_ > 2 || end_item(ec);
    }

    bool on_array_begin(Ec& ec) {
        ++depth_;
        if (depth_ == 1) return stop(ec, root_error("a list"));
        if (in_item_) return !at_item_text(4) || stop(ec, wrong_item_text("a list"));
        if (!in_input_) {
            if (depth_ == 2) keep(List{});
            return true;
        }
        if (depth_ == 2) {
            body.shape = Body::Shape::List;
            return true;
        }
        if (!rules->token_ids || depth_ > 3 || flat_ids_)
            return stop(ec, wrong_container("a list"));
        return add_input(ec, TokenIds{});
    }
    bool on_array_end(std::size_t, Ec&) {
        --depth_;
        return true;
    }

    bool on_key_part(json::string_view part, std::size_t, Ec&) {
        if (depth_ == 1 || at_item_member()) text_.append(part);
        return true;
    }
    bool on_key(json::string_view part, std::size_t, Ec&) {
        if (at_item_member()) {
            text_.append(part);
            item_text_next_ = text_ == "text";
            text_.clear();
        }
        if (depth_ != 1) return true;
        text_.append(part);
        in_input_ = !rules->input.empty() && text_ == rules->input;
        if (in_input_) start_input();
        const auto known = std::ranges::find(rules->members, std::string_view(text_));
        member_ = known != rules->members.end() ? *known : std::string_view{};
        text_.clear();
        return true;
    }

    bool on_string_part(json::string_view part, std::size_t, Ec&) {
        if (wants_string()) text_.append(part);
        return true;
    }
    bool on_string(json::string_view part, std::size_t, Ec& ec) {
        if (!wants_string()) return depth_ > 0 || stop(ec, root_error("a string"));
        std::string value;
        if (text_.empty()) {
            value.assign(part);  // no escapes and in one piece: copied once, at its true size
        } else {
            text_.append(part);
            value = text_;
            text_.clear();
        }
        if (in_item_) {
            item_text_ = std::move(value);
            return true;
        }
        if (!in_input_) {
            keep(std::move(value));
            return true;
        }
        if (depth_ == 1 && rules->list_only) return stop(ec, wrong_value("a string"));
        if (flat_ids_ || depth_ > 2) return stop(ec, wrong_value("a string"));
        if (depth_ == 1) body.shape = Body::Shape::Text;
        return add_input(ec, std::move(value));
    }

    bool on_number_part(json::string_view, Ec&) { return true; }
    bool on_int64(std::int64_t value, json::string_view, Ec& ec) {
        if (in_input_ && !in_item_) return add_token_id(ec, value);
        return on_scalar(ec, value, "a number");
    }
    bool on_uint64(std::uint64_t value, json::string_view, Ec& ec) {
        if (in_input_ && !in_item_)
            return add_token_id(ec, std::numeric_limits<std::int64_t>::max());
        return on_scalar(ec, static_cast<double>(value), "a number");
    }
    bool on_double(double value, json::string_view, Ec& ec) {
        return on_scalar(ec, value, in_input_ && !in_item_ ? "a fraction" : "a number");
    }
    bool on_bool(bool value, Ec& ec) { return on_scalar(ec, value, value ? "true" : "false"); }
    bool on_null(Ec& ec) {
        if (in_input_ && depth_ == 1) return true;
        return on_scalar(ec, nullptr, "null");
    }
    bool on_comment_part(json::string_view, Ec&) { return true; }
    bool on_comment(json::string_view, Ec&) { return true; }

  private:
    bool stop(Ec& ec, Error error) {
        problem = std::move(error);
        ec = json::error::syntax;
        return false;
    }

    static Error root_error(std::string_view found) {
        return {.code = Code::InvalidArgument,
                .message = format("the body must be a JSON object, not {}", found)};
    }

    // Of equal members the last counts: the input starts anew.
    void start_input() {
        body.inputs.clear();
        body.shape = Body::Shape::Absent;
        flat_ids_ = false;
        token_ids_ = 0;
    }

    bool wants_string() const {
        if (in_item_) return at_item_text(3);
        return in_input_ || (depth_ == 1 && !member_.empty());
    }

    bool at_item_member() const { return in_item_ && depth_ == 3; }
    // At the value of an item's text, which is `depth` deep.
    bool at_item_text(int depth) const { return in_item_ && item_text_next_ && depth_ == depth; }

    bool start_item(Ec& ec) {
        if (!rules->text_objects || depth_ != 3) return stop(ec, wrong_container("an object"));
        in_item_ = true;
        item_text_next_ = false;
        item_text_.reset();
        return true;
    }

    bool end_item(Ec& ec) {
        in_item_ = false;
        if (item_text_) return add_input(ec, *std::move(item_text_));
        const std::string at = format("{}[{}]", rules->input, body.inputs.size());
        return stop(ec, bad_member(at, format("{} has no text: it must be a string or an object "
                                              "with a member \"text\"",
                                              at)));
    }

    Error wrong_item_text(std::string_view found) const {
        const std::string at = format("{}[{}].text", rules->input, body.inputs.size());
        return bad_member(at, format("{} must be a string, not {}", at, found));
    }

    template <class T>
    void keep(T value) {
        if (!member_.empty() && body.members.size() < kMembersMax) {
            body.members.emplace_back(member_, std::move(value));
        }
    }

    template <class T>
    bool on_scalar(Ec& ec, T value, std::string_view found) {
        if (depth_ == 0) return stop(ec, root_error(found));
        if (in_item_) return !at_item_text(3) || stop(ec, wrong_item_text(found));
        if (in_input_) return stop(ec, wrong_value(found));
        if (depth_ == 1) keep(value);
        return true;
    }

    Error wrong_value(std::string_view found) const { return wrong_at(depth_, found); }
    // A list or object has raised the depth already.
    Error wrong_container(std::string_view found) const { return wrong_at(depth_ - 1, found); }

    // `param` is "input", "input[3]" or "input[3][5]": the place that would be filled next.
    Error wrong_at(int depth, std::string_view found) const {
        std::string at(rules->input);
        std::string_view expected = "a string";
        if (depth == 1) {
            expected = expected_input();
        } else if (flat_ids_ || depth == 3) {
            if (!flat_ids_) at += format("[{}]", body.inputs.size() - 1);
            at += format("[{}]", std::get<TokenIds>(body.inputs.back()).size());
            expected = "a token id (a whole number from 0 to 2147483647)";
        } else {
            at += format("[{}]", body.inputs.size());
            if (rules->token_ids) expected = "a string or a list of token ids";
            if (rules->text_objects) expected = "a string or an object with a member \"text\"";
        }
        return {.code = Code::InvalidArgument,
                .message = format("{} must be {}, not {}", at, expected, found),
                .param = at};
    }

    std::string_view expected_input() const {
        if (rules->list_only) return "a list of texts";
        return rules->token_ids ? "a string, a list of strings, a list of token ids or a list of "
                                  "such lists"
                                : "a string or a list of strings";
    }

    bool add_input(Ec& ec, EmbedInput input) {
        if (body.inputs.size() == rules->inputs_max) {
            return stop(ec,
                        bad_member(rules->input, format("{} has more than {} items; send them in "
                                                        "several requests",
                                                        rules->input, rules->inputs_max)));
        }
        body.inputs.push_back(std::move(input));
        return true;
    }

    bool add_token_id(Ec& ec, std::int64_t value) {
        if (!rules->token_ids || depth_ == 1) return stop(ec, wrong_value("a number"));
        if (depth_ == 2 && !flat_ids_) {
            if (!body.inputs.empty()) return stop(ec, wrong_value("a number"));
            flat_ids_ = true;
            if (!add_input(ec, TokenIds{})) return false;
        }
        if (value < 0 || value > kTokenIdMax) {
            return stop(ec, wrong_value(value < 0 ? "a negative number" : "a larger number"));
        }
        if (token_ids_ == rules->token_ids_max) {
            return stop(ec, bad_member(rules->input, format("{} has more than {} token ids in all; "
                                                            "send them in several requests",
                                                            rules->input, rules->token_ids_max)));
        }
        ++token_ids_;
        std::get<TokenIds>(body.inputs.back()).push_back(static_cast<std::int32_t>(value));
        return true;
    }

    int depth_ = 0;
    bool in_input_ = false;        // the current member of the body is the input
    bool flat_ids_ = false;        // the input is one list of token ids
    bool in_item_ = false;         // inside an object that is an item of the input
    bool item_text_next_ = false;  // its member "text" is what comes
    std::optional<std::string> item_text_;
    std::size_t token_ids_ = 0;
    std::string_view member_;  // the current member, when it is one that is kept
    std::string text_;
};

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The value of \uXXXX at `at`, or -1.
int utf16_escape(std::string_view text, std::size_t at) {
    if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
    int value = 0;
    for (std::size_t i = at + 2; i < at + 6; ++i) {
        const int digit = hex_digit(text[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

// Writes \ufffd over every \u escape that is half a surrogate pair. Backslashes occur only in
// strings.
std::string repair_surrogates(std::string_view text) {
    std::string out(text);
    for (std::size_t at = out.find('\\'); at != std::string::npos; at = out.find('\\', at)) {
        const int unit = utf16_escape(out, at);
        if (unit < 0) {
            at += 2;
            continue;
        }
        const bool high = unit >= 0xD800 && unit < 0xDC00;
        const int next = high ? utf16_escape(out, at + 6) : -1;
        if (next >= 0xDC00 && next < 0xE000) {
            at += 12;
            continue;
        }
        if (unit >= 0xD800 && unit < 0xE000) out.replace(at + 2, 4, "fffd");
        at += 6;
    }
    return out;
}

struct Outcome {
    boost::system::error_code error;
    std::size_t used = 0;
};

Outcome run_parser(json::basic_parser<Handler>& parser, std::string_view text) {
    Outcome outcome;
    outcome.used = parser.write_some(false, text.data(), text.size(), outcome.error);
    if (!outcome.error && outcome.used < text.size()) outcome.error = json::error::extra_data;
    return outcome;
}

Error syntax_error(std::string_view text, const Outcome& outcome) {
    if (trimmed(text).empty()) {
        return {.code = Code::InvalidArgument,
                .message = "missing request body: a JSON object is expected"};
    }
    if (!is_utf8(text)) {
        return {.code = Code::InvalidArgument, .message = "the body is not valid UTF-8"};
    }
    return {.code = Code::InvalidArgument,
            .message = format("the body is not valid JSON: {} at byte {}", outcome.error.message(),
                              outcome.used)};
}

std::string describe(const Scalar& value) {
    struct Visitor {
        std::string operator()(std::nullptr_t) const { return "null"; }
        std::string operator()(bool flag) const { return flag ? "true" : "false"; }
        std::string operator()(std::int64_t number) const { return std::to_string(number); }
        std::string operator()(double number) const { return format("{}", number); }
        std::string operator()(const std::string& text) const {
            return text.size() <= 60 ? format("\"{}\"", text) : "a string";
        }
        std::string operator()(List) const { return "a list"; }
        std::string operator()(Object) const { return "an object"; }
    };
    return std::visit(Visitor{}, value);
}

}  // namespace

Result<Body> read_body(std::string_view text, const BodyRules& rules) {
    json::parse_options options;
    options.max_depth = kEmbedDepthMax;
    std::string repaired;
    for (const bool last : {false, true}) {
        json::basic_parser<Handler> parser(options);
        Handler& handler = parser.handler();
        handler.rules = &rules;
        const Outcome outcome = run_parser(parser, text);
        if (!outcome.error) return std::move(handler.body);
        if (handler.problem) return fail(std::move(*handler.problem));
        // The parser has no word of its own for every kind of lone surrogate: repair and see.
        if (!last) repaired = repair_surrogates(text);
        if (last || repaired == text) return fail(syntax_error(text, outcome));
        text = repaired;
    }
    return fail(Code::Internal, "unreachable");
}

Error bad_member(std::string_view name, std::string message) {
    return {
        .code = Code::InvalidArgument, .message = std::move(message), .param = std::string(name)};
}

Error wrong_member(std::string_view name, std::string_view expected, const Scalar& found) {
    return bad_member(name, format("{} must be {}, not {}", name, expected, describe(found)));
}

Result<void> Body::require_inputs(std::string_view name) const {
    if (shape == Shape::Absent) {
        return fail(
            bad_member(name, format("{} is required: a string, a list of strings, a list of "
                                    "token ids or a list of such lists",
                                    name)));
    }
    if (inputs.empty()) {
        Error error = bad_member(name, format("{} must not be an empty list", name));
        error.reason = "empty";
        return fail(std::move(error));
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const auto* text = std::get_if<std::string>(&inputs[i]);
        if (text != nullptr ? !text->empty() : !std::get<TokenIds>(inputs[i]).empty()) continue;
        const std::string at = shape == Shape::Text ? std::string(name) : format("{}[{}]", name, i);
        return fail(bad_member(at, format("{} must not be {}", at,
                                          text != nullptr ? "an empty string" : "an empty list")));
    }
    return {};
}

const Scalar* Body::find(std::string_view name) const {
    const Scalar* found = nullptr;
    for (const auto& [member, value] : members) {
        if (member == name) found = &value;
    }
    return found != nullptr && !std::holds_alternative<std::nullptr_t>(*found) ? found : nullptr;
}

Result<std::string> Body::text(std::string_view name) const {
    const Scalar* value = find(name);
    if (value == nullptr) return std::string();
    const auto* text = std::get_if<std::string>(value);
    if (text == nullptr) return fail(wrong_member(name, "a string", *value));
    return *text;
}

Result<bool> Body::flag(std::string_view name, bool otherwise) const {
    const Scalar* value = find(name);
    if (value == nullptr) return otherwise;
    const auto* flag = std::get_if<bool>(value);
    if (flag == nullptr) return fail(wrong_member(name, "true or false", *value));
    return *flag;
}

Result<std::optional<std::size_t>> Body::count(std::string_view name, std::size_t least) const {
    const Scalar* value = find(name);
    if (value == nullptr) return std::optional<std::size_t>();
    const auto* number = std::get_if<std::int64_t>(value);
    if (number == nullptr || *number < static_cast<std::int64_t>(least) || *number > kTokenIdMax) {
        return fail(wrong_member(name, format("a whole number from {}", least), *value));
    }
    return std::optional(static_cast<std::size_t>(*number));
}

}  // namespace hearth::api
