#include "api/status.h"

#include <algorithm>

namespace hearth::api {

int http_status(Code code) {
    switch (code) {
        case Code::InvalidArgument: return 400;
        case Code::Unauthenticated: return 401;
        case Code::Forbidden: return 403;
        case Code::NotFound: return 404;
        case Code::TooLarge: return 413;
        case Code::RateLimited:
        case Code::BudgetExhausted: return 429;
        case Code::Cancelled: return 499;
        case Code::Unsupported: return 501;
        case Code::BadUpstream: return 502;
        case Code::Overloaded:
        case Code::Unavailable: return 503;
        case Code::DeadlineExceeded: return 504;
        case Code::Internal: return 500;
    }
    return 500;
}

std::optional<std::chrono::seconds> retry_after(const Error& error, int status) {
    using namespace std::chrono;
    const bool is_temporary = status == 429 || status == 503;
    // What an upstream that failed said itself is passed on.
    const bool may_be_told = is_temporary || status == 502;
    if (!may_be_told || (!error.retry_after && !is_temporary)) return std::nullopt;
    if (!error.retry_after) return seconds(1);
    return std::max(seconds(1), ceil<seconds>(*error.retry_after));
}

}  // namespace hearth::api
