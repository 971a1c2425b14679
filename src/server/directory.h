#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/thread_safety.h"
#include "models/model.h"
#include "pipeline/serve.h"
#include "runtime/shard.h"
#include "server/candidates.h"
#include "server/config.h"
#include "server/kept_targets.h"
#include "server/published.h"
#include "server/upstreams.h"
#include "server/workers.h"

namespace hearth::server {

// Every model there is to callers, on this machine and on servers elsewhere, the other names they
// have, and where a call for each goes. For calls on shards, apply() apart: each shard keeps what
// it asked for, so that a call takes no lock until a list changes.
//
// A name is that of an alias, of a model here, of one that servers elsewhere list, or
// "BACKEND/MODEL" for that server alone. Who serves a name together shares its calls; a server that
// was only found serves what nobody else does. Behind it stand the models that the configuration
// names as its fallbacks.
class Directory {
  public:
    // All must outlive it; the shards must have ended before it does.
    Directory(const Workers& workers, runtime::Shards& shards, metrics::Registry& registry);

    // The rules of a configuration, and its servers, from now on. Calls on their way keep theirs.
    // Of any thread.
    void apply(std::shared_ptr<const Config> config, std::shared_ptr<const Upstreams> upstreams)
        EXCLUDES(refresh_mutex_);

    // What callers may ask for, at one moment.
    struct View {
        std::vector<models::Model> models;           // sorted by name; aliases among them
        std::map<std::string, std::size_t> by_name;  // name_key() to its place in models
        std::shared_ptr<const Workers::Snapshot> local;

        // Also by the names under which a local model is found. nullptr: unknown; valid as long as
        // the view.
        const models::Model* find(std::string_view name) const;
    };
    std::shared_ptr<const View> view() const;

    // As the view, and under "BACKEND/MODEL" and without a tag too. Nothing: unknown.
    std::optional<models::Model> find(std::string_view name) const;

    // Errors: NotFound (reason "model_not_found").
    Result<TargetPtr> route(std::string_view name) const;
    // Sets what the configuration says calls to that model are to say where this one says nothing.
    void apply_defaults(inference::GenerateRequest& request) const;
    // Callers of a server with one model need not name it: sets an empty `name` to that of the only
    // model with the capability, of this machine, or where none here has it, elsewhere; of those
    // elsewhere that say nothing of themselves the only one. Errors: InvalidArgument (there is
    // none, or more than one).
    Result<void> name_only_one(std::string& name, std::string_view capability) const;

  private:
    // All that an answer depends on, at one moment. Immutable.
    struct State {
        std::shared_ptr<const Config> config;
        std::shared_ptr<const Upstreams> upstreams;
        std::uint64_t local_version = 0;
        std::shared_ptr<const Workers::Snapshot> local;
        std::uint64_t lists_version = 0;
        std::shared_ptr<const Upstreams::Lists> lists;
        std::shared_ptr<const View> view;
        // Of the configuration, by name_key() of the model that each name means.
        std::map<std::string, const std::vector<std::string>*> defaults;

        const std::vector<std::string>* defaults_of(std::string_view name) const;
        Candidates candidates() const { return {*config, *local, upstreams->members(), *lists}; }
    };
    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const {
            return std::hash<std::string_view>()(name);
        }
    };
    // What one shard has asked for, as callers wrote it. In lines of its own: it is written to.
    struct alignas(64) Seen {
        std::uint64_t version = 0;
        std::shared_ptr<const State> state;
        std::shared_ptr<const View> view;
        std::unordered_map<std::string, TargetPtr, NameHash, std::equal_to<>> targets;
    };

    Seen& seen() const EXCLUDES(refresh_mutex_);
    bool is_current(const State& state) const;
    void refresh() const EXCLUDES(refresh_mutex_);
    void publish(std::shared_ptr<const Config> config,
                 std::shared_ptr<const Upstreams> upstreams) const REQUIRES(refresh_mutex_);
    Result<TargetPtr> find_or_make(const State& state, const std::string& name) const;

    const Workers& workers_;
    runtime::Shards& shards_;
    metrics::Registry& registry_;
    mutable KeptTargets kept_;
    mutable Mutex refresh_mutex_;  // of whoever makes a state in the place of another
    mutable Published<State> state_;
    mutable std::vector<Seen> seen_;  // by shard; each touched there only
};

}  // namespace hearth::server
