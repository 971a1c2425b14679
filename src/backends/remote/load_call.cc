#include "backends/remote/load_call.h"

#include <boost/json.hpp>

#include "backends/remote/ollama_request.h"
#include "backends/remote/wire_json.h"
#include "base/format.h"

namespace hearth::remote {

std::optional<http::Call> load_call(std::string_view kind, const inference::LoadRequest& request,
                                    std::string_view model) {
    if (kind != "ollama") return std::nullopt;
    boost::json::object body{{"model", model}, {"stream", false}};
    if (request.keep_alive) body["keep_alive"] = ollama_keep_alive(*request.keep_alive);
    if (request.context_min > 0) body["options"] = {{"num_ctx", request.context_min}};
    return post_json("/api/generate", body);
}

Result<void> load_by_itself(const UpstreamOptions& options, const inference::LoadRequest& request) {
    if (!request.keep_alive || request.keep_alive->count() != 0) return {};
    return fail({.code = Code::Unsupported,
                 .message = format("{} is a server of the kind {}, which decides itself what is in "
                                   "its memory",
                                   options.name, options.kind),
                 .reason = "not_local",
                 .param = "keep_alive"});
}

}  // namespace hearth::remote
