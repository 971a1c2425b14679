// Triton's generate extension: members that name an input become that tensor, so what can be asked
// for is what the model's metadata lists. vLLM's backend takes one text of JSON for all of it,
// TensorRT-LLM's has a tensor for each.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "backends/remote/kserve_call.h"
#include "backends/remote/members.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote::kserve {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

constexpr std::string_view kTritonKind = "Triton";
constexpr std::uint64_t kGenerateTokens = 1024;  // where the caller names no limit

struct Sampling {
    std::string_view name;    // ours, and vLLM's
    std::string_view tensor;  // TensorRT-LLM's
};
constexpr std::array kSampling = {
    Sampling{"temperature", "temperature"},
    Sampling{"top_p", "top_p"},
    Sampling{"top_k", "top_k"},
    Sampling{"min_p", "min_p"},
    Sampling{"seed", "random_seed"},
    Sampling{"presence_penalty", "presence_penalty"},
    Sampling{"frequency_penalty", "frequency_penalty"},
    Sampling{"repeat_penalty", "repetition_penalty"},
};
constexpr std::array<std::string_view, 13> kTritonCarried = {"prompt",
                                                             "max_tokens",
                                                             "max_completion_tokens",
                                                             "n_predict",
                                                             "stop",
                                                             "temperature",
                                                             "top_p",
                                                             "top_k",
                                                             "min_p",
                                                             "seed",
                                                             "presence_penalty",
                                                             "frequency_penalty",
                                                             "repeat_penalty"};

bool has_tensor(const std::vector<Tensor>& tensors, std::string_view name) {
    return std::ranges::find(tensors, name, &Tensor::name) != tensors.end();
}

bool has_bytes(const std::vector<Tensor>& tensors, std::string_view name) {
    const auto found = std::ranges::find(tensors, name, &Tensor::name);
    return found != tensors.end() && found->datatype == "BYTES";
}

// vLLM's: {"temperature": 0.5, "stop": [...]} as text.
std::string sampling_text(const json::object& from, std::uint64_t limit) {
    json::object out{{"max_tokens", limit}};
    for (const Sampling& one : kSampling) {
        const json::value* value = find(from, one.name);
        if (value == nullptr) continue;
        out[one.name == "repeat_penalty" ? one.tensor : one.name] = *value;
    }
    if (json::array stop = stop_words(from); !stop.empty()) out["stop"] = std::move(stop);
    return write_json(out);
}

Result<void> set_tensors(const json::object& from, std::uint64_t limit, const Metadata& metadata,
                         json::object& body) {
    const auto missing = [](std::string_view name) {
        return cannot(kTritonKind, std::string(name), format("be told {} by this model", name),
                      "leave it out; its metadata has no such input");
    };
    for (const Sampling& one : kSampling) {
        const json::value* value = find(from, one.name);
        if (value == nullptr) continue;
        if (has_tensor(metadata.inputs, one.tensor)) {
            body[one.tensor] = *value;
        } else if (!refuse_others(json::object{{one.name, *value}}, kTritonKind, {})) {
            return missing(one.name);
        }
    }
    if (has_tensor(metadata.inputs, "max_tokens")) {
        body["max_tokens"] = limit;
    } else if (tokens_limit(from)) {
        return missing("max_tokens");
    }
    json::array stop = stop_words(from);
    if (stop.empty()) return {};
    if (!has_tensor(metadata.inputs, "stop_words")) return missing("stop");
    body["stop_words"] = std::move(stop);
    return {};
}

}  // namespace

bool generates(const Metadata& metadata) {
    return has_bytes(metadata.inputs, "text_input") && has_bytes(metadata.outputs, "text_output");
}

Result<http::Call> encode_generate(const GenerateRequest& request, std::string_view model,
                                   const Metadata& metadata) {
    if (request.operation != Operation::Completion && request.operation != Operation::Native) {
        return cannot(kTritonKind, {}, "answer anything but a completion of a bare text",
                      "send it to /v1/completions");
    }
    if (!generates(metadata)) {
        return cannot(kTritonKind, "model", "generate text with this model",
                      "one that takes text_input and gives text_output can");
    }
    TRY_VOID(refuse_others(request.body, kTritonKind, kTritonCarried));
    json::object body;
    TRY(body["text_input"], text_prompt(request.body, kTritonKind));
    const std::uint64_t limit = tokens_limit(request.body).value_or(kGenerateTokens);
    if (has_tensor(metadata.inputs, "sampling_parameters")) {
        body["sampling_parameters"] = sampling_text(request.body, limit);
    } else {
        TRY_VOID(set_tensors(request.body, limit, metadata, body));
    }
    for (const char* flag : {"stream", "exclude_input_in_output", "return_finish_reason",
                             "return_num_input_tokens", "return_num_output_tokens"}) {
        if (has_tensor(metadata.inputs, flag)) body[flag] = true;
    }
    return post_json(format("/v2/models/{}/generate_stream", encode_segment(model)), body);
}

}  // namespace hearth::remote::kserve
