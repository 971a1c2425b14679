#include "server/caller.h"

#include <utility>

namespace hearth::server {

Result<pipeline::Caller> caller_of(const http::Request& request) {
    pipeline::Caller caller;
    TRY(caller.cache, cache::parse_wish(request.headers.find("x-hearth-cache").value_or(""),
                                        request.headers.find("x-hearth-cache-ttl").value_or("")));
    return caller;
}

}  // namespace hearth::server
