#include <array>
#include <boost/json.hpp>

#include "base/encoding.h"
#include "base/format.h"
#include "models/file_facts.h"
#include "models/gguf_model.h"
#include "models/json_file.h"

namespace hearth::models {
namespace json = boost::json;
namespace {

constexpr std::size_t kLayerTextBytesMax = 1 << 20;
constexpr std::size_t kAdaptersMax = 16;

// Where a layer's blob lies, if it is what the manifest says.
Result<std::filesystem::path> checked_blob(const Store& store, const Layer& layer) {
    const auto bytes = store.blob_bytes(layer.digest);
    if (!bytes) return invalid(format("blob {} is missing", layer.digest.text()));
    if (*bytes != layer.size) {
        return invalid(format("blob {} has {} bytes; the manifest says {}", layer.digest.text(),
                              *bytes, layer.size));
    }
    return store.blob_path(layer.digest);
}

Result<std::string> layer_text(const Store& store, const Layer& layer) {
    TRY(const auto path, checked_blob(store, layer));
    const std::string name = format("its {}", layer.media_type.substr(kLayerPrefix.size()));
    TRY(const std::string text, read_file(path, name, kLayerTextBytesMax));
    return repair_utf8(text);
}

// As it is sent on: JSON, and of the kind that is due.
Result<std::string> layer_json(const Store& store, const Layer& layer, json::kind kind) {
    TRY(std::string text, layer_text(store, layer));
    const std::string name = format("its {}", layer.media_type.substr(kLayerPrefix.size()));
    TRY(const json::value value, parse_json(text, name));
    if (value.kind() != kind) {
        return invalid(format("{} must be {}, not {}", name,
                              kind == json::kind::object ? "an object" : "a list",
                              describe(value)));
    }
    return text;
}

Result<void> add_layer(const Store& store, const Layer& layer, GgufModel& gguf) {
    const std::string_view type = layer.media_type;
    if (type == kModelLayer) {
        TRY_VOID(checked_blob(store, layer));
    } else if (type == kProjectorLayer) {
        TRY(gguf.projector, checked_blob(store, layer));
    } else if (type == kAdapterLayer) {
        TRY(gguf.adapters.emplace_back(), checked_blob(store, layer));
        if (gguf.adapters.size() > kAdaptersMax) {
            return invalid(format("it has more than {} adapters", kAdaptersMax));
        }
    } else if (type == kTemplateLayer) {
        TRY(gguf.ollama_template, layer_text(store, layer));
    } else if (type == kSystemLayer) {
        TRY(gguf.system, layer_text(store, layer));
    } else if (type == kParametersLayer) {
        TRY(gguf.parameters, layer_json(store, layer, json::kind::object));
    } else if (type == kMessagesLayer) {
        TRY(gguf.messages, layer_json(store, layer, json::kind::array));
    } else if (type == kLicenseLayer) {
        TRY(const std::string text, layer_text(store, layer));
        gguf.license += (gguf.license.empty() ? "" : "\n") + text;
        if (gguf.license.size() > kLayerTextBytesMax) {
            return invalid(format("its licenses are longer than {} bytes", kLayerTextBytesMax));
        }
    }
    return {};
}

// The blobs that decide what a loaded model answers.
std::string digest_of(const Manifest& manifest, const Layer& model) {
    std::string all = model.digest.hex();
    for (const Layer& layer : manifest.layers) {
        const bool is_part = layer.media_type == kModelLayer && &layer != &model;
        if (is_part || layer.media_type == kProjectorLayer || layer.media_type == kAdapterLayer) {
            all += format("\n{} {}", layer.media_type, layer.digest.hex());
        }
    }
    return all == model.digest.hex() ? all : Digest::of(all).hex();
}

}  // namespace

Result<Model> read_store_model(const Store& store, const ModelName& name) {
    TRY(const std::string text, store.read_manifest_text(name));
    TRY(const Manifest manifest, parse_manifest(text));
    const Layer* weights = manifest.find(kModelLayer);
    if (weights == nullptr) return invalid("its manifest names no model file");
    GgufModel gguf;
    gguf.file = store.weights_path(manifest.weights());
    for (const Layer& layer : manifest.layers) TRY_VOID(add_layer(store, layer, gguf));
    gguf.manifest_digest = Digest::of(text).hex();
    TRY(Model model,
        read_gguf_model(std::move(gguf), name.display(), digest_of(manifest, *weights)));
    model.size_bytes = manifest.size();
    model.modified_unix_ns = modified_unix_ns(store.root() / "manifests" / name.relative_path());
    return model;
}

}  // namespace hearth::models
