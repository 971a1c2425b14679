#include "fetch/outcome.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"

namespace hearth::fetch {
namespace {

constexpr std::size_t kShownBytesMax = 200;

struct Row {
    Failure failure;
    std::string_view word;
    int exit_code;
    Code code;
};

constexpr std::array kRows{
    Row{Failure::Internal, "internal", 1, Code::Internal},
    Row{Failure::Invalid, "invalid", 2, Code::InvalidArgument},
    Row{Failure::NotFound, "not_found", 3, Code::NotFound},
    Row{Failure::Unauthorized, "unauthorized", 4, Code::Forbidden},
    Row{Failure::NoSpace, "no_space", 5, Code::Unavailable},
    Row{Failure::DigestMismatch, "digest_mismatch", 6, Code::BadUpstream},
    Row{Failure::Unreachable, "unreachable", 7, Code::Unavailable},
    Row{Failure::BadRegistry, "bad_registry", 8, Code::BadUpstream},
    Row{Failure::Busy, "busy", 9, Code::Unavailable},
    Row{Failure::Store, "store", 10, Code::Unavailable},
    Row{Failure::Stopped, "stopped", 11, Code::Cancelled},
};

const Row& row_of(Failure failure) {
    const auto* row = std::ranges::find(kRows, failure, &Row::failure);
    CHECK(row != kRows.end());
    return *row;
}

}  // namespace

std::string_view word_of(Failure failure) { return row_of(failure).word; }

int exit_code_of(Failure failure) { return row_of(failure).exit_code; }

std::unexpected<Error> failed(Failure failure, std::string message) {
    const Row& row = row_of(failure);
    return fail(
        Error{.code = row.code, .message = std::move(message), .reason = std::string(row.word)});
}

Failure failure_of(const Error& error) {
    const auto* row = std::ranges::find(kRows, error.reason, &Row::word);
    if (row != kRows.end()) return row->failure;
    // The store's own reasons.
    if (error.reason == "disk_full") return Failure::NoSpace;
    if (error.reason == "blob_busy") return Failure::Busy;
    if (error.code == Code::InvalidArgument) return Failure::Invalid;
    return error.code == Code::Unavailable ? Failure::Store : Failure::Internal;
}

std::string shown(std::string_view text) {
    const bool cut = text.size() > kShownBytesMax;
    std::string line = repair_utf8(text.substr(0, kShownBytesMax));
    std::ranges::replace_if(line, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
    return line + (cut ? "..." : "");
}

}  // namespace hearth::fetch
