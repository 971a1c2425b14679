#include "fetch/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/format.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kTick{100};
constexpr long kIdleConnectionsMax = 64;

std::unexpected<Error> was_stopped() {
    return failed(Failure::Stopped, "the download was stopped");
}

bool is_worth_another_try(const Result<Document>& document) {
    if (!document) return failure_of(document.error()) == Failure::Unreachable;
    return document->head.status >= 400 &&
           failure_of(refused(document->head, "").error()) == Failure::Unreachable;
}

}  // namespace

struct Client::Impl {
    CURLM* multi = nullptr;
    std::vector<HttpGet*> active;
    std::vector<HttpGet*> ended;  // not yet handed to the caller
    std::minstd_rand random{std::random_device{}()};

    void remove(HttpGet& get) {
        if (std::erase(active, &get) > 0) curl_multi_remove_handle(multi, get.easy_handle());
    }
};

Client::Client(ClientOptions options)
    : options_(std::move(options)), impl_(std::make_unique<Impl>()) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    CHECK(ready == CURLE_OK);
    impl_->multi = curl_multi_init();
    CHECK(impl_->multi != nullptr);
    curl_multi_setopt(impl_->multi, CURLMOPT_MAXCONNECTS, kIdleConnectionsMax);
}

Client::~Client() {
    CHECK(impl_->active.empty());
    curl_multi_cleanup(impl_->multi);
}

void Client::start(HttpGet& get) {
    CHECK(curl_multi_add_handle(impl_->multi, get.easy_handle()) == CURLM_OK);
    impl_->active.push_back(&get);
}

void Client::cancel(HttpGet& get) {
    impl_->remove(get);
    std::erase(impl_->ended, &get);
}

std::vector<HttpGet*> Client::run(std::chrono::milliseconds time) {
    move_on(time);
    return std::exchange(impl_->ended, {});
}

void Client::move_on(std::chrono::milliseconds time) {
    int running = 0;
    CHECK(curl_multi_perform(impl_->multi, &running) == CURLM_OK);
    const auto wait = std::clamp(time, std::chrono::milliseconds(0), kTick);
    curl_multi_poll(impl_->multi, nullptr, 0, static_cast<int>(wait.count()), nullptr);
    CHECK(curl_multi_perform(impl_->multi, &running) == CURLM_OK);
    int queued = 0;
    while (const CURLMsg* message = curl_multi_info_read(impl_->multi, &queued)) {
        if (message->msg != CURLMSG_DONE) continue;
        const CURLcode code = message->data.result;
        char* owner = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
        HttpGet& get = *reinterpret_cast<HttpGet*>(owner);
        impl_->remove(get);
        if (get.settle(code)) {
            start(get);
        } else {
            impl_->ended.push_back(&get);
        }
    }
    give_up_stalled();
}

void Client::give_up_stalled() {
    const auto oldest = Clock::now() - options_.stall_time;
    for (HttpGet* get : std::vector(impl_->active)) {
        if (get->last_byte_at() > oldest) continue;
        impl_->remove(*get);
        get->outcome_ =
            failed(Failure::Unreachable, format("{} sent nothing for {} seconds", get->url_.host,
                                                options_.stall_time.count() / 1000));
        impl_->ended.push_back(get);
    }
}

Result<Document> Client::get_document(const HttpGet::Request& request, std::size_t bytes_max) {
    for (unsigned retry = 1;; ++retry) {
        Result<Document> document = try_document(request, bytes_max);
        if (retry > options_.document_retries_max || !is_worth_another_try(document)) {
            return document;
        }
        std::chrono::milliseconds wait = pause_before(retry);
        if (document && document->head.retry_after) {
            wait = std::max<std::chrono::milliseconds>(wait, *document->head.retry_after);
        }
        TRY_VOID(pause(wait));
    }
}

Result<Document> Client::try_document(const HttpGet::Request& request, std::size_t bytes_max) {
    Document document;
    HttpGet::Receiver receiver{
        .on_head = {}, .on_bytes = [&](std::string_view bytes) -> Result<void> {
            if (bytes.size() > bytes_max - document.text.size()) {
                return failed(
                    Failure::BadRegistry,
                    format("the answer to {} is longer than {} bytes", request.url, bytes_max));
            }
            document.text += bytes;
            return {};
        }};
    TRY(const auto get, HttpGet::make(request, std::move(receiver), options_.insecure));
    TRY_VOID(finish(*get, options_.document_time));
    document.head = get->head();
    if (document.text.empty()) document.text = get->document();
    return document;
}

Result<void> Client::finish(HttpGet& get, std::chrono::milliseconds limit) {
    const auto end = Clock::now() + limit;
    start(get);
    while (true) {
        // Others may be under way, and end: their turn comes with the next run().
        move_on(kTick);
        if (std::erase(impl_->ended, &get) > 0) return get.outcome();
        if (options_.stopped()) {
            cancel(get);
            return was_stopped();
        }
        if (Clock::now() > end) {
            cancel(get);
            return failed(Failure::Unreachable, format("{} takes longer than {} seconds",
                                                       get.url_.host, limit.count() / 1000));
        }
    }
}

Result<void> Client::pause(std::chrono::milliseconds time) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
        if (options_.stopped()) return was_stopped();
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
        move_on(left);
    }
    return {};
}

std::chrono::milliseconds Client::pause_before(unsigned retry) {
    std::chrono::milliseconds pause = options_.pause_first;
    for (unsigned i = 1; i < retry && pause < options_.pause_max; ++i) pause *= 2;
    pause = std::min(pause, options_.pause_max);
    std::uniform_int_distribution<std::int64_t> jitter(pause.count() / 2, pause.count() * 3 / 2);
    return std::chrono::milliseconds(jitter(impl_->random));
}

}  // namespace hearth::fetch
