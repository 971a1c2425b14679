#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "fetch/url.h"

namespace hearth::fetch {

// What of a reply's head counts here. Text of the server, unchecked.
struct ReplyHead {
    int status = 0;
    std::optional<std::uint64_t> content_length;
    std::string content_range;
    std::string authenticate;  // WWW-Authenticate
    std::string link;
    std::optional<std::chrono::seconds> retry_after;  // at most a minute
    bool redirected = false;  // another address than the one asked for answered
    std::string host;         // which did

    bool is_success() const { return status >= 200 && status < 300; }
};

// Words for a message: "registry.example answered 503 (text of the server)".
std::string describe(const ReplyHead& head, std::string_view document);
// A status other than the one hoped for as an Error: not_found, unauthorized, unreachable (worth
// another try) or bad_registry.
std::unexpected<Error> refused(const ReplyHead& head, std::string_view document);

// One GET over HTTP/1.1 (many connections are the point of parallel ranges), with up to 5
// redirections, each checked by may_follow(). Belongs to one thread and to a Client that runs it.
class HttpGet {
  public:
    struct Request {
        std::string url;
        std::string accept = {};  // empty: anything
        std::string bearer =
            {};                  // a token for the origin of `url`, never sent to another; or empty
        std::string range = {};  // "0-99", or empty: all of it
    };
    // Both are called while the client runs; an Error ends the transfer.
    struct Receiver {
        std::function<Result<void>(const ReplyHead&)> on_head;   // of a 2xx
        std::function<Result<void>(std::string_view)> on_bytes;  // of a 2xx's body, in order
    };

    // Errors: invalid (no address that may be visited).
    static Result<std::unique_ptr<HttpGet>> make(Request request, Receiver receiver, bool insecure);
    ~HttpGet();
    HttpGet(const HttpGet&) = delete;
    HttpGet& operator=(const HttpGet&) = delete;

    // After it has ended: whether an answer came in full, whatever its status. Errors: those of the
    // receiver, unreachable, bad_registry.
    const Result<void>& outcome() const { return outcome_; }
    const ReplyHead& head() const { return head_; }
    // Of an answer that is no 2xx: the first 4 KiB of its body.
    const std::string& document() const { return document_; }
    // When the last byte came or, before the first one, when the attempt began.
    std::chrono::steady_clock::time_point last_byte_at() const { return last_byte_at_; }

  private:
    friend class Client;
    struct Handle;

    HttpGet(Request request, Receiver receiver, Url url, bool insecure);
    bool prepare();  // the handle asks url_ next; false: out of memory
    // curl's verdict over one exchange. True: url_ is another one now, ask that.
    bool settle(int curl_code);
    bool follow();
    void* easy_handle() const;

    void note_byte() { last_byte_at_ = std::chrono::steady_clock::now(); }
    void take_header(std::string_view line);
    void take_status_line(std::string_view line);
    bool end_head();
    bool take_bytes(std::string_view bytes);

    Request request_;
    Receiver receiver_;
    Url first_;
    Url url_;
    bool insecure_;
    unsigned redirects_ = 0;
    std::unique_ptr<Handle> handle_;
    ReplyHead head_;
    bool head_ended_ = false;
    std::size_t head_bytes_ = 0;
    std::size_t ignored_bytes_ = 0;
    std::string document_;
    Result<void> outcome_;
    std::chrono::steady_clock::time_point last_byte_at_;
};

}  // namespace hearth::fetch
