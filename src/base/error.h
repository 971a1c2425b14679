#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace hearth {

// What the caller can do about a failure; each dialect maps these to its own status and body.
enum class Code : std::uint8_t {
    InvalidArgument,   // the request is wrong: change it
    Unauthenticated,   // say who you are
    Forbidden,         // known, but not allowed
    NotFound,          // the named thing does not exist
    TooLarge,          // over a stated size limit
    RateLimited,       // slow down, see retry_after
    BudgetExhausted,   // spending limit reached
    Overloaded,        // queue full: try later, see retry_after
    DeadlineExceeded,  // took longer than allowed
    Cancelled,         // the caller left
    Unsupported,       // understood, but not offered here
    Unavailable,       // the backend is gone or still loading: try later
    BadUpstream,       // the backend answered nonsense
    Internal,          // a fault of ours
};

std::string_view to_string(Code code);

// A failure a caller can act on. `message` is one sentence for people; `reason` is a stable
// machine-readable word ("model_not_found", "context_length_exceeded") and `param` the request
// field at fault ("input[3]"), both empty when there is none.
struct Error {
    Code code = Code::Internal;
    std::string message;
    std::string reason = {};
    std::string param = {};
    std::optional<std::chrono::milliseconds> retry_after = {};
    // Of "context_length_exceeded": how much there was, and how much may be.
    std::size_t amount = 0;
    std::size_t limit = 0;
    // The message without the addresses, hosts and files that it names, which are whoever runs the
    // server's business. Empty: it names none.
    std::string discreet = {};

    // The same error with "context: " before its message.
    Error within(std::string_view context) &&;
    // The same error as those are told who call the server.
    Error told() &&;
};

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
  public:
    using std::expected<T, Error>::expected;
};

inline std::unexpected<Error> fail(Code code, std::string message) {
    return std::unexpected(Error{.code = code, .message = std::move(message)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }
// The commonest failure: what came from outside is wrong.
inline std::unexpected<Error> invalid(std::string message) {
    return fail(Code::InvalidArgument, std::move(message));
}

#define HEARTH_CONCAT_(a, b) a##b
#define HEARTH_CONCAT(a, b) HEARTH_CONCAT_(a, b)
#define HEARTH_TRY_(tmp, leave, declaration, ...)                \
    auto tmp = (__VA_ARGS__);                                    \
    if (!tmp) leave ::std::unexpected(::std::move(tmp).error()); \
    declaration = *::std::move(tmp)

// TRY(auto x, expression): x is the value of the Result, or the function returns its error.
#define TRY(declaration, ...) \
    HEARTH_TRY_(HEARTH_CONCAT(try_, __LINE__), return, declaration, __VA_ARGS__)
// The same inside a coroutine.
#define CO_TRY(declaration, ...) \
    HEARTH_TRY_(HEARTH_CONCAT(try_, __LINE__), co_return, declaration, __VA_ARGS__)
// For Result<void>.
#define TRY_VOID(...)                             \
    if (auto try_void = (__VA_ARGS__); !try_void) \
    return ::std::unexpected(::std::move(try_void).error())
#define CO_TRY_VOID(...)                          \
    if (auto try_void = (__VA_ARGS__); !try_void) \
    co_return ::std::unexpected(::std::move(try_void).error())

[[noreturn]] void check_failed(const char* expression, const char* file, int line);

// A broken invariant of ours stops the process, in every build.
#define CHECK(condition) \
    ((condition) ? void(0) : ::hearth::check_failed(#condition, __FILE__, __LINE__))

}  // namespace hearth
