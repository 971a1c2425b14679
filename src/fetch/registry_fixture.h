#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_safety.h"
#include "http/server.h"
#include "models/manifest.h"
#include "runtime/shard.h"

// For tests only: a registry of models and a hub on a free port of the loopback address.
namespace hearth::fetch::testing {

// What the server does wrong. Counts are used up, answer by answer.
struct Faults {
    int failures = 0;  // so many requests, whatever for, are answered with `failure_status`
    int failure_status = 500;
    int drops = 0;   // so many blob answers end after `cut_after` bytes
    int stalls = 0;  // so many stay silent after `cut_after` bytes
    std::uint64_t cut_after = 1000;
    int refused_signatures = 0;   // so many blob answers are a 403, as of an expired signed address
    bool wrong_bytes = false;     // the last byte of each blob is another one
    bool no_ranges = false;       // 200 and the whole blob, whatever was asked for
    bool shifted_ranges = false;  // Content-Range of other bytes than the ones asked for
    bool needs_token = false;     // 401 with a challenge; the token is "anonymous"
    bool no_tokens = false;       // ...but the realm refuses it
    int redirects = 0;            // before each blob's bytes
    std::string redirect_to;      // instead: every blob is said to be there
    std::uint64_t bytes_per_second = 0;  // of each blob answer; 0: as fast as it goes
    int gather = 0;  // blob answers wait until so many are asked for at a time (at most 20 seconds)
    int hub_route_status = 0;     // answered by the hub's registry route instead of a manifest
    std::size_t hub_page = 1000;  // files of one page of the hub's list
};

// What a client asked for.
struct Seen {
    std::string path;
    std::string range;          // empty: none
    std::string authorization;  // empty: none
};

// Thread-safe. Serves until it is destroyed.
class TestRegistry {
  public:
    explicit TestRegistry(Faults faults = {});
    ~TestRegistry();
    TestRegistry(const TestRegistry&) = delete;
    TestRegistry& operator=(const TestRegistry&) = delete;

    void set(Faults faults);

    // "http://127.0.0.1:PORT", for HF_ENDPOINT.
    std::string url() const { return "http://" + address_; }
    // What a pull is told: "http://127.0.0.1:PORT/NAMESPACE/NAME:TAG".
    std::string name(std::string_view model) const { return url() + "/" + std::string(model); }

    // "NAMESPACE/NAME:TAG" made of one weights layer with these bytes, a template and a config.
    // Returns the digest of the weights.
    models::Digest add_model(std::string_view model, std::string weights);
    // A manifest as given, right or wrong.
    void add_manifest(std::string_view model, std::string text);
    models::Layer add_blob(std::string_view media_type, std::string bytes);
    // "ORG/REPO": a file of the hub, in large file storage.
    void add_hub_file(std::string_view repository, std::string_view path, std::string bytes);

    std::vector<Seen> requests() const;
    // Those for bytes of blobs, redirections included.
    std::vector<Seen> blob_requests() const;
    int most_at_a_time() const;

  private:
    struct Range {
        std::uint64_t first = 0;
        std::uint64_t size = 0;
        bool partial = false;
    };
    // An answer of a blob under way.
    struct Visit {
        explicit Visit(TestRegistry& owner) : registry(owner) { registry.enter(); }
        ~Visit() { registry.leave(); }
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;
        TestRegistry& registry;
    };
    struct HubFile {
        std::string path;
        models::Digest digest;
    };

    Awaitable<void> answer(http::Exchange& exchange);
    Awaitable<void> answer_blob(http::Exchange& exchange, std::string digest);
    Awaitable<void> send_bytes(http::Exchange& exchange, std::string bytes, Range range);
    Awaitable<void> send_slowly(http::Exchange& exchange, http::Response head, std::string bytes);
    Awaitable<void> wait_for_others();

    std::optional<http::Response> refuse(const http::Request& request) EXCLUDES(mutex_);
    std::optional<http::Response> redirect(const std::string& path, const std::string& digest)
        EXCLUDES(mutex_);
    http::Response answer_hub(const http::Request& request) EXCLUDES(mutex_);
    http::Response list_hub(const http::Request& request, const std::string& repository)
        EXCLUDES(mutex_);
    void enter() EXCLUDES(mutex_);
    void leave() EXCLUDES(mutex_);
    std::string bytes_of(const std::string& digest) EXCLUDES(mutex_);
    bool use_up(int Faults::* count) EXCLUDES(mutex_);
    Faults faults() const EXCLUDES(mutex_);

    mutable Mutex mutex_;
    Faults faults_ GUARDED_BY(mutex_);
    std::map<std::string, std::string> manifests_ GUARDED_BY(mutex_);  // by path
    std::map<std::string, std::string> blobs_ GUARDED_BY(mutex_);      // by "sha256:..."
    std::map<std::string, std::vector<HubFile>> hub_ GUARDED_BY(mutex_);
    std::vector<Seen> seen_ GUARDED_BY(mutex_);
    int at_a_time_ GUARDED_BY(mutex_) = 0;
    int most_at_a_time_ GUARDED_BY(mutex_) = 0;
    runtime::Shards shards_;
    http::Server server_;
    std::string address_;
};

// `size` bytes that differ from place to place, the same each time.
std::string pattern(std::size_t size, unsigned seed = 1);

}  // namespace hearth::fetch::testing
