// Requests, replies and event streams from arbitrary bytes cut at arbitrary points. What is read
// must not depend on where the bytes were cut.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "http/event_stream.h"
#include "http/reply_reader.h"
#include "http/request_reader.h"

namespace {

using namespace hearth;
using namespace hearth::http;

constexpr ReadLimits kLimits{.header_bytes_max = 2048, .body_bytes_max = 100'000};

// Takes pieces of the input; their sizes come from the first bytes of it.
class Cutter {
  public:
    Cutter(std::string_view sizes, std::string_view bytes) : sizes_(sizes), bytes_(bytes) {}
    bool done() const { return bytes_.empty(); }
    // A copy in memory of its own, so that reading past its end is seen.
    std::string next() {
        std::size_t size = bytes_.size();
        if (!sizes_.empty()) {
            size =
                std::min<std::size_t>(size, 1 + std::uint8_t(sizes_[at_++ % sizes_.size()]) % 67);
        }
        std::string piece(bytes_.substr(0, size));
        bytes_.remove_prefix(size);
        return piece;
    }

  private:
    std::string_view sizes_;
    std::string_view bytes_;
    std::size_t at_ = 0;
};

void note(std::string& log, const Request& request) {
    log += to_string(request.method);
    for (const std::string* part :
         {&request.method_name, &request.path, &request.query, &request.target, &request.body}) {
        log += '|';
        log += *part;
    }
    for (const auto [name, value] : request.headers.all()) {
        CHECK(!value.contains('\n') && !value.contains('\r') && !value.contains('\0'));
        log.append("|").append(name).append("=").append(value);
    }
    CHECK(request.path.starts_with('/') || request.path == "*");
    CHECK(!request.path.contains('\0'));
}

const std::function<bool(const Request&)> kAny = [](const Request&) { return true; };

std::string read_requests(Cutter input, bool streamed) {
    ReadLimits limits = kLimits;
    if (streamed) limits.streams_body = &kAny;
    RequestReader reader(limits);
    std::string body;
    std::string log;
    while (!input.done()) {
        const std::string piece = input.next();
        auto step = reader.feed(piece);
        while (step == RequestReader::Step::Done) {
            if (streamed) {
                step = reader.next_piece();
                body += std::exchange(reader.request().body, {});
                if (step != RequestReader::Step::Done) break;
                reader.request().body = std::exchange(body, {});
            }
            note(log, reader.request());
            log += reader.keep_alive() ? "+" : "-";
            step = reader.next();
        }
        CHECK(reader.request().body.size() <= kLimits.body_bytes_max);
        if (step == RequestReader::Step::Bad) {
            CHECK(reader.refusal().status >= 400 && !reader.refusal().message.empty());
            // Which of two limits is passed first may depend on the cut, that there is an error
            // not.
            return log + "bad";
        }
    }
    return log;
}

std::string read_reply(Cutter input, Method method) {
    ReplyReader reader({.header_bytes_max = 2048, .body_bytes_max = 100'000}, method);
    std::string log;
    std::size_t size = 0;
    while (!input.done()) {
        const std::string kept = input.next();
        std::string_view bytes = kept;
        for (;;) {
            std::string_view piece;
            const auto step = reader.next(bytes, piece);
            if (step == ReplyReader::Step::More) break;
            if (step == ReplyReader::Step::Bad) return log + "bad";
            if (step == ReplyReader::Step::Done) return log + "done";
            if (step == ReplyReader::Step::Piece) {
                log += piece;
                CHECK((size += piece.size()) <= 100'000);
            } else {
                log += std::to_string(reader.status());
            }
        }
    }
    return log + (reader.end() == ReplyReader::Step::Done ? "end" : "cut");
}

std::string read_events(Cutter input) {
    EventStreamParser parser(100'000);
    LineParser lines(100'000);
    std::string log;
    std::string line_log;
    while (!input.done()) {
        const std::string piece = input.next();
        (void)parser.feed(piece, [&](const Event& event) -> Result<void> {
            log += event.name + "|" + event.data + "|" + event.id + "\n";
            return {};
        });
        (void)lines.feed(piece, [&](std::string_view line) -> Result<void> {
            line_log.append(line).append("\n");
            return {};
        });
    }
    return log + line_log;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view all(reinterpret_cast<const char*>(data), size);
    if (all.size() < 2) return 0;
    const std::size_t cuts = std::min<std::size_t>(std::uint8_t(all[0]) % 8, all.size() - 1);
    const std::string_view sizes = all.substr(1, cuts);
    const std::string_view bytes = all.substr(1 + cuts);
    switch (std::uint8_t(all[0]) / 8 % 3) {
        case 0: {
            const bool streamed = std::uint8_t(all[0]) >= 128;
            CHECK(read_requests(Cutter(sizes, bytes), streamed) ==
                  read_requests(Cutter({}, bytes), streamed));
            break;
        }
        case 1: {
            const Method method = std::uint8_t(all[0]) >= 128 ? Method::Head : Method::Get;
            CHECK(read_reply(Cutter(sizes, bytes), method) ==
                  read_reply(Cutter({}, bytes), method));
            break;
        }
        case 2: CHECK(read_events(Cutter(sizes, bytes)) == read_events(Cutter({}, bytes))); break;
    }
    return 0;
}
