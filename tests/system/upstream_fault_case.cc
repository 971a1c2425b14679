#include "upstream_fault_case.h"

#include <algorithm>

#include "base/format.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

// The limits of a call. A sanitizer's tenfold work must not look like a server's silence.
constexpr int kTimes = kSanitized ? 4 : 1;
constexpr int kSilenceMs = 600 * kTimes;
constexpr int kTotalMs = 1000 * kTimes;  // of answers that never end
// Of those that are silent; a head that comes byte by byte takes longer.
constexpr int kSlowTotalMs = kSanitized ? 6000 : 4000;
constexpr int kConnectMs = 300 * kTimes;

constexpr Fault kInEvents[] = {Fault::Reset,  Fault::Stall,      Fault::Half,  Fault::Malformed,
                               Fault::Closed, Fault::ErrorIn200, Fault::Loris, Fault::Endless,
                               Fault::Silent, Fault::Big};
constexpr Fault kBeforeEvents[] = {Fault::WrongType,     Fault::NoHead,      Fault::HeadStall,
                                   Fault::HeadHalf,      Fault::HeadLoris,   Fault::HeadEndless,
                                   Fault::HeadMalformed, Fault::Status401,   Fault::Status429,
                                   Fault::Status500,     Fault::Status503,   Fault::Status529,
                                   Fault::Refuse,        Fault::ConnectStall};

bool is_in_events(Fault fault) { return fault < Fault::WrongType; }

bool is_slow(Fault fault) {
    return fault == Fault::Stall || fault == Fault::Loris || fault == Fault::HeadStall ||
           fault == Fault::HeadLoris;
}

// 100 MB are sent where it makes a difference, not at every event; nor is every event tried where
// each costs ten times the work.
bool is_worth_it(const UpstreamWire& wire, Fault fault, std::size_t index) {
    if (fault != Fault::Big && !kSanitized) return true;
    return index == 0 || index == wire.first + 1 || index == wire.events.size();
}

class Cases {
  public:
    void add(FaultCase one) {
        static std::size_t count = 0;
        one.number = ++count;
        one.has_another = false;
        cases_.push_back(one);
        if (one.stage() != FaultCase::Stage::Nothing) return;
        one.number = ++count;
        one.has_another = true;
        cases_.push_back(one);
    }
    void add_all(const UpstreamWire& wire, const CallerView& caller, bool streams) {
        // An answer of known length ends with its last byte.
        const std::size_t places = wire.events.size() + (wire.streams() ? 1 : 0);
        for (const Fault fault : kInEvents) {
            for (std::size_t index = 0; index < places; ++index) {
                if (!is_worth_it(wire, fault, index)) continue;
                add({.wire = &wire,
                     .caller = &caller,
                     .streams = streams,
                     .fault = fault,
                     .index = index});
            }
        }
        for (const Fault fault : kBeforeEvents) {
            add({.wire = &wire, .caller = &caller, .streams = streams, .fault = fault});
        }
        for (const Fault fault : {Fault::Status429, Fault::Status500, Fault::Status503}) {
            add({.wire = &wire,
                 .caller = &caller,
                 .streams = streams,
                 .fault = fault,
                 .retry_after = 7});
        }
    }
    std::vector<FaultCase> take() { return std::move(cases_); }

  private:
    std::vector<FaultCase> cases_;
};

bool is_chat(const UpstreamWire& wire) {
    return std::string_view(wire.path).find("chat") != std::string_view::npos ||
           std::string_view(wire.path) == "/v1/messages";
}

bool passes_through(const FaultCase& one) {
    return std::string_view(one.wire->path) == one.caller->path &&
           one.streams == one.wire->streams();
}

Error upstream_is_bad(std::string message, std::string reason = {}) {
    return {.code = Code::BadUpstream, .message = std::move(message), .reason = std::move(reason)};
}
Error upstream_is_gone(std::string message, std::string reason = {}) {
    return {.code = Code::Unavailable, .message = std::move(message), .reason = std::move(reason)};
}
Error out_of_time() {
    return {.code = Code::DeadlineExceeded,
            .message = "took longer than allowed",
            .reason = "total_timeout"};
}

Error silence_error(const FaultCase& one) {
    if (one.stage() == FaultCase::Stage::Nothing) {
        return upstream_is_bad(format("{} sent no token within {} ms", one.backend(), kSilenceMs),
                               "first_token_timeout");
    }
    return upstream_is_bad(
        format("{} sent nothing for {} ms in the middle of its answer", one.backend(), kSilenceMs),
        "idle_timeout");
}

Error status_error(Fault fault) {
    switch (fault) {
        case Fault::Status401:
            return upstream_is_bad(
                "the upstream refuses the credentials it was given (status 401); whoever runs this "
                "server can put that right",
                "upstream_auth");
        case Fault::Status429:
            return {.code = Code::RateLimited,
                    .message = "the upstream answered with status 429: not now"};
        case Fault::Status500:
            return upstream_is_bad("the upstream answered with status 500: not now");
        case Fault::Status503:
            return upstream_is_gone("the upstream answered with status 503: not now");
        default: break;
    }
    return {.code = Code::Overloaded, .message = "the upstream answered with status 529: not now"};
}

Error head_error(const FaultCase& one) {
    switch (one.fault) {
        case Fault::WrongType:
            return upstream_is_bad(
                one.backend() + " answered with text/html, which is no answer of its kind",
                "upstream_content_type");
        case Fault::NoHead:
            return upstream_is_gone(
                "the server closed the connection, or was lost, before it answered",
                "sent_no_byte");
        case Fault::HeadStall:
        case Fault::HeadLoris:
            return upstream_is_gone(
                format("the server did not begin to answer within {} ms", kSilenceMs),
                "header_timeout");
        case Fault::HeadHalf:
            return upstream_is_bad(
                "malformed reply: the server closed the connection inside the reply");
        case Fault::HeadEndless: return upstream_is_bad("malformed reply: too many header fields");
        case Fault::HeadMalformed:
            return upstream_is_bad("malformed reply: the status line is malformed");
        case Fault::Refuse:
            return upstream_is_gone(one.backend() + ": cannot connect: Connection refused",
                                    "connect_failed");
        case Fault::ConnectStall: return upstream_is_gone("", "connect_timeout");
        default: return status_error(one.fault);
    }
}

Error stream_error(const FaultCase& one) {
    switch (one.fault) {
        case Fault::Reset: return upstream_is_bad("the connection broke inside the reply");
        case Fault::Stall:
        case Fault::Loris: return silence_error(one);
        case Fault::Half:
        case Fault::Closed:
            return upstream_is_bad("the upstream's stream ended before the answer did",
                                   "stream_cut");
        case Fault::Malformed: return upstream_is_bad("the upstream's answer is no JSON object");
        case Fault::ErrorIn200: return upstream_is_bad("the upstream failed: boom");
        case Fault::Big:
            return upstream_is_bad(format("{} of the stream is over 16777216 bytes",
                                          *one.wire->kind == 'l' ? "a line" : "an event"),
                                   "event_too_large");
        case Fault::Endless:
        case Fault::Silent: return out_of_time();
        default: return head_error(one);
    }
}

// Of an answer that is no stream.
Error whole_error(const FaultCase& one) {
    const bool is_text = is_chat(*one.wire);
    switch (one.fault) {
        case Fault::Reset: return upstream_is_bad("the connection broke inside the reply");
        case Fault::Half:
        case Fault::Closed:
            return upstream_is_bad(
                "malformed reply: the server closed the connection inside the reply");
        case Fault::Loris:
        case Fault::Endless:
        case Fault::Silent: return out_of_time();
        case Fault::Stall:
            if (one.index > 0) {
                return upstream_is_bad(
                    format("the server paused for more than {} ms inside its answer", kSilenceMs),
                    "idle_timeout");
            }
            // Nothing of a text that is no stream comes before it is whole.
            if (is_text) return out_of_time();
            return upstream_is_bad(
                format("the server sent a head, but no body within {} ms", kSilenceMs),
                "first_byte_timeout");
        case Fault::HeadStall:
        case Fault::HeadLoris: return is_text ? out_of_time() : head_error(one);
        case Fault::Malformed: return upstream_is_bad("", is_text ? "upstream_malformed" : "*");
        case Fault::ErrorIn200:
            return is_text ? upstream_is_gone("the upstream answered with status 502: boom")
                           : upstream_is_bad("the upstream failed: boom");
        case Fault::Big:
            return is_text ? upstream_is_bad("the upstream's answer is over 67108864 bytes",
                                             "answer_too_large")
                           : upstream_is_bad("", "*");
        case Fault::WrongType: return is_text ? head_error(one) : upstream_is_bad("", "*");
        default: return head_error(one);
    }
}

}  // namespace

std::string FaultCase::backend() const {
    const std::string kind = wire->kind;
    if (fault == Fault::Refuse) return kind + "-dead";
    if (fault == Fault::ConnectStall) return kind + "-full";
    // Of a whole answer each byte is a piece: only the whole time ends it.
    const bool is_endless = fault == Fault::Endless || fault == Fault::Silent ||
                            (fault == Fault::Loris && !wire->streams());
    if (is_endless) return kind + "-total";
    if (is_slow(fault)) return kind + "-short";
    return retry_after ? format("{}-ra{}", kind, number) : kind;
}

std::string FaultCase::model() const {
    std::string name = format("{}/{}", backend(), name_of(fault));
    if (is_in_events(fault)) name += format(".{}", index);
    if (retry_after) name += format("@{}", *retry_after);
    return has_another ? name + ".f" : name;
}

std::string FaultCase::name() const {
    return format("{} for {}{}: {}", wire->name, caller->name, streams ? "" : " (whole)", model());
}

FaultCase::Stage FaultCase::stage() const {
    if (!is_in_events(fault)) return Stage::Nothing;
    if (wire->streams() && index >= wire->events.size()) return Stage::Whole;
    // An endless stream of content begins the answer itself.
    if (wire->streams() && fault == Fault::Endless) return Stage::Part;
    return index > wire->first ? Stage::Part : Stage::Nothing;
}

std::vector<FaultCase> stream_cases() {
    Cases cases;
    for (const UpstreamWire& wire : upstream_wires()) {
        if (!wire.streams()) continue;
        for (const CallerView& caller : caller_views()) {
            if (caller.embeds || caller.chat != is_chat(wire)) continue;
            cases.add_all(wire, caller, true);
            // Whoever wants it whole gets it whole or an error, however the server sends it.
            const bool is_other = std::string_view(wire.path) != caller.path;
            if (caller.chat && is_other && caller.words != Words::Responses) {
                cases.add_all(wire, caller, false);
            }
        }
    }
    return cases.take();
}

std::vector<FaultCase> whole_cases() {
    Cases cases;
    for (const UpstreamWire& wire : upstream_wires()) {
        if (wire.streams()) continue;
        const bool makes_vectors = std::string_view(wire.path).find("embed") != std::string::npos;
        for (const CallerView& caller : caller_views()) {
            const bool same = std::string_view(wire.path) == caller.path;
            const bool may_ask =
                makes_vectors && std::string_view(caller.path).find("embed") != std::string::npos;
            if (same || may_ask) cases.add_all(wire, caller, false);
        }
    }
    return cases.take();
}

std::string fault_configuration(const std::vector<FaultCase>& cases, const std::string& upstream,
                                const std::string& full) {
    constexpr std::pair<const char*, const char*> kKinds[] = {
        {"o", "openai"}, {"l", "ollama"}, {"a", "anthropic"}};
    std::string out = "routing: {attempts: 1, find_ollama: false}\nbackends:\n";
    const auto add = [&](std::string_view name, std::string_view kind, std::string_view address,
                         std::string_view limits) {
        out += format(
            "  {}: {{kind: {}, url: \"http://{}\", failures: 1000, concurrency: 1000, "
            "refresh_time: 1h{}}}\n",
            name, kind, address, limits);
    };
    for (const auto& [letter, kind] : kKinds) {
        add(letter, kind, upstream, "");
        add(format("{}-short", letter), kind, upstream,
            format(", header_time: {0}ms, first_token_time: {0}ms, idle_time: {0}ms, "
                   "total_time: {1}ms",
                   kSilenceMs, kSlowTotalMs));
        add(format("{}-total", letter), kind, upstream, format(", total_time: {}ms", kTotalMs));
        add(format("{}-dead", letter), kind, "127.0.0.1:1", "");
        add(format("{}-full", letter), kind, full, format(", connect_time: {}ms", kConnectMs));
        for (const FaultCase& one : cases) {
            if (one.retry_after && *one.wire->kind == *letter) {
                add(one.backend(), kind, upstream, "");
            }
        }
    }
    add("good", "openai", upstream, "");
    out += "fallbacks:\n";
    for (const FaultCase& one : cases) {
        if (one.has_another) out += format("  \"{}\": [good/whole]\n", one.model());
    }
    return out;
}

Error expected_error(const FaultCase& one) {
    Error error = one.wire->streams() ? stream_error(one) : whole_error(one);
    if (one.retry_after) error.retry_after = std::chrono::seconds(*one.retry_after);
    return error;
}

namespace {

std::string first_pieces(const std::vector<std::string>& pieces, std::size_t count) {
    std::string out;
    for (std::size_t i = 0; i < std::min(count, pieces.size()); ++i) out += pieces[i];
    return out;
}

std::string difference(std::string_view what, std::string_view expected, std::string_view found) {
    return format("{}\n--- expected\n{}\n--- found\n{}", what, expected.substr(0, 3000),
                  found.substr(0, 3000));
}

// The message of an error whose words are not ours to foresee.
std::string message_in(const CallerView& caller, std::string_view body) {
    const std::string_view key = caller.words == Words::Ollama ? R"({"error":")" : R"("message":")";
    const std::size_t at = body.find(key);
    if (at == std::string_view::npos) return {};
    const std::string_view rest = body.substr(at + key.size());
    return std::string(rest.substr(0, rest.find('"')));
}

std::string judge_refusal(const FaultCase& one, const Reply& reply, const std::string& body) {
    Error error = expected_error(one);
    if (error.message.empty()) error.message = message_in(*one.caller, body);
    if (error.message.empty()) return difference("no error in the caller's words", "", body);
    if (error.reason == "*") {  // any that says what the server did wrong
        error.reason.clear();
        if (body.find("\"upstream_malformed\"") != std::string::npos) {
            error.reason = "upstream_malformed";
        }
    }
    const int status = error_status(*one.caller, error);
    if (reply.status != status) {
        return difference(format("status {} and not {}", reply.status, status), "", body);
    }
    const std::string expected = error_body(*one.caller, error);
    if (body != expected) return difference("another error", expected, body);
    const std::string wait = reply.field("retry-after");
    const bool is_temporary = status == 429 || status == 503 || status == 529;
    const std::string right = one.retry_after ? format("{}", *one.retry_after)
                              : is_temporary  ? "1"
                                              : "";
    // What is left of a pause is less with every second.
    return wait == right ? "" : format("Retry-After is '{}' and not '{}'", wait, right);
}

// A stream that has begun: all of what came, for as often as it came, then the error.
std::string judge_broken(const FaultCase& one, std::string_view body) {
    for (const char* ending : one.caller->endings) {
        if (body.find(ending) != std::string_view::npos) return difference("a fake end", "", body);
    }
    if (one.caller->words == Words::Responses) {
        const bool told = body.find("event: error\n") != std::string_view::npos &&
                          body.find("event: response.failed\n") != std::string_view::npos;
        return told ? "" : difference("no error event", "", body);
    }
    const auto pieces = caller_pieces(*one.wire, *one.caller, one.model());
    std::string begun = first_pieces(pieces, one.index);
    std::string again;
    if (one.fault == Fault::Endless) {
        again = pieces[one.wire->first + 1];
        // Then it is the first to say something, with whatever the dialect puts before that.
        if (one.index <= one.wire->first) begun = std::string(body.substr(0, body.find(again)));
    }
    if (one.fault == Fault::Silent && passes_through(one)) again = one.wire->silent;
    const std::string end = error_event(*one.caller, expected_error(one));
    if (!body.starts_with(begun)) return difference("another beginning", begun + end, body);
    std::string_view rest = body.substr(begun.size());
    while (!again.empty() && rest.starts_with(again)) rest.remove_prefix(again.size());
    return settled(rest) == end ? "" : difference("another end", begun + end, body);
}

std::string judge_complete(const FaultCase& one, const UpstreamWire& wire, const Reply& reply,
                           const std::string& body) {
    if (reply.status != 200) return difference(format("status {}", reply.status), "", body);
    if (one.caller->words == Words::Responses) {
        return body.find("response.completed") != std::string::npos
                   ? ""
                   : difference("no end", "", body);
    }
    const bool embeds = one.caller->embeds;
    if (embeds) {
        return body.find("0.6") != std::string::npos || body.find("0.25") != std::string::npos
                   ? ""
                   : difference("no vectors", "", body);
    }
    std::string expected;
    if (one.streams) {
        const auto pieces = caller_pieces(wire, *one.caller, one.model());
        expected = first_pieces(pieces, pieces.size());
    } else if (std::string_view(wire.path) == one.caller->path) {
        const auto& whole = upstream_wire("openai chat, whole").events;
        expected = first_pieces(whole, whole.size());
    } else {
        expected = caller_whole(*one.caller, one.model());
    }
    // What is passed through is the server's, byte for byte.
    if (std::string_view(wire.path) == one.caller->path && reply.body != expected) {
        return difference("another answer", expected, reply.body);
    }
    return body == settled(expected) ? "" : difference("another answer", settled(expected), body);
}

}  // namespace

std::string judge(const FaultCase& one, const Reply& reply) {
    const std::string body = settled(reply.body);
    if (one.has_another) {
        const bool chat = one.caller->chat;
        const UpstreamWire& good = upstream_wire(chat ? "openai chat" : "openai completions");
        return judge_complete(one, good, reply, body);
    }
    if (one.stage() == FaultCase::Stage::Whole) return judge_complete(one, *one.wire, reply, body);
    if (one.stage() == FaultCase::Stage::Nothing || !one.streams) {
        return judge_refusal(one, reply, body);
    }
    if (reply.field("content-type") != one.caller->content_type) return "another content type";
    if (passes_through(one)) return judge_broken(one, reply.body);
    return judge_broken(one, body);
}

}  // namespace hearth::system_test
