#pragma once

#include <cstddef>

#include "inference/generate.h"

namespace hearth::api {

// Leaves out the oldest messages of a chat that are neither the system's nor of its last turn,
// about as many as a prompt of `tokens` has too many for `room`. A turn is the last message and,
// where that is the result of a tool, the call it belongs to and the other results. False when
// there is nothing to leave out.
bool drop_oldest_messages(inference::GenerateRequest& request, std::size_t tokens,
                          std::size_t room);

}  // namespace hearth::api
