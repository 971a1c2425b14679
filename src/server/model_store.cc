#include "server/model_store.h"

#include <unistd.h>

#include <memory>
#include <span>

#include "base/format.h"
#include "models/durable_file.h"
#include "models/gguf_model.h"
#include "server/workers.h"

namespace hearth::server {
namespace {

std::string_view place_of(models::Home home) {
    switch (home) {
        case models::Home::Folder: return "a models directory";
        case models::Home::OllamaStore: return "Ollama's store";
        case models::Home::HubCache: return "the Hugging Face cache";
        case models::Home::Elsewhere: return "a server elsewhere";
        case models::Home::OwnStore: break;
    }
    return "Hearth's store";
}

Error not_ours(const models::Model& model) {
    return {.code = Code::Forbidden,
            .message = format("{} lies in {} and is not changed from here; its files are in {}",
                              model.name, place_of(model.home), model.folder.string()),
            .reason = "model_not_ours",
            .param = "model"};
}

}  // namespace

// The catalogue knows aliases and where a model lies; a name it does not know may still be in the
// store, when its files are broken.
Result<models::ModelName> ModelStore::own_name(const std::string& name) const {
    const auto snapshot = workers_.snapshot();
    const models::Model* model = snapshot->catalogue.find(name);
    if (model == nullptr) return models::ModelName::parse(name);
    if (model->home != models::Home::OwnStore) return fail(not_ours(*model));
    return models::ModelName::parse(model->name);
}

Result<models::ModelName> ModelStore::new_name(const std::string& name) const {
    const auto snapshot = workers_.snapshot();
    const models::Model* model = snapshot->catalogue.find(name);
    if (model != nullptr && model->home != models::Home::OwnStore) return fail(not_ours(*model));
    return models::ModelName::parse(name);
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
    CO_TRY(const models::ModelName target, new_name(to));
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

Awaitable<Result<models::Model>> ModelStore::of_blobs(std::vector<models::NamedBlob> blobs) {
    co_return co_await pieces_.run<models::Model>([this, &blobs]() -> Result<models::Model> {
        TRY(models::GgufModel gguf, models::sort_blobs(store_, blobs));
        if (gguf.file.empty()) return invalid("none of the files is a model's weights");
        return models::read_gguf_model(std::move(gguf), "the uploaded model");
    });
}

Awaitable<Result<std::vector<std::filesystem::path>>> ModelStore::adapters_of(
    std::vector<models::NamedBlob> blobs) {
    using Paths = std::vector<std::filesystem::path>;
    co_return co_await pieces_.run<Paths>([this, &blobs]() -> Result<Paths> {
        TRY(models::GgufModel gguf, models::sort_blobs(store_, blobs));
        if (!gguf.file.empty() || !gguf.projector.empty()) {
            return invalid("adapters must be GGUF files of the type adapter");
        }
        return std::move(gguf.adapters);
    });
}

Awaitable<Result<void>> ModelStore::put_blob(models::Digest digest, BlobSource source) {
    // Pieces that are worth the way to another thread.
    constexpr std::size_t kPieceBytes = 1 << 20;
    using Writer = std::unique_ptr<models::Store::Writer>;
    CO_TRY(const Writer writer, co_await pieces_.run<Writer>([this]() -> Result<Writer> {
        TRY(auto begun, store_.begin_blob());
        return std::make_unique<models::Store::Writer>(std::move(begun));
    }));
    for (bool ended = false; !ended;) {
        std::string piece;
        while (piece.size() < kPieceBytes && !ended) {
            CO_TRY(const std::string bytes, co_await source());
            ended = bytes.empty();
            piece += bytes;
        }
        CO_TRY_VOID(co_await pieces_.run<void>(
            [&] { return writer->write(std::as_bytes(std::span(piece))); }));
    }
    CO_TRY_VOID(co_await pieces_.run<void>([&]() -> Result<void> {
        TRY_VOID(writer->finish(digest));
        return {};
    }));
    co_return Result<void>();
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
