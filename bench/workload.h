#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "connection.h"

namespace hearth::bench {

struct WorkloadOptions {
    std::string path;
    std::string texts_file;  // lines of {"text": ..., "tokens": n}
    std::string shape = "openai";
    std::string model = "all-minilm";
    std::string encoding = "base64";
    std::size_t batch = 1;
    std::string body_file;
    std::string bodies_file;  // a body per line, sent in turn
    std::uint64_t tokens =
        0;  // that each answer to them has, where its max_tokens says nothing else
};

// Every request of one pass, ready to send: the texts in file order, `batch` per request. Throws.
std::vector<PreparedRequest> prepare_requests(const WorkloadOptions& options,
                                              const std::string& address);

// Sends one request and checks that the reply holds one vector per text. Throws when it does not.
void check_first_reply(const std::string& address, const PreparedRequest& request,
                       const WorkloadOptions& options);

}  // namespace hearth::bench
