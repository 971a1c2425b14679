#include "fetch/registry_fixture.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/format.h"
#include "runtime/deadline.h"

namespace hearth::fetch::testing {
namespace json = boost::json;
namespace {

using std::chrono::milliseconds;

http::Response json_response(int status, std::string body) {
    return {.status = status,
            .content_type = "application/json",
            .headers = {},
            .body = std::move(body)};
}

std::string header(const http::Request& request, std::string_view name) {
    return std::string(request.headers.find(name).value_or(""));
}

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

// "NAMESPACE/NAME:TAG" to the path of its manifest.
std::string manifest_path(std::string_view model) {
    const std::size_t colon = model.rfind(':');
    return format("/v2/{}/manifests/{}", model.substr(0, colon), model.substr(colon + 1));
}

bool is_hub_list(const std::string& path) { return path.starts_with("/api/models/"); }

std::string value_in(const std::string& query, std::string_view name) {
    const std::size_t at = query.find(std::string(name) + "=");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size() + 1;
    return query.substr(begin, query.find('&', begin) - begin);
}

}  // namespace

TestRegistry::TestRegistry(Faults faults)
    : faults_(std::move(faults)),
      shards_(1),
      server_(shards_, {}, [this](http::Exchange& exchange) { return answer(exchange); }) {
    shards_.start();
    address_ = server_.listen("127.0.0.1:0").value_or("none");
}

TestRegistry::~TestRegistry() { server_.stop(milliseconds(0)); }

void TestRegistry::set(Faults faults) {
    const MutexLock lock(mutex_);
    faults_ = std::move(faults);
}

Faults TestRegistry::faults() const {
    const MutexLock lock(mutex_);
    return faults_;
}

bool TestRegistry::use_up(int Faults::* count) {
    const MutexLock lock(mutex_);
    if (faults_.*count <= 0) return false;
    --(faults_.*count);
    return true;
}

models::Layer TestRegistry::add_blob(std::string_view media_type, std::string bytes) {
    models::Layer layer{.media_type = std::string(media_type),
                        .digest = models::Digest::of(bytes),
                        .size = bytes.size()};
    const MutexLock lock(mutex_);
    blobs_[layer.digest.text()] = std::move(bytes);
    return layer;
}

models::Digest TestRegistry::add_model(std::string_view model, std::string weights) {
    models::Manifest manifest;
    manifest.layers.push_back(add_blob(models::kModelLayer, std::move(weights)));
    manifest.layers.push_back(add_blob(models::kTemplateLayer, "{{ .Prompt }}"));
    manifest.config = add_blob(models::kConfigMediaType, R"({"model_format":"gguf"})");
    add_manifest(model, models::encode_manifest(manifest));
    return manifest.layers.front().digest;
}

void TestRegistry::add_manifest(std::string_view model, std::string text) {
    const MutexLock lock(mutex_);
    manifests_[manifest_path(model)] = std::move(text);
}

void TestRegistry::add_hub_file(std::string_view repository, std::string_view path,
                                std::string bytes) {
    const models::Layer layer = add_blob("", std::move(bytes));
    const MutexLock lock(mutex_);
    hub_[std::string(repository)].push_back({.path = std::string(path), .digest = layer.digest});
}

std::vector<Seen> TestRegistry::requests() const {
    const MutexLock lock(mutex_);
    return seen_;
}

std::vector<Seen> TestRegistry::blob_requests() const {
    std::vector<Seen> all = requests();
    std::erase_if(all, [](const Seen& seen) {
        return !seen.path.contains("/blobs/") && !seen.path.starts_with("/cdn/") &&
               !seen.path.contains("/resolve/");
    });
    return all;
}

int TestRegistry::most_at_a_time() const {
    const MutexLock lock(mutex_);
    return most_at_a_time_;
}

Awaitable<void> TestRegistry::answer(http::Exchange& exchange) {
    const http::Request& request = exchange.request();
    const std::string path = request.path;
    {
        const MutexLock lock(mutex_);
        seen_.push_back({.path = path,
                         .range = header(request, "range"),
                         .authorization = header(request, "authorization")});
    }
    if (auto refusal = refuse(request)) {
        (void)co_await exchange.send(*std::move(refusal));
        co_return;
    }
    const std::size_t digest = path.find("sha256:");
    if (digest != std::string::npos) {
        co_await answer_blob(exchange, path.substr(digest));
        co_return;
    }
    http::Response response = answer_hub(request);
    (void)co_await exchange.send(std::move(response));
}

// Failures, tokens, and the manifest of a model.
std::optional<http::Response> TestRegistry::refuse(const http::Request& request) {
    const Faults now = faults();
    if (use_up(&Faults::failures)) {
        return json_response(now.failure_status, R"({"error":"told to fail"})");
    }
    if (request.path == "/token") {
        return now.no_tokens ? json_response(401, "{}")
                             : json_response(200, R"({"token":"anonymous"})");
    }
    const bool own = request.path.starts_with("/v2/");
    if (own && now.needs_token && header(request, "authorization") != "Bearer anonymous") {
        http::Response response = json_response(401, R"({"errors":[{"message":"who are you"}]})");
        response.headers.add(
            "WWW-Authenticate",
            format(R"(Bearer realm="{}/token",service="test",scope="repository:a/b:pull")", url()));
        return response;
    }
    if (!request.path.contains("/manifests/")) return std::nullopt;
    if (now.hub_route_status != 0) {
        return json_response(now.hub_route_status,
                             R"({"error":"The specified tag is a sharded GGUF."})");
    }
    const MutexLock lock(mutex_);
    const auto manifest = manifests_.find(request.path);
    if (manifest != manifests_.end()) return json_response(200, manifest->second);
    return json_response(404,
                         R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such model"}]})");
}

// /api/models/ORG/REPO/tree/main and /ORG/REPO/resolve/main/PATH.
http::Response TestRegistry::answer_hub(const http::Request& request) {
    const std::string& path = request.path;
    if (is_hub_list(path)) {
        return list_hub(request, path.substr(12, path.find("/tree/main") - 12));
    }
    const std::size_t resolve = path.find("/resolve/main/");
    const MutexLock lock(mutex_);
    if (resolve != std::string::npos) {
        for (const HubFile& file : hub_[path.substr(1, resolve - 1)]) {
            if (file.path != path.substr(resolve + 14)) continue;
            http::Response response = json_response(302, "");
            response.headers.add("Location", "/cdn/1/" + file.digest.text());
            return response;
        }
    }
    return json_response(404, R"({"error":"nothing here"})");
}

http::Response TestRegistry::list_hub(const http::Request& request, const std::string& repository) {
    const MutexLock lock(mutex_);
    const auto found = hub_.find(repository);
    if (found == hub_.end())
        return json_response(401, R"({"error":"Invalid username or password."})");
    const std::size_t begin = number(value_in(request.query, "cursor"));
    const std::size_t end = std::min(begin + faults_.hub_page, found->second.size());
    json::array list;
    for (std::size_t i = begin; i < end; ++i) {
        const HubFile& file = found->second[i];
        const std::size_t size = blobs_[file.digest.text()].size();
        list.push_back({{"type", "file"},
                        {"path", file.path},
                        {"size", size},
                        {"lfs", {{"oid", file.digest.hex()}, {"size", size}}}});
    }
    http::Response response = json_response(200, json::serialize(list));
    if (end < found->second.size()) {
        response.headers.add("Link",
                             format("<{}{}?cursor={}>; rel=\"next\"", url(), request.path, end));
    }
    return response;
}

// /cdn/N/DIGEST is the N-th address a client is sent to.
std::optional<http::Response> TestRegistry::redirect(const std::string& path,
                                                     const std::string& digest) {
    const Faults now = faults();
    const std::uint64_t hop = path.starts_with("/cdn/") ? number(path.substr(5)) : 0;
    std::string to = now.redirect_to;
    if (to.empty() && hop < std::uint64_t(now.redirects))
        to = format("/cdn/{}/{}", hop + 1, digest);
    if (to.empty()) return std::nullopt;
    http::Response response = json_response(307, "");
    response.headers.add("Location", to);
    return response;
}

std::string TestRegistry::bytes_of(const std::string& digest) {
    const MutexLock lock(mutex_);
    const auto blob = blobs_.find(digest);
    std::string bytes = blob != blobs_.end() ? blob->second : "";
    if (faults_.wrong_bytes && !bytes.empty()) bytes.back() = char(bytes.back() ^ 1);
    return bytes;
}

Awaitable<void> TestRegistry::answer_blob(http::Exchange& exchange, std::string digest) {
    const std::string path = exchange.request().path;
    const std::string asked = header(exchange.request(), "range");
    if (auto elsewhere = redirect(path, digest)) {
        (void)co_await exchange.send(*std::move(elsewhere));
        co_return;
    }
    if (use_up(&Faults::refused_signatures)) {
        http::Response expired = json_response(403, "expired");
        (void)co_await exchange.send(std::move(expired));
        co_return;
    }
    std::string bytes = bytes_of(digest);
    Range range{.first = 0, .size = bytes.size()};
    if (asked.starts_with("bytes=") && !faults().no_ranges) {
        const std::size_t dash = asked.find('-');
        range.partial = true;
        range.first = number(std::string_view(asked).substr(6, dash - 6));
        range.size = number(std::string_view(asked).substr(dash + 1)) - range.first + 1;
    }
    const Visit visit(*this);
    co_await wait_for_others();
    co_await send_bytes(exchange, std::move(bytes), range);
}

void TestRegistry::enter() {
    const MutexLock lock(mutex_);
    most_at_a_time_ = std::max(most_at_a_time_, ++at_a_time_);
}

void TestRegistry::leave() {
    const MutexLock lock(mutex_);
    --at_a_time_;
}

Awaitable<void> TestRegistry::wait_for_others() {
    const int wanted = faults().gather;
    const Deadline end = Deadline::after(std::chrono::seconds(20));
    while (most_at_a_time() < wanted && !end.passed()) {
        if (!co_await sleep_until(Deadline::after(milliseconds(1)))) co_return;
    }
}

Awaitable<void> TestRegistry::send_bytes(http::Exchange& exchange, std::string bytes, Range range) {
    const Faults now = faults();
    http::Response response{.status = range.partial ? 206 : 200,
                            .content_type = "application/octet-stream",
                            .headers = {},
                            .body = {}};
    if (range.partial) {
        const std::uint64_t first = range.first + (now.shifted_ranges ? 1 : 0);
        response.headers.add("Content-Range",
                             format("bytes {}-{}/{}", first, first + range.size - 1, bytes.size()));
    }
    std::string piece = bytes.substr(range.first, range.size);
    const bool stalls = use_up(&Faults::stalls);
    if (stalls || use_up(&Faults::drops)) {
        (void)co_await exchange.start(std::move(response));
        (void)co_await exchange.write(std::string_view(piece).substr(0, now.cut_after));
        if (stalls) (void)co_await sleep_until(Deadline::after(std::chrono::minutes(2)));
        co_return;  // not finished: the connection is cut
    }
    if (now.bytes_per_second != 0) {
        co_await send_slowly(exchange, std::move(response), std::move(piece));
        co_return;
    }
    response.body = std::move(piece);
    (void)co_await exchange.send(std::move(response));
}

Awaitable<void> TestRegistry::send_slowly(http::Exchange& exchange, http::Response head,
                                          std::string bytes) {
    constexpr std::uint64_t kPiecesPerSecond = 50;
    const std::size_t size =
        std::max<std::uint64_t>(1, faults().bytes_per_second / kPiecesPerSecond);
    (void)co_await exchange.start(std::move(head));
    for (std::size_t at = 0; at < bytes.size(); at += size) {
        if (!co_await exchange.write(std::string_view(bytes).substr(at, size))) co_return;
        const auto pause = milliseconds(1000) / kPiecesPerSecond;
        if (!co_await sleep_until(Deadline::after(pause))) co_return;
    }
    (void)co_await exchange.finish();
}

std::string pattern(std::size_t size, unsigned seed) {
    std::string bytes(size, '\0');
    std::uint32_t state = seed * 2'654'435'761U + 1;
    for (char& byte : bytes) {
        state = state * 1'664'525U + 1'013'904'223U;
        byte = static_cast<char>(state >> 24);
    }
    return bytes;
}

}  // namespace hearth::fetch::testing
