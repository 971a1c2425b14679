#pragma once

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server_process.h"
#include "testing/gguf_models.h"

// What tests of generated text ask, and of which server.
namespace hearth::system_test {

// A server of every tiny model, four answers at a time.
inline StartOptions text_options(std::vector<std::string> environment = {}) {
    using testing::GgufKind;
    for (const auto kind : {GgufKind::Text, GgufKind::Fim, GgufKind::Thinking, GgufKind::Vision,
                            GgufKind::Embedder}) {
        testing::make_gguf(kind);
    }
    environment.push_back("HEARTH_MODELS__DIRECTORIES=" + testing::gguf_cache().string());
    environment.emplace_back("HEARTH_LLAMA__PARALLEL=4");
    return {.arguments = {}, .environment = std::move(environment)};
}

inline boost::json::object chat(std::string_view model, std::string_view text) {
    return {{"model", model},
            {"messages", {{{"role", "user"}, {"content", text}}}},
            {"temperature", 0},
            {"max_tokens", 8}};
}

}  // namespace hearth::system_test
