// The first byte chooses the kind, the second the operation; what follows is the upstream's answer.
// Whatever it is: cut into pieces it says the same as whole, an end is told once, vectors keep
// their shape, and errors are text that can be shown.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "backends/remote/kserve_call.h"
#include "backends/remote/remote_error.h"
#include "backends/remote/wire.h"
#include "base/encoding.h"

namespace {

using namespace hearth;
using namespace hearth::remote;
using inference::EmbedRequest;
using inference::GenerateRequest;
using inference::Operation;
using inference::TokenIds;

void require(bool condition) {
    if (!condition) __builtin_trap();
}

const Wire& wire_of(std::uint8_t byte) {
    static const std::array<std::unique_ptr<Wire>, 4> kWires = {
        make_openai_wire(), make_ollama_wire(), make_anthropic_wire(), make_triton_wire()};
    return *kWires[byte % 4];
}

void check_error(const Error& error) {
    require(!error.message.empty());
    require(is_utf8(error.message) && error.message.size() < 2000);
    require(is_utf8(error.param));
}

struct Said {
    boost::json::array events;
    bool fed_well = false;
    bool ended_well = false;
};

Said listen(const Wire& wire, const GenerateRequest& request, std::string_view bytes,
            std::size_t piece) {
    const auto stream = wire.stream(request, {.id = "id", .created_unix = 1});
    Said said;
    Result<void> result;
    for (std::size_t at = 0; result && at < bytes.size(); at += piece) {
        result = stream->feed(bytes.substr(at, piece));
    }
    said.fed_well = result.has_value();
    if (result) result = stream->finish();
    said.ended_well = result.has_value();
    if (result) {
        require(stream->complete());
    } else {
        check_error(result.error());
    }
    for (auto& event : stream->take_events()) said.events.push_back(std::move(event));
    return said;
}

void check_stream(const Wire& wire, Operation operation, std::string_view bytes) {
    const GenerateRequest request{.model = {}, .operation = operation, .body = {}};
    const Said whole = listen(wire, request, bytes, std::max<std::size_t>(1, bytes.size()));
    const Said pieces = listen(wire, request, bytes, 3);
    require(whole.ended_well == pieces.ended_well && whole.fed_well == pieces.fed_well);
    require(whole.events == pieces.events);
    for (const auto& event : whole.events) require(event.is_object());
}

void check_embedded(const Wire& wire, std::string_view bytes) {
    for (const std::size_t count : {0UZ, 1UZ, 2UZ}) {
        const EmbedRequest request{.model = {},
                                   .inputs = std::vector<inference::EmbedInput>(count, "text"),
                                   .dimensions = {},
                                   .prompt_name = {},
                                   .keep_alive = {}};
        const auto reply = wire.embedded(bytes, request);
        if (!reply) {
            check_error(reply.error());
            continue;
        }
        require(reply->vectors.size() == count * reply->dimension);
        require(reply->tokens.size() == count);
    }
}

// As far as it is a head, the first line; the bytes of the tensors behind it.
void check_kserve(std::string_view bytes) {
    const std::size_t line = std::min(bytes.find('\n'), bytes.size());
    const http::Headers headers{{"inference-header-content-length", std::to_string(line)}};
    const std::array<TokenIds, 2> rows = {TokenIds{1, 2}, TokenIds{3}};
    const kserve::EmbedPlan plan{.inputs = {}, .output = "o", .rows = {}, .length = {}};
    const auto reply = kserve::decode_embed(plan, headers, bytes, rows, {});
    if (reply) {
        require(reply->vectors.size() == 2 * reply->dimension);
    } else {
        check_error(reply.error());
    }
    (void)kserve::parse_batch_max(bytes);
    const auto metadata = kserve::parse_metadata(bytes);
    if (!metadata) return check_error(metadata.error());
    if (const auto made = kserve::plan_embed(*metadata)) {
        // A model of a fixed length is padded to it, which takes long where that is large.
        const bool is_short = made->length.value_or(0) < 10'000;
        const std::array<std::string, 2> texts = {"one", ""};
        if (made->takes_text) {
            (void)kserve::encode_texts(*made, "m", texts);
        } else if (is_short) {
            (void)kserve::encode_embed(*made, "m", rows);
        }
    } else {
        check_error(made.error());
    }
}

void check_request(const Wire& wire, Operation operation, std::string_view bytes) {
    boost::system::error_code failed;
    const boost::json::value body = boost::json::parse(bytes, failed);
    if (failed || !body.is_object()) return;
    const auto call =
        wire.generate({.model = {}, .operation = operation, .body = body.get_object()}, "claude-x");
    if (!call) return check_error(call.error());
    (void)boost::json::parse(call->body, failed);
    require(!failed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const Wire& wire = wire_of(data[0]);
    const auto operation = static_cast<Operation>(data[1] % 4);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    check_stream(wire, operation, bytes);
    check_request(wire, operation, bytes);
    check_embedded(wire, bytes);
    check_error(wire.error_of(400 + data[1], {{"retry-after", bytes}, {"date", bytes}}, bytes));
    const auto models = wire.listed(bytes);
    if (!models) check_error(models.error());
    if (data[0] % 4 == 3) check_kserve(bytes);
    return 0;
}
