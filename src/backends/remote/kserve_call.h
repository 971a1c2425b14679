#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "http/client.h"
#include "http/message.h"
#include "inference/embed.h"
#include "inference/generate.h"

// KServe v2 over HTTP, as Triton and OpenVINO Model Server speak it: what a model takes and gives,
// tokens or texts in and vectors out with the binary tensor extension, and Triton's generate
// extension. The tokenizer stands outside. Pure. Source: kserve/open-inference-protocol;
// triton-inference-server docs/protocol: extension_binary_data.md, extension_generate.md,
// extension_model_configuration.md.
namespace hearth::remote::kserve {

constexpr std::size_t kBatchMax = 2048;          // rows of one call
constexpr std::size_t kElementsMax = 4 << 20;    // of one tensor sent: rows times the longest
constexpr std::size_t kValuesMax = 256UZ << 20;  // of one tensor that comes back

struct Tensor {
    std::string name;
    std::string datatype;             // "INT64", "FP32", "BYTES"...
    std::vector<std::int64_t> shape;  // -1: any
};
struct Metadata {
    std::string name;
    std::vector<Tensor> inputs;
    std::vector<Tensor> outputs;
};

// GET /v2/models/NAME.
http::Call metadata_call(std::string_view model);
// Error: BadUpstream.
Result<Metadata> parse_metadata(std::string_view body);

// GET /v2/models/NAME/config, which Triton has and others do not.
http::Call config_call(std::string_view model);
// The most rows of one call; nullopt: it says none, or the model's own shapes tell.
std::optional<std::size_t> parse_batch_max(std::string_view body);

// What becomes of the vectors of a text's tokens.
enum class Pooling : std::uint8_t { Mean, First, Last };

// How to ask a model for vectors: which of its tensors mean what.
struct EmbedPlan {
    struct Input {
        enum class Holds : std::uint8_t { Ids, Mask, Types, Text };
        std::string name;
        Holds holds = Holds::Ids;
        bool is_wide = true;   // INT64, else INT32
        std::size_t rank = 2;  // of Text: [rows] or [rows, 1]
    };
    std::vector<Input> inputs;
    std::string output;
    std::optional<std::size_t> rows;    // when the model takes no other number of rows
    std::optional<std::size_t> length;  // when it takes no other number of tokens
    std::optional<std::size_t> dimension;
    Pooling pooling = Pooling::Mean;
    bool takes_text = false;  // it tokenizes itself: one input, of BYTES

    bool has_mask() const;
};
// `output` names the tensor to take; empty: the sentence's vector where there is one, else the only
// output, else the vectors of the tokens. Error: Unsupported, and what the model has instead.
Result<EmbedPlan> plan_embed(const Metadata& metadata, std::string_view output = {});

// A batch padded to its longest row. The ids must be whole: special tokens added, cut to the
// window. Errors: InvalidArgument (no rows, an empty row, over a bound), Unsupported.
Result<http::Call> encode_embed(const EmbedPlan& plan, std::string_view model,
                                std::span<const inference::TokenIds> rows,
                                std::int32_t padding_id = 0);
// The same for a model that takes texts. Errors: InvalidArgument, Unsupported.
Result<http::Call> encode_texts(const EmbedPlan& plan, std::string_view model,
                                std::span<const std::string> rows);
// [rows, H] is taken as it is; [rows, T, H] is pooled over each row's own tokens. FP32, FP16,
// BF16, or FP32 as JSON. `request` says how many dimensions and whether to normalise; its inputs
// are not read. Errors: BadUpstream, InvalidArgument.
Result<inference::EmbedReply> decode_embed(const EmbedPlan& plan, const http::Headers& headers,
                                           std::string_view body,
                                           std::span<const inference::TokenIds> rows,
                                           const inference::EmbedRequest& request);
// Only [rows, H] goes: whoever tokenizes pools. Tokens are not told.
Result<inference::EmbedReply> decode_texts(const EmbedPlan& plan, const http::Headers& headers,
                                           std::string_view body, std::span<const std::string> rows,
                                           const inference::EmbedRequest& request);

// Places of rows that go into one call together, those of like length beside each other: at most
// `rows_max` of them, and only of one length where the model takes no mask. `lengths` in tokens.
std::vector<std::vector<std::size_t>> split_rows(const EmbedPlan& plan,
                                                 std::span<const std::size_t> lengths,
                                                 std::size_t rows_max);

// Whether it takes text_input and gives text_output.
bool generates(const Metadata& metadata);
// POST /v2/models/NAME/generate_stream, for a Completion of a model that takes text_input and gives
// text_output, with what else it has a tensor for. The stream is Wire::stream's.
// Errors: Unsupported, naming what the model does not take.
Result<http::Call> encode_generate(const inference::GenerateRequest& request,
                                   std::string_view model, const Metadata& metadata);

}  // namespace hearth::remote::kserve
