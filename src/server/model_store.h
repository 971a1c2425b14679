#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

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
        : workers_(workers), store_(std::move(root)), disk_(kJobsMax) {}

    const models::Store& store() const { return store_; }

    // Names as callers write them. Errors: NotFound (reason "model_not_found"), Forbidden (it lies
    // where Hearth changes nothing), InvalidArgument (no name), Unavailable (disk).
    Awaitable<Result<void>> remove(std::string name);
    Awaitable<Result<void>> copy(std::string from, std::string to);
    // Makes a model of another; the files that are not ours are copied. As models::create_model.
    Awaitable<Result<void>> create(models::Model from, models::ModelChanges changes,
                                   models::ModelName name);
    // Of a new name, beside the blobs: for what becomes one. What a crash leaves of it is pruned.
    Awaitable<Result<ScratchFile>> scratch_file();
    // Looks for models anew.
    Awaitable<Result<void>> refresh();

  private:
    static constexpr std::size_t kJobsMax = 64;

    // The name under which our own store has it.
    Result<models::ModelName> own_name(const std::string& name) const;

    Workers& workers_;
    const models::Store store_;
    std::atomic<std::uint64_t> scratch_files_ = 0;
    runtime::BlockingThread disk_;
};

}  // namespace hearth::server
