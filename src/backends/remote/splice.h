#pragma once

#include <string>
#include <string_view>

namespace hearth::remote {

// The body of a call with `model` for the name of its model, and everything else byte for byte as
// it was. `body` is a JSON object (text that was parsed before); what is none stays as it is.
std::string with_model(std::string_view body, std::string_view model);
// The same with any member; `value` is JSON. REQUIRES `name` needs no escapes
std::string with_member(std::string_view body, std::string_view name, std::string_view value);

}  // namespace hearth::remote
