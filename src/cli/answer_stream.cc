#include "cli/answer_stream.h"

#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/interrupt.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

constexpr std::chrono::milliseconds kTurn{50};  // between two looks for SIGINT
constexpr std::chrono::seconds kCloseTime{5};
constexpr std::size_t kShownMax = 200;  // bytes of an answer that is not understood

// What an error of any dialect says, or nullopt: it is none.
std::optional<std::string> told_error(const json::object& answer) {
    const json::value* error = answer.if_contains("error");
    if (error != nullptr && error->is_object()) error = error->get_object().if_contains("message");
    if (error == nullptr || !error->is_string()) return std::nullopt;
    return std::string(error->get_string());
}

std::string error_text(const http::Reply& reply) {
    boost::system::error_code failed;
    const auto parsed = json::parse(reply.body, failed);
    if (!failed && parsed.is_object()) {
        if (auto told = told_error(parsed.get_object())) return *std::move(told);
    }
    return format("status {}: {}", reply.status, repair_utf8(reply.body.substr(0, kShownMax)));
}

bool has_type(const http::Reply& reply, std::string_view type) {
    return reply.headers.find("content-type").value_or("").starts_with(type);
}

}  // namespace

Result<json::object> read_answer_line(std::string_view line) {
    boost::system::error_code failed;
    json::value parsed = json::parse(line, failed);
    if (failed || !parsed.is_object()) {
        return fail(Code::BadUpstream, format("the server's answer is no JSON object: {}",
                                              repair_utf8(line.substr(0, kShownMax))));
    }
    if (auto told = told_error(parsed.get_object())) {
        return fail(Code::BadUpstream, *std::move(told));
    }
    return std::move(parsed.get_object());
}

Result<http::Reply> accept_reply(Result<http::Reply> reply, const std::string& address) {
    if (!reply && reply.error().code == Code::Unavailable) {
        return fail(Code::Unavailable,
                    format("no server answers at {}; start one with 'hearth serve' "
                           "or name it with --url",
                           address));
    }
    if (reply && reply->status >= 400) return fail(Code::BadUpstream, error_text(*reply));
    return reply;
}

AnswerStream::AnswerStream(boost::asio::io_context& io, std::string address,
                           Connection::OnLine on_line)
    : io_(io), address_(std::move(address)), on_line_(std::move(on_line)), tasks_(io) {}

Result<void> AnswerStream::run(http::Call call, std::chrono::milliseconds time_max) {
    tasks_.spawn("stream", stream_task(std::move(call), Deadline::after(time_max)));
    io_.restart();
    while (tasks_.size() > 0 && !interrupted()) io_.run_one_for(kTurn);
    const bool stopped = tasks_.size() > 0;
    tasks_.cancel_all();
    const Deadline deadline = Deadline::after(kCloseTime);
    while (tasks_.size() > 0 && !deadline.passed()) io_.run_one_for(kTurn);
    if (stopped || !result_) return fail(Code::Cancelled, "interrupted");
    return *std::move(result_);
}

Awaitable<void> AnswerStream::stream_task(http::Call call, Deadline deadline) {
    http::Client client(address_);
    const auto on_head = [this](const http::Reply& head) -> Result<void> {
        status_ = head.status;
        if (status_ >= 400) return {};
        if (has_type(head, "application/x-ndjson")) form_ = Form::Lines;
        if (has_type(head, "text/event-stream")) form_ = Form::Events;
        return {};
    };
    auto reply =
        accept_reply(co_await client.stream(std::move(call), deadline, on_head,
                                            [this](std::string_view piece) { return take(piece); }),
                     address_);
    // The body of an error was collected here.
    if (!reply && status_ >= 400) {
        reply = accept_reply(http::Reply{.status = status_, .headers = {}, .body = whole_}, {});
    }
    result_ = reply ? end() : Result<void>(std::unexpected(reply.error()));
}

Awaitable<Result<void>> AnswerStream::take(std::string_view piece) { co_return feed(piece); }

Result<void> AnswerStream::feed(std::string_view piece) {
    switch (form_) {
        case Form::Whole: whole_ += piece; return {};
        case Form::Lines: return lines_.feed(piece, on_line_);
        case Form::Events: break;
    }
    return events_.feed(piece, [this](const http::Event& event) -> Result<void> {
        return event.data == "[DONE]" ? Result<void>() : on_line_(event.data);
    });
}

Result<void> AnswerStream::end() {
    switch (form_) {
        case Form::Whole: return on_line_(whole_);
        case Form::Lines: return lines_.finish(on_line_);
        case Form::Events: break;
    }
    return {};
}

}  // namespace hearth::cli
