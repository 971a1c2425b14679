#include "backends/remote/remote_answer.h"

#include <boost/json.hpp>
#include <ctime>
#include <utility>

#include "backends/remote/verbatim.h"
#include "base/format.h"
#include "telemetry/unique_id.h"

namespace hearth::remote {
namespace {

constexpr std::size_t kRefusalBytesMax = 1 << 20;
constexpr std::size_t kWholeBytesMax = 64 << 20;
// For the end of the HTTP answer after that of the stream, so that the connection can be kept.
constexpr std::chrono::milliseconds kAfterEnd{200};

Stamp next_stamp() { return {.id = unique_id("chatcmpl-"), .created_unix = std::time(nullptr)}; }

// The type alone, without its parameters.
bool has_type(const http::Headers& headers, std::initializer_list<std::string_view> types) {
    const std::string_view field = headers.find("content-type").value_or("");
    const std::string_view type = field.substr(0, field.find_first_of("; "));
    for (const std::string_view one : types) {
        if (http::equal_ignoring_case(type, one)) return true;
    }
    return false;
}

Error wrong_type(const std::string& upstream, const http::Headers& headers) {
    const std::string_view found = headers.find("content-type").value_or("no content type");
    return {.code = Code::BadUpstream,
            .message = format("{} answered with {}, which is no answer of its kind", upstream,
                              found.substr(0, 100)),
            .reason = "upstream_content_type"};
}

}  // namespace

RemoteAnswer::RemoteAnswer(const Upstream& upstream, Upstream::Visit& visit,
                           const inference::GenerateRequest& request,
                           const inference::Original* original, inference::Sink& sink)
    : upstream_(upstream),
      visit_(visit),
      sink_(sink),
      original_(original),
      stream_(upstream.wire().stream(request, next_stamp())),
      splitter_(original != nullptr ? framing_of(original->dialect) : Framing::EventStream) {}

Result<void> RemoteAnswer::head(const http::Reply& reply) {
    status_ = reply.status;
    headers_ = reply.headers;
    if (status_ != 200) return {};
    const bool right = is_stream()
                           ? has_type(headers_, {"text/event-stream", "application/x-ndjson",
                                                 "application/ndjson", "application/json"})
                           : has_type(headers_, {"application/json"});
    if (!right) return fail(wrong_type(upstream_.options().name, headers_));
    heard(false);
    return {};
}

// A stream may be silent before its first token for another time than after it.
void RemoteAnswer::heard(bool said_something) {
    if (!is_stream()) return;
    const UpstreamOptions& options = upstream_.options();
    if (said_something_) return limit_.move(Deadline::after(options.idle_time));
    said_something_ = said_something;
    if (!said_something_) {
        if (limit_.end() != Deadline::Clock::time_point::max()) return;
        limit_.set(Deadline::after(options.first_token_time), "first_token_timeout",
                   format("{} sent no token within {} ms", options.name,
                          options.first_token_time.count()));
        return;
    }
    limit_.set(Deadline::after(options.idle_time), "idle_timeout",
               format("{} sent nothing for {} ms in the middle of its answer", options.name,
                      options.idle_time.count()));
}

Awaitable<Result<void>> RemoteAnswer::body(std::string_view bytes) {
    const bool whole = status_ == 200 && !is_stream();
    if (status_ != 200 || whole) {
        const std::size_t bound = whole ? kWholeBytesMax : kRefusalBytesMax;
        if (kept_.size() + bytes.size() <= bound) {
            kept_ += bytes;
        } else if (whole) {
            co_return fail({.code = Code::BadUpstream,
                            .message = format("the upstream's answer is over {} bytes", bound),
                            .reason = "answer_too_large"});
        }
        co_return Result<void>();
    }
    if (complete()) co_return Result<void>();
    Result<void> passed = co_await pass_on(bytes);
    if (complete()) {
        limit_.set(Deadline::after(kAfterEnd), "after_end",
                   upstream_.options().name + " goes on after the end of its answer");
    }
    co_return passed;
}

Awaitable<Result<void>> RemoteAnswer::pass_on(std::string_view bytes) {
    return original_ != nullptr ? relay_events(bytes) : pass_events(bytes);
}

Awaitable<Result<void>> RemoteAnswer::pass_events(std::string_view bytes) {
    Result<void> fed = stream_->feed(bytes);
    bool any = false;
    for (boost::json::object& event : stream_->take_events()) {
        any = true;
        visit_.answers();
        heard(inference::says_something(event));
        Result<void> pushed = co_await sink_.push(std::move(event));
        sink_failed_ = !pushed;
        if (!pushed) co_return pushed;
    }
    if (!fed) co_return fed;
    if (!any) CO_TRY_VOID(co_await tell_alive());
    // The time that a slow reader took was not the server's, and a line without an event is a sign
    // of life; a piece of a line is none.
    if (any || bytes.contains('\n')) heard(false);
    co_return Result<void>();
}

Awaitable<Result<void>> RemoteAnswer::tell_alive() {
    Result<void> told = co_await sink_.alive();
    sink_failed_ = !told;
    co_return told;
}

Awaitable<Result<void>> RemoteAnswer::relay(std::string_view bytes, bool says) {
    visit_.answers();
    heard(says);
    Result<void> relayed = co_await sink_.relay(bytes, says);
    sink_failed_ = !relayed;
    heard(false);  // the time that a slow reader took was not the server's
    co_return relayed;
}

// Whole events only, and none from one on that tells a failure. The caller's keep-alive is the
// server's own.
Awaitable<Result<void>> RemoteAnswer::relay_events(std::string_view bytes) {
    std::string whole;
    whole.reserve(splitter_.rest().size() + bytes.size());
    bool says = false;
    Result<void> fed = splitter_.feed(bytes, [&](std::string_view event) -> Result<void> {
        if (stream_->complete()) return {};
        if (said_something_ && stream_->is_plain(event)) {
            whole += event;
            return {};
        }
        TRY_VOID(stream_->feed(event));
        for (const boost::json::object& one : stream_->take_events()) {
            says = says || inference::says_something(one);
        }
        if (original_->usage_wish.empty() || !tells_only_usage(event)) whole += event;
        return {};
    });
    if (!whole.empty()) CO_TRY_VOID(co_await relay(whole, says));
    co_return fed;
}

// Half a line is a stream that was cut, as its end says.
Awaitable<Result<void>> RemoteAnswer::relay_last(std::string line) {
    boost::system::error_code failed;
    boost::json::parse(line, failed);
    if (line.empty() || failed) co_return Result<void>();
    co_return co_await relay_events("\n");
}

Awaitable<Result<void>> RemoteAnswer::finish() {
    if (status_ != 200) co_return fail(upstream_.wire().error_of(status_, headers_, kept_));
    if (!is_stream()) {
        CO_TRY(usage_, check_whole(upstream_.wire(), kept_));
        co_return co_await relay(kept_, true);
    }
    // The last line may lack its end.
    if (original_ != nullptr && framing_of(original_->dialect) == Framing::Lines) {
        CO_TRY_VOID(co_await relay_last(std::string(splitter_.rest())));
    }
    Result<void> ended = stream_->finish();
    usage_ = stream_->usage();
    if (!ended || original_ != nullptr) co_return ended;
    for (boost::json::object& event : stream_->take_events()) {
        CO_TRY_VOID(co_await sink_.push(std::move(event)));
    }
    co_return Result<void>();
}

}  // namespace hearth::remote
