#include "server/directory.h"

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

#include "base/format.h"
#include "base/hash.h"
#include "server/candidates.h"

namespace hearth::server {
namespace {

constexpr std::size_t kTargetsMax = 4096;

models::Model model_of(const ServedElsewhere& served, const std::string& backend) {
    models::Model model;
    model.name = served.name;
    model.home = models::Home::Elsewhere;
    model.family = backend;
    model.format = "remote";
    // Of whatever it is there: clients only compare it.
    model.digest = sha256_hex(backend + "\n" + served.facts.name);
    model.context_length = served.facts.context_length.value_or(0);
    model.capabilities = served.facts.capabilities;
    return model;
}

// "box/coder:7b" where a member is called "box" and lists it.
std::optional<models::Model> of_member(const Candidates& all, std::string_view name) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    for (std::size_t i = 0; i < all.members.size(); ++i) {
        const std::string& member = all.members[i].plan.options.name;
        if (member != name.substr(0, slash)) continue;
        for (const ServedElsewhere& served : all.lists.of_member[i]) {
            if (same_model(served.name, name.substr(slash + 1))) return model_of(served, member);
        }
    }
    return std::nullopt;
}

std::shared_ptr<Directory::View> make_view(const Candidates& all,
                                           std::shared_ptr<const Workers::Snapshot> local) {
    auto view = std::make_shared<Directory::View>();
    view->models = local->catalogue.models();
    view->local = std::move(local);
    const auto add = [&](models::Model model) {
        if (view->find(model.name) != nullptr) return;
        view->by_name.emplace(name_key(model.name), view->models.size());
        view->models.push_back(std::move(model));
    };
    for (std::size_t i = 0; i < all.members.size(); ++i) {
        for (const ServedElsewhere& served : all.lists.of_member[i]) {
            add(model_of(served, all.members[i].plan.options.name));
        }
    }
    for (const auto& [alias, target] : all.config.aliases) {
        const std::string name = resolved(all.config, alias);
        const models::Model* found = view->find(name);
        auto behind = found != nullptr ? std::optional(*found) : of_member(all, name);
        if (!behind) continue;
        behind->name = alias;
        behind->aliases.clear();
        add(*std::move(behind));
    }
    std::ranges::sort(view->models, {}, &models::Model::name);
    view->by_name.clear();
    for (std::size_t i = 0; i < view->models.size(); ++i) {
        view->by_name.emplace(name_key(view->models[i].name), i);
    }
    return view;
}

// JSON where it is that, else a text: "0.2", "true", "[1,2]", "high".
boost::json::value value_of(std::string_view text) {
    boost::system::error_code failed;
    boost::json::value value = boost::json::parse(text, failed);
    return failed ? boost::json::value(text) : value;
}

// Under the name asked for, or the one behind it.
const std::vector<std::string>* defaults_of(const Config& config, std::string_view name) {
    if (const auto* own = find_name(config.defaults, name)) return own;
    return find_name(config.defaults, resolved(config, name));
}

}  // namespace

const models::Model* Directory::View::find(std::string_view name) const {
    const auto found = by_name.find(name_key(name));
    if (found != by_name.end()) return &models[found->second];
    return local->catalogue.find(name);
}

Directory::Directory(const Workers& workers, metrics::Registry& registry)
    : workers_(workers), registry_(registry) {}

void Directory::apply(std::shared_ptr<const Config> config,
                      std::shared_ptr<const Upstreams> upstreams) {
    const MutexLock lock(mutex_);
    state_ = {.config = std::move(config), .upstreams = std::move(upstreams)};
}

void Directory::refresh() const {
    CHECK(state_.config != nullptr);
    auto local = workers_.snapshot();
    auto lists = state_.upstreams->lists();
    if (local == state_.local && lists == state_.lists) return;
    state_.local = std::move(local);
    state_.lists = std::move(lists);
    state_.targets.clear();
    const Candidates all{*state_.config, *state_.local, state_.upstreams->members(), *state_.lists};
    state_.view = make_view(all, state_.local);
}

std::shared_ptr<const Directory::View> Directory::view() const {
    const MutexLock lock(mutex_);
    refresh();
    return state_.view;
}

void Directory::apply_defaults(inference::GenerateRequest& request) const {
    std::shared_ptr<const Config> config;
    {
        const MutexLock lock(mutex_);
        config = state_.config;
    }
    if (config->defaults.empty()) return;
    const auto* defaults = defaults_of(*config, request.model);
    if (defaults == nullptr) return;
    for (const std::string& one : *defaults) {
        const std::size_t equals = one.find('=');
        const std::string member = one.substr(0, equals);
        if (request.body.contains(member)) continue;
        request.body[member] = value_of(std::string_view(one).substr(equals + 1));
        // The call is no longer its caller's alone.
        request.original = nullptr;
    }
}

Result<std::shared_ptr<const pipeline::Target>> Directory::route(std::string_view name) const {
    const MutexLock lock(mutex_);
    refresh();
    if (const auto found = state_.targets.find(name); found != state_.targets.end()) {
        return found->second;
    }
    TRY(auto target, make_target(std::string(name)));
    if (state_.targets.size() < kTargetsMax) state_.targets.emplace(name, target);
    return target;
}

Result<std::shared_ptr<const pipeline::Target>> Directory::make_target(
    const std::string& name) const {
    const Candidates all{*state_.config, *state_.local, state_.upstreams->members(), *state_.lists};
    std::vector<replicas::Tier> tiers = all.tiers_of(name);
    if (tiers.empty()) return fail(unknown_model(name));
    // A model of this machine alone: its supervisor knows best when to try again.
    const models::Model* here = state_.local->catalogue.find(resolved(*state_.config, name));
    if (here != nullptr && tiers.size() == 1 && tiers.front().replicas.size() == 1) {
        return state_.local->entries.at(here->name).target;
    }
    const RoutingSection& routing = state_.config->routing;
    replicas::FailoverOptions options{.attempts_max = routing.attempts,
                                      .backoff = routing.backoff,
                                      .patience = routing.patience,
                                      .continues = routing.continue_answers};
    options.balancer.eject_time = routing.eject_time;
    // Metrics go by the model's own name: callers may write it in any way, and labels are for ever.
    const models::Model* known = state_.view->find(resolved(*state_.config, name));
    const std::string label = known != nullptr ? known->name : "other";
    return std::make_shared<const pipeline::Target>(
        std::make_shared<replicas::Failover>(std::move(tiers), options,
                                             replicas::FailoverMetrics(registry_, label)),
        pipeline::ModelMetrics(registry_, label), pipeline::RerankMetrics(registry_, label),
        pipeline::GenerateMetrics(registry_, label));
}

}  // namespace hearth::server
