#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/answer_writer.h"
#include "api/reply.h"
#include "http/server.h"
#include "inference/generate.h"
#include "server/gateway.h"

namespace hearth::server {

using EncodeError = std::function<api::Reply(const Error&)>;

// Makes a prompt of so many tokens shorter for a context with room for so many; false when it
// cannot.
using Shorten = bool (*)(inference::GenerateRequest&, std::size_t tokens, std::size_t room);

// Runs one generating call and writes its answer: a stream as it comes, anything else at the end.
// An error before the first byte has its own status, one after it stands in the stream. With
// `shorten`, a prompt that does not fit is made shorter and tried again. `request_id` as of
// Provenance.
Awaitable<void> generate(const Gateway& gateway, http::Exchange& exchange,
                         inference::GenerateRequest request, pipeline::Caller caller,
                         api::AnswerWriter& writer, EncodeError encode_error,
                         Shorten shorten = nullptr, std::string request_id = {});

}  // namespace hearth::server
