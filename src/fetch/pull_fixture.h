#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "fetch/outcome.h"
#include "fetch/pull.h"
#include "fetch/registry_fixture.h"
#include "models/store.h"
#include "models/test_folder.h"
#include "telemetry/log.h"

// For tests only: pulls from a TestRegistry into a scratch store, with small parts and short
// pauses.
namespace hearth::fetch::testing {

inline std::string text_of(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
}

inline std::size_t count_of(std::string_view text, std::string_view what) {
    std::size_t count = 0;
    for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
    return count;
}

class PullTest : public ::testing::Test {
  protected:
    PullTest() : store_(folder_.path() / "store") {
        // A cut connection is what the test asked for.
        log::configure("test", log::Level::Off);
        options_.store = store_.root();
        options_.parts = {.parts = 4, .bytes_min = 64 << 10, .bytes_max = 1 << 20};
        options_.client.pause_first = std::chrono::milliseconds(5);
        options_.client.stall_time = std::chrono::seconds(60);
        options_.hub_endpoint = registry_.url();
    }

    static bool is_hub(std::string_view model) {
        return model.starts_with("hf.co/") || model.starts_with("huggingface.co/");
    }
    // Pulls "NAMESPACE/NAME:TAG" of the registry, or what has a host.
    Result<void> pull(std::string_view model) {
        options_.model = is_hub(model) ? std::string(model) : registry_.name(model);
        const std::filesystem::path lines = folder_.path() / "lines";
        const UniqueFd out(::open(lines.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        Progress progress(out.value());
        auto result = fetch::pull(options_, progress);
        lines_ = text_of(lines);
        return result;
    }
    // The same, when it must fail.
    Failure failure(std::string_view model) {
        const auto result = pull(model);
        EXPECT_FALSE(result);
        message_ = result ? "" : result.error().message;
        return result ? Failure::Internal : failure_of(result.error());
    }

    std::string blob(const models::Digest& digest) const {
        return text_of(store_.blob_path(digest));
    }
    bool has_manifest(std::string_view model) const {
        return store_.read_manifest(*models::ModelName::parse(registry_.name(model))).has_value();
    }
    // Names of files in blobs/, apart from whole blobs.
    std::vector<std::string> leftovers() const {
        std::vector<std::string> names;
        std::error_code none;
        for (const auto& entry :
             std::filesystem::directory_iterator(store_.root() / "blobs", none)) {
            const std::string name = entry.path().filename();
            if (!models::Digest::parse(name)) names.push_back(name);
        }
        return names;
    }

    models::TestFolder folder_;
    models::Store store_;
    TestRegistry registry_;
    PullOptions options_;
    std::string lines_;
    std::string message_;
};

}  // namespace hearth::fetch::testing
