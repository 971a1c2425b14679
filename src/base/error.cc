#include "base/error.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace hearth {

std::string_view to_string(Code code) {
    switch (code) {
        case Code::InvalidArgument: return "invalid_argument";
        case Code::Unauthenticated: return "unauthenticated";
        case Code::Forbidden: return "forbidden";
        case Code::NotFound: return "not_found";
        case Code::TooLarge: return "too_large";
        case Code::RateLimited: return "rate_limited";
        case Code::BudgetExhausted: return "budget_exhausted";
        case Code::Overloaded: return "overloaded";
        case Code::DeadlineExceeded: return "deadline_exceeded";
        case Code::Cancelled: return "cancelled";
        case Code::Unsupported: return "unsupported";
        case Code::Unavailable: return "unavailable";
        case Code::BadUpstream: return "bad_upstream";
        case Code::Internal: return "internal";
    }
    return "internal";
}

Error Error::within(std::string_view context) && {
    message = std::string(context) + ": " + message;
    if (!discreet.empty()) discreet = std::string(context) + ": " + discreet;
    return std::move(*this);
}

Error Error::told() && {
    if (!discreet.empty()) message = std::exchange(discreet, {});
    return std::move(*this);
}

void check_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "hearth: broken invariant %s at %s:%d\n", expression, file, line);
    std::abort();
}

}  // namespace hearth
