#include "models/create.h"

#include <algorithm>
#include <boost/json.hpp>
#include <string_view>
#include <utility>

#include "base/format.h"
#include "models/gguf_model.h"
#include "models/gguf_name.h"
#include "models/json_file.h"

namespace hearth::models {
namespace json = boost::json;
namespace {

class Creation {
  public:
    explicit Creation(const Store& store) : store_(store) {}

    Result<void> add_file(const std::filesystem::path& file, std::string_view type) {
        if (file.empty()) return {};
        // A blob of this very store, also by a link to it, is named by its digest: it need not be
        // read again.
        std::error_code error;
        const auto real = std::filesystem::canonical(file, error);
        const auto digest = Digest::parse(real.filename().string());
        if (digest &&
            std::filesystem::equivalent(real.parent_path(), store_.root() / "blobs", error)) {
            const auto bytes = store_.blob_bytes(*digest);
            if (!bytes) return fail(Code::NotFound, format("blob {} is gone", digest->text()));
            manifest_.layers.push_back(
                {.media_type = std::string(type), .digest = *digest, .size = *bytes});
            return {};
        }
        TRY(Layer layer, store_.put_file(file, type));
        manifest_.layers.push_back(std::move(layer));
        return {};
    }
    Result<void> add_text(std::string_view text, std::string_view type) {
        if (text.empty()) return {};
        TRY(Layer layer, store_.put_bytes(text, type));
        manifest_.layers.push_back(std::move(layer));
        return {};
    }
    Result<void> finish(const json::object& config, const ModelName& name) {
        TRY(manifest_.config, store_.put_bytes(json::serialize(config), kConfigMediaType));
        return store_.write_manifest(name, encode_manifest(manifest_));
    }

  private:
    const Store& store_;
    Manifest manifest_;
};

Result<std::string> merged_parameters(const std::string& from, const std::string& over) {
    if (over.empty()) return from;
    json::object merged;
    for (const std::string& text : {from, over}) {
        if (text.empty()) continue;
        TRY(const json::value value, parse_json(text, "its parameters"));
        if (!value.is_object()) return invalid("its parameters must be an object");
        for (const auto& member : value.get_object()) {
            merged.insert_or_assign(member.key(), member.value());
        }
    }
    return json::serialize(merged);
}

Result<void> add_texts(Creation& creation, const GgufModel& from, const ModelChanges& changes) {
    TRY_VOID(
        creation.add_text(changes.ollama_template.value_or(from.ollama_template), kTemplateLayer));
    TRY_VOID(creation.add_text(changes.system.value_or(from.system), kSystemLayer));
    TRY(const std::string parameters, merged_parameters(from.parameters, changes.parameters));
    TRY_VOID(creation.add_text(parameters, kParametersLayer));
    TRY_VOID(creation.add_text(changes.messages.value_or(from.messages), kMessagesLayer));
    TRY_VOID(creation.add_text(from.license, kLicenseLayer));
    for (const std::string& license : changes.licenses) {
        TRY_VOID(creation.add_text(license, kLicenseLayer));
    }
    return {};
}

Result<void> sort_blob(const Store& store, const NamedBlob& blob, GgufModel& model) {
    TRY(const Digest digest, Digest::parse(blob.digest));
    if (!store.has_blob(digest)) {
        return invalid(
            format("{} is not here; send it to /api/blobs/{} first", blob.name, digest.text()));
    }
    const std::filesystem::path path = store.blob_path(digest);
    auto role = read_gguf_role(path);
    if (!role) {
        return invalid(
            format("{} is no GGUF file ({}); convert_hf_to_gguf.py of llama.cpp makes "
                   "one of a Hugging Face model",
                   blob.name, role.error().message));
    }
    if (*role == GgufRole::Adapter) {
        model.adapters.push_back(path);
        return {};
    }
    std::filesystem::path& place = *role == GgufRole::Weights ? model.file : model.projector;
    if (!place.empty()) {
        return invalid(
            format("{} is one file too many: a model has one file of weights and at "
                   "most one projector",
                   blob.name));
    }
    place = path;
    return {};
}

}  // namespace

Result<GgufModel> sort_blobs(const Store& store, std::span<const NamedBlob> blobs) {
    GgufModel model;
    for (const NamedBlob& blob : blobs) TRY_VOID(sort_blob(store, blob, model));
    return model;
}

Result<void> create_model(const Store& store, const Model& from, const ModelChanges& changes,
                          const ModelName& name) {
    if (!from.gguf) {
        return invalid(format("{} is no GGUF model; others are not made from it", from.name));
    }
    TRY(const Store::Lease lease, store.lease());
    Creation creation(store);
    const bool same = changes.weights.empty();
    for (const auto& file : gguf_part_files(same ? from.gguf->file : changes.weights)) {
        TRY_VOID(creation.add_file(file, kModelLayer));
    }
    TRY_VOID(creation.add_file(from.gguf->projector, kProjectorLayer));
    for (const auto* adapters : {&from.gguf->adapters, &changes.adapters}) {
        for (const auto& adapter : *adapters) {
            TRY_VOID(creation.add_file(adapter, kAdapterLayer));
        }
    }
    TRY_VOID(add_texts(creation, *from.gguf, changes));
    return creation.finish({{"model_format", "gguf"}, {"model_family", from.family}}, name);
}

}  // namespace hearth::models
