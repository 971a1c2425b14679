#include "cli/chat.h"

#include <algorithm>
#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/json_fields.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

std::string print_row(std::string_view name, std::string_view value) {
    return format("{:<22}{}\n", format("{}:", name), value);
}

// Rows about what was counted within a time: the prompt or the answer.
std::string print_part(const json::object& last, std::string_view name, std::string_view key) {
    const std::uint64_t count = number_at(last, format("{}_count", key));
    const std::uint64_t time = number_at(last, format("{}_duration", key));
    std::string rows;
    if (count > 0) rows += print_row(format("{} count", name), format("{} token(s)", count));
    if (time > 0) {
        rows += print_row(format("{} duration", name), print_duration(time));
        const double rate = static_cast<double>(count) * 1e9 / static_cast<double>(time);
        rows += print_row(format("{} rate", name), format("{:.2f} tokens/s", rate));
    }
    return rows;
}

// Adds one line of the answer to what was said.
Result<void> take_line(std::string_view line, Said& said, AnswerPrinter& printer) {
    TRY(json::object part, read_answer_line(line));
    const json::object& message = object_at(part, "message");
    const std::string_view thinking = text_at(message, "thinking");
    const std::string_view text = text_at(message, "content");
    printer.thinking(thinking);
    printer.text(text);
    said.thinking += thinking;
    said.text += text;
    if (flag_at(part, "done")) said.last = std::move(part);
    return {};
}

}  // namespace

bool ModelFacts::can(std::string_view capability) const {
    return std::ranges::find(capabilities, capability) != capabilities.end();
}

Result<ModelFacts> describe_model(Connection& connection, const std::string& model) {
    const json::object asked{{"model", repair_utf8(model)}};
    TRY(const json::value reply, connection.call("POST", "/api/show", json::serialize(asked)));
    const json::object* shown = reply.if_object();
    if (shown == nullptr) {
        return fail(Code::BadUpstream, "the server's answer describes no model");
    }
    ModelFacts facts;
    facts.context_length = number_at(object_at(*shown, "details"), "context_length");
    for (const json::value& one : list_at(*shown, "capabilities")) {
        if (one.is_string()) facts.capabilities.emplace_back(one.get_string());
    }
    return facts;
}

Result<void> load_model(Connection& connection, const Conversation& conversation) {
    return connection.stream("/api/chat", conversation.load_request(),
                             [](std::string_view line) -> Result<void> {
                                 TRY(const json::object part, read_answer_line(line));
                                 return {};
                             });
}

Result<Said> ask(Connection& connection, const Conversation& conversation, AnswerPrinter& printer) {
    Said said;
    printer.waiting();
    const auto done =
        connection.stream("/api/chat", conversation.request(true),
                          [&](std::string_view line) { return take_line(line, said, printer); });
    printer.finish();
    if (done) {
        if (!said.last.empty()) return said;
        return fail(Code::BadUpstream, "the server ended its answer before it was whole");
    }
    if (done.error().code != Code::Cancelled) return std::unexpected(done.error());
    said.interrupted = true;
    return said;
}

std::string print_metrics(const json::object& last) {
    std::string rows;
    for (const auto& [name, key] : {std::pair("total duration", "total_duration"),
                                    std::pair("load duration", "load_duration")}) {
        if (const auto time = number_at(last, key)) rows += print_row(name, print_duration(time));
    }
    rows += print_part(last, "prompt eval", "prompt_eval");
    rows += print_part(last, "eval", "eval");
    return rows;
}

std::string print_duration(std::uint64_t nanoseconds) {
    const auto shown = [](double value, std::string_view unit) {
        std::string text = format("{:.3f}", value);
        text.erase(text.find_last_not_of('0') + 1);
        if (text.ends_with('.')) text.pop_back();
        return text.append(unit);
    };
    const auto exact = static_cast<double>(nanoseconds);
    if (nanoseconds < 1'000) return format("{}ns", nanoseconds);
    if (nanoseconds < 1'000'000) return shown(exact / 1e3, "\xC2\xB5s");
    if (nanoseconds < 1'000'000'000) return shown(exact / 1e6, "ms");
    const std::uint64_t minutes = nanoseconds / 60'000'000'000;
    std::string seconds = shown(static_cast<double>(nanoseconds % 60'000'000'000) / 1e9, "s");
    if (minutes == 0) return seconds;
    if (minutes < 60) return format("{}m{}", minutes, seconds);
    return format("{}h{}m{}", minutes / 60, minutes % 60, seconds);
}

}  // namespace hearth::cli
