#pragma once

#include <boost/json.hpp>
#include <string>
#include <vector>

#include "backends/remote/wire.h"

// What the tests of this module share.
namespace hearth::remote {

namespace json = boost::json;

inline const Stamp kStamp{.id = "chatcmpl-7", .created_unix = 1'795'231'500};

inline inference::GenerateRequest chat_request(json::object extra = {}) {
    inference::GenerateRequest request;
    request.operation = inference::Operation::Chat;
    request.body = std::move(extra);
    if (!request.body.contains("messages")) {
        request.body["messages"] =
            json::array(1, json::object{{"role", "user"}, {"content", "hi"}});
    }
    return request;
}

// The body of the call that a request yields; the error's message where there is none.
inline json::value sent_body(const Wire& wire, const inference::GenerateRequest& request,
                             std::string_view model = "m") {
    const auto call = wire.generate(request, model);
    if (!call) return json::value(call.error().message);
    return json::parse(call->body);
}

struct WireAnswer {
    std::vector<json::object> events;
    Result<void> result;
};
inline WireAnswer answer_of(const Wire& wire, const inference::GenerateRequest& request,
                            std::string_view bytes) {
    const auto stream = wire.stream(request, kStamp);
    WireAnswer out;
    out.result = stream->feed(bytes);
    if (out.result) out.result = stream->finish();
    out.events = stream->take_events();
    return out;
}

}  // namespace hearth::remote
