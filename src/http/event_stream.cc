#include "http/event_stream.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace hearth::http {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

Error oversized(std::string_view what, std::size_t bytes_max) {
    return {.code = Code::BadUpstream,
            .message = format("{} of the stream is over {} bytes", what, bytes_max),
            .reason = "event_too_large"};
}

}  // namespace

// Two searches for one byte each are many times as quick as one for either. In windows, so that
// short lines that all end in the one do not each search the whole text for the other.
std::size_t find_line_end(std::string_view text) {
    constexpr std::size_t kWindow = 512;
    for (std::size_t begin = 0; begin < text.size(); begin += kWindow) {
        const std::string_view window = text.substr(begin, kWindow);
        const std::size_t feed = std::min(window.find('\n'), window.size());
        const std::size_t end = std::min(window.substr(0, feed).find('\r'), feed);
        if (end < window.size()) return begin + end;
    }
    return text.size();
}

void append_event(std::string& out, std::string_view data, std::string_view name) {
    // A line break in a name would end the field: what follows it is left out.
    if (!name.empty()) out.append("event: ").append(name.substr(0, find_line_end(name))) += '\n';
    for (;;) {
        const std::size_t end = find_line_end(data);
        out.append("data: ").append(data.substr(0, end)) += '\n';
        if (end == data.size()) break;
        const bool both = data.substr(end).starts_with("\r\n");
        data.remove_prefix(end + (both ? 2 : 1));
    }
    out += '\n';
}

void append_json_line(std::string& out, std::string_view json) { out.append(json) += '\n'; }

std::optional<std::string_view> only_data(std::string_view event) {
    if (event.starts_with("event:")) {
        const std::size_t end = event.find('\n');
        if (end == std::string_view::npos || event[end - 1] == '\r') return std::nullopt;
        event.remove_prefix(end + 1);
    }
    if (!event.starts_with("data:") || !event.ends_with("\n\n")) return std::nullopt;
    event = event.substr(5, event.size() - 7);
    if (event.contains('\n') || event.contains('\r')) return std::nullopt;
    if (event.starts_with(' ')) event.remove_prefix(1);
    return event;
}

Result<void> EventStreamParser::feed(std::string_view bytes, const OnEvent& on_event) {
    while (!bytes.empty()) {
        if (std::exchange(skip_lf_, false) && bytes.front() == '\n') {
            bytes.remove_prefix(1);
            continue;
        }
        const std::size_t end = find_line_end(bytes);
        if (partial_.size() + event_.data.size() + end > event_bytes_max_) {
            return fail(oversized("an event", event_bytes_max_));
        }
        if (end == bytes.size()) {
            partial_.append(bytes);
            return {};
        }
        skip_lf_ = bytes[end] == '\r';
        if (partial_.empty()) {
            TRY_VOID(line(bytes.substr(0, end), on_event));
        } else {
            partial_.append(bytes.substr(0, end));
            const std::string whole = std::exchange(partial_, {});
            TRY_VOID(line(whole, on_event));
        }
        bytes.remove_prefix(end + 1);
    }
    return {};
}

Result<void> EventStreamParser::line(std::string_view text, const OnEvent& on_event) {
    if (std::exchange(at_start_, false) && text.starts_with(kByteOrderMark)) {
        text.remove_prefix(kByteOrderMark.size());
    }
    if (text.empty()) {
        Event event = std::exchange(event_, {});
        event_.id = event.id;  // it stays until another one comes
        if (!std::exchange(has_data_, false)) return {};
        event.data.pop_back();  // the last line's end
        return on_event(event);
    }
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view field = text.substr(0, colon);
    std::string_view value = text.substr(std::min(colon + 1, text.size()));
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "data") {
        event_.data.append(value) += '\n';
        has_data_ = true;
    } else if (field == "event") {
        event_.name = value;
    } else if (field == "id" && !value.contains('\0')) {
        event_.id = value;
    }
    return {};
}

Result<void> LineParser::feed(std::string_view bytes, const OnLine& on_line) {
    while (!bytes.empty()) {
        const std::size_t end = std::min(bytes.find('\n'), bytes.size());
        if (partial_.size() + end > line_bytes_max_) {
            return fail(oversized("a line", line_bytes_max_));
        }
        partial_.append(bytes.substr(0, end));
        if (end == bytes.size()) return {};
        TRY_VOID(finish(on_line));
        bytes.remove_prefix(end + 1);
    }
    return {};
}

Result<void> LineParser::finish(const OnLine& on_line) {
    const std::string line = std::exchange(partial_, {});
    std::string_view text = line;
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text.empty() ? Result<void>() : on_line(text);
}

}  // namespace hearth::http
