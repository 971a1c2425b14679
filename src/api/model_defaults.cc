#include "api/model_defaults.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <iterator>

#include "api/json_body.h"
#include "base/format.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

struct Option {
    Member member;
    std::string_view name;  // in the request
};

constexpr double kWholeMax = 2147483647;
constexpr std::size_t kStopsMax = 64;

constexpr std::array kOptions = {
    Option{{"temperature", Kind::Number, 0, 100}, "temperature"},
    Option{{"top_k", Kind::Whole, -1, kWholeMax}, "top_k"},
    Option{{"top_p", Kind::Number, 0, 1}, "top_p"},
    Option{{"min_p", Kind::Number, 0, 1}, "min_p"},
    Option{{"typical_p", Kind::Number, 0, 1}, "typical_p"},
    Option{{"repeat_last_n", Kind::Whole, -1, kWholeMax}, "repeat_last_n"},
    Option{{"repeat_penalty", Kind::Number, 0, 100}, "repeat_penalty"},
    Option{{"presence_penalty", Kind::Number, -10, 10}, "presence_penalty"},
    Option{{"frequency_penalty", Kind::Number, -10, 10}, "frequency_penalty"},
    Option{{"mirostat", Kind::Whole, 0, 2}, "mirostat"},
    Option{{"mirostat_tau", Kind::Number}, "mirostat_tau"},
    Option{{"mirostat_eta", Kind::Number}, "mirostat_eta"},
    Option{{"seed", Kind::Whole}, "seed"},
    Option{{"num_keep", Kind::Whole, -1, kWholeMax}, "n_keep"},
};

// Names the option as the caller wrote it.
Result<void> check_option(const json::object& options, const Member& member) {
    auto checked = check_members(options, std::span(&member, 1));
    if (checked) return {};
    Error error = std::move(checked).error();
    error.message = "options." + error.message;
    error.param = "options." + error.param;
    return fail(std::move(error));
}

void set_default(json::object& body, std::string_view name, const json::value& value) {
    if (find(body, name) == nullptr) body[name] = value;
}

// -1 is "as long as it likes", -2 "until the context is full": here both end with the context.
Result<void> apply_length(const json::object& options, json::object& body) {
    TRY_VOID(check_option(options, {"num_predict", Kind::Whole, -2, kWholeMax}));
    const json::value* length = find(options, "num_predict");
    if (length == nullptr || length->to_number<std::int64_t>() < 0) return {};
    if (inference::tokens_limit_of(body) == nullptr) body["n_predict"] = *length;
    return {};
}

Result<void> apply_stop(const json::object& options, json::object& body) {
    const json::value* stop = find(options, "stop");
    if (stop == nullptr) return {};
    bool sound = stop->is_string();
    if (stop->is_array() && stop->get_array().size() <= kStopsMax) {
        sound = std::ranges::all_of(stop->get_array(),
                                    [](const json::value& word) { return word.is_string(); });
    }
    if (!sound) {
        return fail(must_be("options.stop", format("a list of at most {} strings", kStopsMax)));
    }
    set_default(body, "stop", *stop);
    return {};
}

bool is_system(const json::value& message) {
    return message.is_object() && text_of(message.get_object(), "role") == "system";
}

// Before the caller's messages and behind the system's.
void put_before(json::array& messages, json::array first) {
    const auto place = std::ranges::find_if_not(messages, is_system);
    json::array all(std::make_move_iterator(messages.begin()), std::make_move_iterator(place));
    all.insert(all.end(), std::make_move_iterator(first.begin()),
               std::make_move_iterator(first.end()));
    all.insert(all.end(), std::make_move_iterator(place), std::make_move_iterator(messages.end()));
    messages = std::move(all);
}

json::value parsed(const std::string& text) {
    boost::system::error_code failed;
    json::value value = json::parse(text, failed);
    return failed ? json::value() : value;
}

}  // namespace

Result<void> apply_options(const json::object& options, GenerateRequest& request) {
    for (const Option& option : kOptions) {
        TRY_VOID(check_option(options, option.member));
        const json::value* value = find(options, option.member.name);
        if (value != nullptr) set_default(request.body, option.name, *value);
    }
    TRY_VOID(apply_length(options, request.body));
    TRY_VOID(apply_stop(options, request.body));
    TRY_VOID(check_option(options, {"num_ctx", Kind::Whole, 0, 1 << 24}));
    const json::value* context = find(options, "num_ctx");
    if (context != nullptr && request.context_min == 0) {
        request.context_min = context->to_number<std::size_t>();
    }
    return {};
}

void apply_model_defaults(const models::GgufModel& model, GenerateRequest& request) {
    const json::value options = parsed(model.parameters);
    if (options.is_object()) (void)apply_options(options.get_object(), request);
    json::value* found = request.body.if_contains("messages");
    if (request.operation != Operation::Chat || found == nullptr || !found->is_array()) return;
    json::array& messages = found->get_array();
    if (!model.system.empty() && (messages.empty() || !is_system(messages.front()))) {
        messages.insert(messages.begin(),
                        json::object{{"role", "system"}, {"content", model.system}});
    }
    const json::value first = parsed(model.messages);
    if (first.is_array()) put_before(messages, first.get_array());
}

}  // namespace hearth::api
