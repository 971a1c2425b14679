#include "server/directory.h"

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "base/format.h"
#include "base/hash.h"

namespace hearth::server {
namespace {

// Of one shard: a name with its target is some 2 KiB.
constexpr std::size_t kNamesMax = 1024;
constexpr std::size_t kNameBytesMax = 512;

models::Model model_of(const ServedElsewhere& served, const std::string& backend) {
    models::Model model;
    model.name = served.name;
    model.home = models::Home::Elsewhere;
    model.family = backend;
    model.format = "remote";
    // Of whatever it is there: clients only compare it.
    model.digest = sha256_hex(backend + "\n" + served.facts.name);
    model.modified_unix_ns = served.created_unix * 1'000'000'000;
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

// The same value, counted apart: shards that write one count wait for each other with every call.
template <class T>
std::shared_ptr<const T> counted_apart(std::shared_ptr<const T> shared) {
    const auto own = std::make_shared<const std::shared_ptr<const T>>(std::move(shared));
    return {own, own->get()};
}

// JSON where it is that, else a text: "0.2", "true", "[1,2]", "high".
boost::json::value value_of(std::string_view text) {
    boost::system::error_code failed;
    boost::json::value value = boost::json::parse(text, failed);
    return failed ? boost::json::value(text) : value;
}

// A name without tag means the one that is there.
const models::Model* find_meant(const Directory::View& view, std::string_view name) {
    if (const models::Model* found = view.find(name)) return found;
    for (const models::Model& model : view.models) {
        const bool elsewhere = model.home == models::Home::Elsewhere;
        if (elsewhere && same_model(without_tag(model.name), name)) return &model;
    }
    return nullptr;
}

// How many can do something, and the last of them.
struct Able {
    std::size_t count = 0;
    std::string name = {};

    void add(const std::string& one) {
        ++count;
        name = one;
    }
};

bool has(const std::vector<std::string>& capabilities, std::string_view capability) {
    return std::ranges::find(capabilities, capability) != capabilities.end();
}

// Those elsewhere, as far as they say what they can do, and those that say nothing.
void count_elsewhere(const Candidates& all, std::string_view capability, Able& able,
                     Able& unknown) {
    std::set<std::string> met;
    for (std::size_t i = 0; i < all.members.size(); ++i) {
        // None of the other kinds reranks, whatever their models can do.
        const bool is_offered =
            capability != "rerank" || all.members[i].plan.options.kind == "openai";
        for (const ServedElsewhere& served : all.lists.of_member[i]) {
            if (!is_offered || !met.insert(name_key(served.name)).second) continue;
            if (all.local.catalogue.find(served.name) != nullptr) continue;
            const auto& capabilities = served.facts.capabilities;
            if (capabilities.empty()) unknown.add(served.name);
            if (has(capabilities, capability)) able.add(served.name);
        }
    }
}

}  // namespace

const models::Model* Directory::View::find(std::string_view name) const {
    const auto found = by_name.find(name_key(name));
    if (found != by_name.end()) return &models[found->second];
    return local->catalogue.find(name);
}

Directory::Directory(const Workers& workers, runtime::Shards& shards, metrics::Registry& registry)
    : workers_(workers),
      shards_(shards),
      registry_(registry),
      kept_(registry),
      seen_(shards.size()) {}

void Directory::apply(std::shared_ptr<const Config> config,
                      std::shared_ptr<const Upstreams> upstreams) {
    {
        const MutexLock lock(refresh_mutex_);
        publish(std::move(config), std::move(upstreams));
    }
    // Whoever is not asked would hold on to the servers of the configuration before.
    kept_.keep_only([](const std::string&) { return false; });
    for (std::size_t shard = 0; shard < shards_.size(); ++shard) {
        shards_.post(shard, [this] { (void)seen(); });
    }
}

bool Directory::is_current(const State& state) const {
    return state.local_version == workers_.version() &&
           state.lists_version == state.upstreams->lists_version();
}

// Whoever comes first makes the new state; those who come meanwhile wait for it, as what has just
// been pulled or listed is to be found.
void Directory::refresh() const {
    const MutexLock lock(refresh_mutex_);
    const auto state = state_.value();
    CHECK(state != nullptr);
    if (!is_current(*state)) publish(state->config, state->upstreams);
}

void Directory::publish(std::shared_ptr<const Config> config,
                        std::shared_ptr<const Upstreams> upstreams) const {
    auto next = std::make_shared<State>();
    next->config = std::move(config);
    next->upstreams = std::move(upstreams);
    next->local_version = workers_.version();
    next->local = workers_.snapshot();
    next->lists_version = next->upstreams->lists_version();
    next->lists = next->upstreams->lists();
    const Candidates all = next->candidates();
    next->view = make_view(all, next->local);
    for (const auto& [name, defaults] : next->config->defaults) {
        const models::Model* model = find_meant(*next->view, name);
        if (model != nullptr) next->defaults.emplace(name_key(model->name), &defaults);
    }
    kept_.keep_only(
        [&](const std::string& key) { return replicas::has_choice(all.tiers_of(key)); });
    state_.publish(std::move(next));
}

Directory::Seen& Directory::seen() const {
    Seen& seen = seen_[shards_.current()];
    if (seen.state != nullptr && seen.version == state_.version() && is_current(*seen.state)) {
        return seen;
    }
    refresh();
    seen.version = state_.version();
    seen.state = state_.value();
    seen.view = counted_apart(seen.state->view);
    seen.targets.clear();
    return seen;
}

std::shared_ptr<const Directory::View> Directory::view() const { return seen().view; }

std::optional<models::Model> Directory::find(std::string_view name) const {
    const State& state = *seen().state;
    const std::string behind = resolved(*state.config, name);
    const models::Model* known = state.view->find(name);
    if (known == nullptr) known = find_meant(*state.view, behind);
    auto found = known != nullptr ? std::optional(*known) : of_member(state.candidates(), behind);
    if (found && known == nullptr) found->name = name;
    return found;
}

Result<void> Directory::name_only_one(std::string& name, std::string_view capability) const {
    if (!name.empty()) return {};
    const State& state = *seen().state;
    Able here;
    Able elsewhere;
    Able unknown;
    for (const models::Model& model : state.local->catalogue.models()) {
        if (has(model.capabilities, capability)) here.add(model.name);
    }
    count_elsewhere(state.candidates(), capability, elsewhere, unknown);
    for (const Able* able : {&here, &elsewhere, &unknown}) {
        if (able->count == 0) continue;
        if (able->count > 1) break;
        name = able->name;
        return {};
    }
    return fail(
        {.code = Code::InvalidArgument,
         .message = format("model is required, as in GET /v1/models: {} of those served can "
                           "do {}",
                           here.count + elsewhere.count, capability),
         .param = "model"});
}

// Under the name asked for, the one behind it, or another of the same model.
const std::vector<std::string>* Directory::State::defaults_of(std::string_view name) const {
    if (config->defaults.empty()) return nullptr;
    if (const auto* own = find_name(config->defaults, name)) return own;
    const std::string behind = resolved(*config, name);
    if (const auto* own = find_name(config->defaults, behind)) return own;
    const models::Model* model = find_meant(*view, behind);
    if (model == nullptr) return nullptr;
    const auto found = defaults.find(name_key(model->name));
    return found != defaults.end() ? found->second : nullptr;
}

void Directory::apply_defaults(inference::GenerateRequest& request) const {
    const auto* defaults = seen().state->defaults_of(request.model);
    if (defaults == nullptr) return;
    for (const std::string& one : *defaults) {
        const std::size_t equals = one.find('=');
        const std::string member = one.substr(0, equals);
        const bool is_limit =
            std::ranges::find(inference::kTokensLimits, member) != inference::kTokensLimits.end();
        if (is_limit ? inference::tokens_limit_of(request.body) != nullptr
                     : request.body.contains(member)) {
            continue;
        }
        request.body[member] = value_of(std::string_view(one).substr(equals + 1));
        // The call is no longer its caller's alone.
        request.original = nullptr;
    }
}

Result<TargetPtr> Directory::route(std::string_view name) const {
    Seen& seen = this->seen();
    if (const auto found = seen.targets.find(name); found != seen.targets.end()) {
        return found->second;
    }
    TRY(TargetPtr target, find_or_make(*seen.state, std::string(name)));
    if (name.size() > kNameBytesMax) return target;
    target = counted_apart(std::move(target));
    // Who asks for ever new names takes nothing from others but the time to find theirs again.
    if (seen.targets.size() >= kNamesMax) seen.targets.clear();
    seen.targets.emplace(name, target);
    return target;
}

Result<TargetPtr> Directory::find_or_make(const State& state, const std::string& name) const {
    const std::string resolved_name = resolved(*state.config, name);
    std::vector<replicas::Tier> tiers = state.candidates().tiers_of(name);
    if (tiers.empty()) return fail(unknown_model(name));
    // A model of this machine alone: its supervisor knows best when to try again.
    const models::Model* here = state.local->catalogue.find(resolved_name);
    if (here != nullptr && tiers.size() == 1 && tiers.front().replicas.size() == 1) {
        return state.local->entries.at(here->name).target;
    }
    const RoutingSection& routing = state.config->routing;
    replicas::FailoverOptions options{.attempts_max = routing.attempts,
                                      .backoff = routing.backoff,
                                      .patience = routing.patience,
                                      .continues = routing.continue_answers,
                                      .hedge_after = routing.hedge_after};
    options.balancer.eject_time = routing.eject_time;
    // Metrics go by the model's own name: callers may write it in any way, and labels are for ever.
    const models::Model* known = state.view->find(resolved_name);
    std::string label = known != nullptr ? known->name : "other";
    if (replicas::has_choice(tiers)) {
        return kept_.find_or_make(name_key(name), std::move(tiers), options, std::move(label));
    }
    auto failover = std::make_shared<replicas::Failover>(
        std::move(tiers), options, replicas::FailoverMetrics(registry_, label));
    return make_target(registry_, label, std::move(failover));
}

}  // namespace hearth::server
