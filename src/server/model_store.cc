#include "server/model_store.h"

#include <unistd.h>

#include "base/format.h"
#include "models/durable_file.h"
#include "server/workers.h"

namespace hearth::server {
namespace {

std::string_view place_of(models::Home home) {
    switch (home) {
        case models::Home::Folder: return "a models directory";
        case models::Home::OllamaStore: return "Ollama's store";
        case models::Home::HubCache: return "the Hugging Face cache";
        case models::Home::OwnStore: break;
    }
    return "Hearth's store";
}

}  // namespace

// The catalogue knows aliases and where a model lies; a name it does not know may still be in the
// store, when its files are broken.
Result<models::ModelName> ModelStore::own_name(const std::string& name) const {
    const auto snapshot = workers_.snapshot();
    const models::Model* model = snapshot->catalogue.find(name);
    if (model != nullptr && model->home != models::Home::OwnStore) {
        return fail({.code = Code::Forbidden,
                     .message = format("{} lies in {} and is not changed from here; its files are "
                                       "in {}",
                                       model->name, place_of(model->home), model->folder.string()),
                     .reason = "model_not_ours",
                     .param = "model"});
    }
    return models::ModelName::parse(model != nullptr ? model->name : name);
}

Awaitable<Result<void>> ModelStore::remove(std::string name) {
    CO_TRY(const models::ModelName own, own_name(name));
    auto removed = co_await disk_.run<void>([this, own] { return store_.remove(own); });
    if (!removed) {
        if (removed.error().code == Code::NotFound) removed.error() = unknown_model(name);
        co_return removed;
    }
    co_return co_await refresh();
}

Awaitable<Result<void>> ModelStore::copy(std::string from, std::string to) {
    CO_TRY(const models::ModelName source, own_name(from));
    CO_TRY(const models::ModelName target, models::ModelName::parse(to));
    auto copied =
        co_await disk_.run<void>([this, source, target] { return store_.copy(source, target); });
    if (!copied) {
        if (copied.error().code == Code::NotFound) copied.error() = unknown_model(from);
        co_return copied;
    }
    co_return co_await refresh();
}

Awaitable<Result<void>> ModelStore::create(models::Model from, models::ModelChanges changes,
                                           models::ModelName name) {
    CO_TRY_VOID(co_await disk_.run<void>(
        [this, &from, &changes, &name] { return create_model(store_, from, changes, name); }));
    co_return co_await refresh();
}

Awaitable<Result<ScratchFile>> ModelStore::scratch_file() {
    const std::string name = format("{}{}-scratch-{}", models::kTemporaryPrefix, ::getpid(),
                                    scratch_files_.fetch_add(1));
    const std::filesystem::path folder = store_.root() / "blobs";
    co_return co_await disk_.run<ScratchFile>([folder, name]() -> Result<ScratchFile> {
        std::error_code failed;
        std::filesystem::create_directories(folder, failed);
        if (!failed) return ScratchFile(folder / name);
        return fail(Code::Unavailable,
                    format("{} cannot be made: {}", folder.string(), failed.message()));
    });
}

Awaitable<Result<void>> ModelStore::refresh() {
    co_return co_await disk_.run<void>([this]() -> Result<void> {
        workers_.rescan();
        return {};
    });
}

}  // namespace hearth::server
