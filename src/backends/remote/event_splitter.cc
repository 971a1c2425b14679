#include "backends/remote/event_splitter.h"

#include <algorithm>

#include "base/format.h"
#include "http/event_stream.h"

namespace hearth::remote {
namespace {

constexpr std::size_t kEndBytesMax = 4;  // "\r\n\r\n"

// One line end: "\n", "\r\n" or "\r". 0: none here, or one that may go on.
std::size_t line_end(std::string_view text, std::size_t at) {
    if (at >= text.size()) return 0;
    if (text[at] == '\n') return 1;
    if (text[at] != '\r' || at + 1 >= text.size()) return 0;
    return text[at + 1] == '\n' ? 2 : 1;
}

}  // namespace

std::size_t EventSplitter::first_event(std::string_view text, std::size_t searched) const {
    if (framing_ == Framing::Lines) {
        const std::size_t end = text.find('\n', searched);
        return end == std::string_view::npos ? end : end + 1;
    }
    // An end that was cut begins before what is new.
    std::size_t at = searched - std::min(searched, kEndBytesMax - 1);
    while ((at += http::find_line_end(text.substr(at))) < text.size()) {
        const std::size_t first = line_end(text, at);
        if (first == 0) return std::string_view::npos;
        const std::size_t second = line_end(text, at + first);
        if (second > 0) return at + first + second;
        at += first;
    }
    return std::string_view::npos;
}

Result<void> EventSplitter::feed(std::string_view bytes, const Take& take) {
    std::size_t searched = partial_.size();
    std::string joined;
    std::string_view text = bytes;
    if (!partial_.empty()) {
        joined = std::move(partial_.append(bytes));
        partial_.clear();
        text = joined;
    }
    for (;;) {
        const std::size_t size = first_event(text, searched);
        if (size == std::string_view::npos) break;
        TRY_VOID(take(text.substr(0, size)));
        text.remove_prefix(size);
        searched = 0;
    }
    if (text.size() > kEventBytesMax) {
        return fail(
            {.code = Code::BadUpstream,
             .message = format("{} of the stream is over {} bytes",
                               framing_ == Framing::Lines ? "a line" : "an event", kEventBytesMax),
             .reason = "event_too_large"});
    }
    // The beginning of a long event is not copied with each of its pieces.
    if (!joined.empty() && text.size() == joined.size()) {
        partial_ = std::move(joined);
    } else {
        partial_ = text;
    }
    return {};
}

}  // namespace hearth::remote
