#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/scratch_file.h"
#include "models/create.h"
#include "models/store.h"
#include "runtime/awaitable.h"
#include "runtime/blocking_thread.h"

namespace hearth::server {

class Workers;

// Changes of the models there are: they end in our own store and in a new scan, so that the next
// request sees them. Thread-safe; nothing here blocks the caller's shard.
class ModelStore {
  public:
    ModelStore(Workers& workers, std::filesystem::path root)
        : workers_(workers),
          store_(std::move(root)),
          disk_(kJobsMax, kBusy),
          pieces_(kJobsMax, kBusy) {}

    const models::Store& store() const { return store_; }

    // Names as callers write them. Errors: NotFound (reason "model_not_found"), Forbidden (it lies
    // where Hearth changes nothing), InvalidArgument (no name), Unavailable (disk).
    Awaitable<Result<void>> remove(std::string name);
    Awaitable<Result<void>> copy(std::string from, std::string to);
    // Makes a model of another; the files that are not ours are copied. As models::create_model.
    Awaitable<Result<void>> create(models::Model from, models::ModelChanges changes,
                                   models::ModelName name);
    // The model that uploaded blobs are together. As models::sort_blobs and read_gguf_model.
    Awaitable<Result<models::Model>> of_blobs(std::vector<models::NamedBlob> blobs);
    // The adapters among blobs, which must be nothing else. As models::sort_blobs.
    Awaitable<Result<std::vector<std::filesystem::path>>> adapters_of(
        std::vector<models::NamedBlob> blobs);

    // The next bytes of a blob that arrives; empty: its end.
    using BlobSource = std::function<Awaitable<Result<std::string>>()>;
    // Takes a blob in, whole or not at all. Errors: InvalidArgument (reason "digest_mismatch"),
    // those of the source and of Store.
    Awaitable<Result<void>> put_blob(models::Digest digest, BlobSource source);

    // Of a new name, beside the blobs: for what becomes one. What a crash leaves of it is pruned.
    Awaitable<Result<ScratchFile>> scratch_file();
    // Looks for models anew.
    Awaitable<Result<void>> refresh();
    // Runs what only reads a little of the disk.
    template <class T>
    Awaitable<Result<T>> read(std::move_only_function<Result<T>()> job) {
        co_return co_await pieces_.run<T>(std::move(job));
    }
    // The name of a model that is to be. Errors: Forbidden (one that answers to it lies where
    // Hearth changes nothing, and would hide the new one), InvalidArgument (no name).
    Result<models::ModelName> new_name(const std::string& name) const;

  private:
    static constexpr std::size_t kJobsMax = 64;
    static constexpr const char* kBusy = "too many changes of models wait for the disk";

    // The name under which our own store has it.
    Result<models::ModelName> own_name(const std::string& name) const;

    Workers& workers_;
    const models::Store store_;
    std::atomic<std::uint64_t> scratch_files_ = 0;
    runtime::BlockingThread disk_;    // changes, one after the other; minutes for a large copy
    runtime::BlockingThread pieces_;  // what is soon done, and need not wait for those
};

}  // namespace hearth::server
