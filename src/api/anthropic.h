#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "api/reply.h"
#include "base/error.h"
#include "models/model.h"

// The Anthropic dialect beside what it generates (anthropic_generate.h): its errors, its list of
// models, its count of tokens. Pure functions. Source: anthropics/anthropic-sdk-python 2.12.0,
// November 2026.
namespace hearth::api::anthropic {

// Status and `type` by error code. Its clients send a call again after 408, 409, 429 and every
// status from 500 on, so what asking again cannot mend is below 500. Retry-After on 429, 503 and
// 529.
Reply encode_error(const Error& error, std::string_view request_id);

// Which part of the list of models a caller wants: at most `limit` of those behind the one named
// `after_id`, or of those before the one named `before_id`.
struct Page {
    std::size_t limit = 1000;
    std::string after_id;
    std::string before_id;
};
// `limit` as written in a query, empty: the most. Errors: InvalidArgument with `param`.
Result<std::size_t> parse_limit(std::string_view text);

Reply encode_models(std::span<const models::Model> models, const Page& page);
Reply encode_model(const models::Model& model);

// The answer to POST /v1/messages/count_tokens from what the engine said (Inquiry::CountTokens).
// Error: BadUpstream when it did not count.
Result<Reply> encode_count(const boost::json::object& counted);

}  // namespace hearth::api::anthropic
