#include "fetch/pull.h"

#include <optional>
#include <utility>

#include "base/format.h"
#include "fetch/access.h"
#include "fetch/blob_transfer.h"
#include "fetch/challenge.h"
#include "fetch/hub.h"
#include "fetch/outcome.h"
#include "fetch/partial_blob.h"
#include "fetch/registry.h"
#include "fetch/stop.h"
#include "models/store.h"

namespace hearth::fetch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBusyPoll{200};
constexpr std::uint64_t kSpareBytes = std::uint64_t{64} << 20;  // left on the disk
// Replaced layers go; an interrupted download of another model stays for a week.
constexpr std::chrono::hours kUnusedTime{24 * 7};

constexpr std::string_view kHubAdvice =
    "check the name, or set HF_TOKEN when the repository is private or gated";
constexpr std::string_view kRegistryAdvice =
    "check the name and the tag; private models cannot be pulled";

// One pull under way.
class Pull {
  public:
    Pull(const PullOptions& options, ClientOptions client, models::ModelName name, Url server,
         Progress& progress)
        : options_(options),
          name_(std::move(name)),
          progress_(progress),
          store_(options.store),
          client_(std::move(client)),
          access_(client_, std::move(server), name_.is_hub() ? options.hub_token : std::string(),
                  std::string(name_.is_hub() ? kHubAdvice : kRegistryAdvice)) {}

    Result<void> run();

  private:
    Result<Plan> resolve();
    Result<void> check_space(const Plan& plan) const;
    Result<void> fetch(const Wanted& blob);
    Result<std::optional<PartialBlob>> claim(const models::Layer& layer);
    Result<bool> is_there(const models::Layer& layer) const;

    const PullOptions& options_;
    models::ModelName name_;
    Progress& progress_;
    models::Store store_;
    Client client_;
    Access access_;
};

Result<void> Pull::run() {
    progress_.status("pulling manifest");
    {
        TRY(const auto lease, store_.lease());
        TRY(Plan plan, resolve());
        TRY_VOID(check_space(plan));
        for (const Wanted& blob : plan.blobs) TRY_VOID(fetch(blob));
        progress_.status("writing manifest");
        if (plan.manifest.empty()) {
            TRY(plan.manifest, compose_manifest(store_, plan));
        }
        TRY_VOID(store_.write_manifest(name_, plan.manifest));
    }
    progress_.status("removing any unused layers");
    // The model is there; what cannot be tidied up now will be another time.
    (void)store_.prune(kUnusedTime);
    progress_.status("success");
    return {};
}

Result<Plan> Pull::resolve() {
    TRY(Document document, request_manifest(access_, name_));
    const int status = document.head.status;
    if (status == 200) {
        return plan_from_manifest(access_.server(), name_, std::move(document.text));
    }
    // The hub's registry route answers 400 for split models and for tags it does not recognise.
    if (name_.is_hub() && (status == 404 || status == 400)) return plan_from_hub(access_, name_);
    return access_.refused(document);
}

Result<bool> Pull::is_there(const models::Layer& layer) const {
    const auto bytes = store_.blob_bytes(layer.digest);
    if (bytes && *bytes != layer.size) {
        return failed(
            Failure::BadRegistry,
            format("blob {} has {} bytes in the store and {} in the manifest; if the file "
                   "is damaged, delete {} and pull again",
                   layer.digest.short_hex(), *bytes, layer.size,
                   store_.blob_path(layer.digest).string()));
    }
    return bytes.has_value();
}

Result<void> Pull::check_space(const Plan& plan) const {
    std::uint64_t missing = 0;
    for (const Wanted& blob : plan.blobs) {
        TRY(const bool there, is_there(blob.layer));
        if (there) continue;
        const std::uint64_t allocated = PartialBlob::allocated(store_, blob.layer);
        missing += blob.layer.size - std::min(allocated, blob.layer.size);
    }
    if (missing == 0) return {};
    TRY(const std::uint64_t free, store_.bytes_free());
    if (missing + kSpareBytes <= free) return {};
    return failed(Failure::NoSpace,
                  format("{} needs {} MB more and {} has {} MB left; make room, or choose another "
                         "folder for models",
                         name_.display(), (missing + kSpareBytes) / 1'000'000,
                         options_.store.string(), free / 1'000'000));
}

// The blob to fill, or nothing when another program has brought it meanwhile.
Result<std::optional<PartialBlob>> Pull::claim(const models::Layer& layer) {
    std::uint64_t seen = 0;
    auto moved_at = Clock::now();
    while (true) {
        TRY(const bool there, is_there(layer));
        if (there) return std::optional<PartialBlob>();
        auto blob = PartialBlob::open(store_, layer, options_.parts);
        if (blob) {
            // It may have come between the question and the lock, and the file is a new one then.
            TRY(const bool came, is_there(layer));
            if (!came) return std::optional(*std::move(blob));
            blob->discard();
            return std::optional<PartialBlob>();
        }
        if (failure_of(blob.error()) != Failure::Busy) return fail(std::move(blob).error());
        const std::uint64_t done = PartialBlob::peek(store_, layer).value_or(0);
        if (std::exchange(seen, done) != done) moved_at = Clock::now();
        if (Clock::now() - moved_at > options_.busy_time) {
            return failed(Failure::Busy, format("another program fetches blob {} and does not get "
                                                "on; end it and pull again",
                                                layer.digest.short_hex()));
        }
        progress_.pulling(layer.digest, layer.size, done);
        TRY_VOID(client_.pause(kBusyPoll));
    }
}

Result<void> Pull::fetch(const Wanted& wanted) {
    const models::Layer& layer = wanted.layer;
    TRY(std::optional<PartialBlob> blob, claim(layer));
    if (!blob) {
        progress_.pulling(layer.digest, layer.size, layer.size);
        return {};
    }
    BlobTransfer transfer(client_, access_, *blob,
                          {.url = wanted.url,
                           .parallel = options_.parts.parts,
                           .on_progress = [&](std::uint64_t done) {
                               progress_.pulling(layer.digest, layer.size, done);
                           }});
    progress_.pulling(layer.digest, layer.size, blob->done());
    TRY_VOID(transfer.run());
    progress_.pulling(layer.digest, layer.size, layer.size);
    progress_.status("verifying sha256 digest");
    const StopAtOnce at_once;
    return blob->put();
}

}  // namespace

Result<void> pull(const PullOptions& options, Progress& progress) {
    TRY(models::ModelName name, models::ModelName::parse(options.model));
    std::string address = (name.plain_http ? "http://" : "https://") + name.host;
    if (name.is_hub()) address = options.hub_endpoint;
    while (address.ends_with('/')) address.pop_back();
    TRY(Url server, Url::parse(address));
    if (!options.hub_token.empty() && !is_token(options.hub_token)) {
        return failed(Failure::Invalid, "HF_TOKEN is no token; set it to one, or not at all");
    }
    ClientOptions client = options.client;
    client.stopped = [&progress, stopped = options.client.stopped] {
        return stopped() || progress.reader_gone();
    };
    return Pull(options, std::move(client), std::move(name), std::move(server), progress).run();
}

}  // namespace hearth::fetch
