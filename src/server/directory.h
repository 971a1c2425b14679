#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/thread_safety.h"
#include "models/model.h"
#include "pipeline/serve.h"
#include "server/config.h"
#include "server/upstreams.h"
#include "server/workers.h"

namespace hearth::server {

// Every model there is to callers, on this machine and on servers elsewhere, the other names they
// have, and where a call for each goes. Thread-safe.
//
// A name is that of an alias, of a model here, of one that servers elsewhere list, or
// "BACKEND/MODEL" for that server alone. Who serves a name together shares its calls; a server that
// was only found serves what nobody else does. Behind it stand the models that the configuration
// names as its fallbacks.
class Directory {
  public:
    // All must outlive it.
    Directory(const Workers& workers, metrics::Registry& registry);

    // The rules of a configuration, and its servers, from now on. Calls on their way keep theirs.
    void apply(std::shared_ptr<const Config> config, std::shared_ptr<const Upstreams> upstreams)
        EXCLUDES(mutex_);

    // What callers may ask for, at one moment.
    struct View {
        std::vector<models::Model> models;           // sorted by name; aliases among them
        std::map<std::string, std::size_t> by_name;  // name_key() to its place in models
        std::shared_ptr<const Workers::Snapshot> local;

        // Also by the names under which a local model is found. nullptr: unknown; valid as long as
        // the view.
        const models::Model* find(std::string_view name) const;
    };
    std::shared_ptr<const View> view() const EXCLUDES(mutex_);

    // Errors: NotFound (reason "model_not_found").
    Result<std::shared_ptr<const pipeline::Target>> route(std::string_view name) const
        EXCLUDES(mutex_);
    // Sets what the configuration says calls to that model are to say where this one says nothing.
    void apply_defaults(inference::GenerateRequest& request) const EXCLUDES(mutex_);

  private:
    // All that an answer depends on; a change of any makes new ones.
    struct State {
        std::shared_ptr<const Config> config;
        std::shared_ptr<const Upstreams> upstreams;
        std::shared_ptr<const Workers::Snapshot> local;
        std::shared_ptr<const Upstreams::Lists> lists;
        std::shared_ptr<const View> view;
        std::map<std::string, std::shared_ptr<const pipeline::Target>, std::less<>> targets;
    };
    void refresh() const REQUIRES(mutex_);
    Result<std::shared_ptr<const pipeline::Target>> make_target(const std::string& name) const
        REQUIRES(mutex_);

    const Workers& workers_;
    metrics::Registry& registry_;
    mutable Mutex mutex_;
    mutable State state_ GUARDED_BY(mutex_);
};

}  // namespace hearth::server
