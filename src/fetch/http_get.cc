#include "fetch/http_get.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "base/encoding.h"
#include "base/format.h"
#include "fetch/json_text.h"
#include "fetch/outcome.h"
#include "models/model_name.h"

namespace hearth::fetch {
namespace {

constexpr unsigned kRedirectsMax = 5;
constexpr std::size_t kHeadBytesMax = 64 << 10;
constexpr std::size_t kErrorBytesMax = 4 << 10;
constexpr std::size_t kIgnoredBytesMax = 1 << 20;  // of the body of a redirection or an error
constexpr long kBufferBytes = 256L << 10;
constexpr long kConnectMilliseconds = 30'000;
constexpr std::chrono::seconds kRetryAfterMax{60};

bool is_redirection(int status) {
    constexpr std::array kStatuses{301, 302, 303, 307, 308};
    return std::ranges::find(kStatuses, status) != kStatuses.end();
}

bool is_worth_another_try(int status) {
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

std::optional<std::uint64_t> number_in(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

}  // namespace

struct HttpGet::Handle {
    CURL* easy = curl_easy_init();
    curl_slist* fields = nullptr;

    Handle() { CHECK(easy != nullptr); }
    ~Handle() {
        curl_easy_cleanup(easy);
        curl_slist_free_all(fields);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    bool add(const std::string& field) {
        curl_slist* longer = curl_slist_append(fields, field.c_str());
        if (longer != nullptr) fields = longer;
        return longer != nullptr;
    }
    template <class Value>
    bool set(CURLoption option, Value value) {
        return curl_easy_setopt(easy, option, value) == CURLE_OK;
    }

    static std::size_t on_header(char* data, std::size_t one, std::size_t size, void* owner);
    static std::size_t on_bytes(char* data, std::size_t one, std::size_t size, void* owner);
};

std::size_t HttpGet::Handle::on_header(char* data, std::size_t, std::size_t size, void* owner) {
    HttpGet& get = *static_cast<HttpGet*>(owner);
    get.note_byte();
    get.head_bytes_ += size;
    if (get.head_bytes_ > kHeadBytesMax) {
        get.outcome_ = failed(Failure::BadRegistry, format("{} sends a head of more than {} bytes",
                                                           get.url_.host, kHeadBytesMax));
        return 0;
    }
    const std::string_view line(data, size);
    if (!trimmed(line).empty()) {
        get.take_header(line);
        return size;
    }
    return get.end_head() ? size : 0;
}

std::size_t HttpGet::Handle::on_bytes(char* data, std::size_t, std::size_t size, void* owner) {
    HttpGet& get = *static_cast<HttpGet*>(owner);
    get.note_byte();
    return get.take_bytes({data, size}) ? size : 0;
}

std::string describe(const ReplyHead& head, std::string_view document) {
    const std::string text = error_message_in(document);
    return format("{} answered {}{}", head.host, head.status,
                  text.empty() ? "" : " (" + text + ")");
}

std::unexpected<Error> refused(const ReplyHead& head, std::string_view document) {
    std::string message = describe(head, document);
    switch (head.status) {
        case 401:
        case 403: return failed(Failure::Unauthorized, std::move(message));
        case 404:
        case 410: return failed(Failure::NotFound, std::move(message));
        default: break;
    }
    const bool again = is_worth_another_try(head.status);
    return failed(again ? Failure::Unreachable : Failure::BadRegistry, std::move(message));
}

Result<std::unique_ptr<HttpGet>> HttpGet::make(Request request, Receiver receiver, bool insecure) {
    TRY(Url url, Url::parse(request.url));
    if (!may_visit(url, insecure)) {
        return failed(Failure::Invalid,
                      format("{} is not reached over https; allow that with --insecure", url.host));
    }
    std::unique_ptr<HttpGet> get(
        new HttpGet(std::move(request), std::move(receiver), std::move(url), insecure));
    if (!get->prepare()) return failed(Failure::Internal, "libcurl refused to prepare a request");
    return get;
}

HttpGet::HttpGet(Request request, Receiver receiver, Url url, bool insecure)
    : request_(std::move(request)),
      receiver_(std::move(receiver)),
      first_(url),
      url_(std::move(url)),
      insecure_(insecure) {}

HttpGet::~HttpGet() = default;

void* HttpGet::easy_handle() const { return handle_->easy; }

bool HttpGet::prepare() {
    handle_ = std::make_unique<Handle>();
    head_ = {.redirected = redirects_ > 0, .host = url_.host};
    head_ended_ = false;
    head_bytes_ = ignored_bytes_ = 0;
    note_byte();
    const bool own = url_.origin() == first_.origin();
    bool done = handle_->add("User-Agent: hearth-fetch");
    if (!request_.accept.empty()) done &= handle_->add("Accept: " + request_.accept);
    if (own && !request_.bearer.empty()) {
        done &= handle_->add("Authorization: Bearer " + request_.bearer);
    }
    Handle& to = *handle_;
    done = done && to.set(CURLOPT_URL, url_.text.c_str()) &&
           to.set(CURLOPT_PROTOCOLS_STR, url_.scheme.c_str()) &&
           to.set(CURLOPT_HTTPHEADER, to.fields) &&
           to.set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) &&
           to.set(CURLOPT_FOLLOWLOCATION, 0L) && to.set(CURLOPT_NOSIGNAL, 1L) &&
           to.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) && to.set(CURLOPT_TCP_KEEPALIVE, 1L) &&
           to.set(CURLOPT_BUFFERSIZE, kBufferBytes) &&
           to.set(CURLOPT_CONNECTTIMEOUT_MS, kConnectMilliseconds) &&
           to.set(CURLOPT_HEADERFUNCTION, &Handle::on_header) && to.set(CURLOPT_HEADERDATA, this) &&
           to.set(CURLOPT_WRITEFUNCTION, &Handle::on_bytes) && to.set(CURLOPT_WRITEDATA, this) &&
           to.set(CURLOPT_PRIVATE, this);
    if (!request_.range.empty()) done = done && to.set(CURLOPT_RANGE, request_.range.c_str());
    // A proxy of the environment is for the world outside.
    if (url_.is_loopback()) done = done && to.set(CURLOPT_PROXY, "");
    // OpenSSL's own variable, which libcurl does not read by itself.
    if (const char* file = std::getenv("SSL_CERT_FILE"); file != nullptr && *file != '\0') {
        done = done && to.set(CURLOPT_CAINFO, file);
    }
    return done;
}

bool HttpGet::settle(int curl_code) {
    const auto code = static_cast<CURLcode>(curl_code);
    if (!outcome_) return false;
    if (is_redirection(head_.status) && head_ended_ && code == CURLE_OK) return follow();
    if (code == CURLE_OK && !head_ended_) {
        outcome_ = failed(Failure::Unreachable, format("{} sent no answer", url_.host));
    } else if (code != CURLE_OK) {
        const bool certificate = code == CURLE_PEER_FAILED_VERIFICATION;
        outcome_ = failed(certificate ? Failure::BadRegistry : Failure::Unreachable,
                          format("{}: {}", url_.host, curl_easy_strerror(code)));
    }
    return false;
}

bool HttpGet::follow() {
    char* location = nullptr;
    curl_easy_getinfo(handle_->easy, CURLINFO_REDIRECT_URL, &location);
    const auto refuse = [&](std::string_view reason) {
        outcome_ = failed(Failure::BadRegistry, format("{} redirects {}", url_.host, reason));
        return false;
    };
    if (location == nullptr) return refuse("without saying where to");
    if (redirects_ == kRedirectsMax) return refuse("more than 5 times");
    auto next = Url::parse(location);
    if (!next) return refuse("to an address that cannot be used");
    if (!may_follow(url_, *next, insecure_)) return refuse("to an address without TLS");
    ++redirects_;
    url_ = *std::move(next);
    if (prepare()) return true;
    outcome_ = failed(Failure::Internal, "libcurl refused to prepare a request");
    return false;
}

void HttpGet::take_header(std::string_view line) {
    if (line.starts_with("HTTP/")) return take_status_line(line);
    if (head_ended_) return;  // trailers
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string name = models::lower_case(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "content-length") head_.content_length = number_in(value);
    if (name == "content-range") head_.content_range = value;
    if (name == "link") head_.link = value;
    if (name == "www-authenticate" && head_.authenticate.empty()) head_.authenticate = value;
    if (name == "retry-after") {
        const auto seconds = number_in(value);
        if (seconds) {
            head_.retry_after = std::chrono::seconds(
                std::min<std::uint64_t>(*seconds, std::uint64_t(kRetryAfterMax.count())));
        }
    }
}

void HttpGet::take_status_line(std::string_view line) {
    head_ = {.redirected = redirects_ > 0, .host = url_.host};
    head_ended_ = false;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos) return;
    head_.status = static_cast<int>(number_in(line.substr(space + 1, 3)).value_or(0));
}

bool HttpGet::end_head() {
    if (head_ended_ || head_.status < 200) return true;  // trailers; an interim answer
    head_ended_ = true;
    if (!head_.is_success() || !receiver_.on_head) return true;
    outcome_ = receiver_.on_head(head_);
    return outcome_.has_value();
}

bool HttpGet::take_bytes(std::string_view bytes) {
    if (head_.is_success()) {
        outcome_ = receiver_.on_bytes(bytes);
        return outcome_.has_value();
    }
    ignored_bytes_ += bytes.size();
    document_.append(bytes.substr(0, kErrorBytesMax - document_.size()));
    if (ignored_bytes_ <= kIgnoredBytesMax) return true;
    outcome_ = failed(Failure::BadRegistry,
                      format("{} sends {} with an endless body", url_.host, head_.status));
    return false;
}

}  // namespace hearth::fetch
