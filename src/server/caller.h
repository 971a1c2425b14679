#pragma once

#include "base/error.h"
#include "http/message.h"
#include "pipeline/caller.h"

namespace hearth::server {

// What the fields of a request's head say of who calls and what he wishes. Errors: InvalidArgument;
// dispatch() tells them before a route is asked.
Result<pipeline::Caller> caller_of(const http::Request& request);

}  // namespace hearth::server
