#pragma once

#include <boost/json.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace hearth::system_test {

struct Reply {
    int status = 0;
    std::string head;  // status line and fields, lower case
    std::string body;

    // The value of a field (name in lower case), or empty.
    std::string field(std::string_view name) const;
    boost::json::value json() const { return boost::json::parse(body); }
};

// A blocking HTTP connection on a plain socket: it shares no code with the server under test and
// can misbehave byte by byte. Each wait has a limit; every failure is a std::runtime_error.
class HttpProbe {
  public:
    explicit HttpProbe(const std::string& address,
                       std::chrono::milliseconds wait_max = std::chrono::seconds(60));

    Reply get(std::string_view target) { return exchange("GET", target, {}); }
    Reply post(std::string_view target, std::string_view body) {
        return exchange("POST", target, body);
    }
    Reply exchange(std::string_view method, std::string_view target, std::string_view body);

    void write(std::string_view bytes);
    // `head_only`: the reply to HEAD has no body whatever it says.
    Reply read_reply(bool head_only = false);
    // True when the server closes the connection within `wait_max`; bytes before that are dropped.
    bool closed_within(std::chrono::milliseconds wait_max);
    int fd() const { return fd_.value(); }

  private:
    bool read_more();
    std::string take(std::size_t count);
    std::string take_line();
    std::string take_chunks();

    UniqueFd fd_;
    std::chrono::milliseconds wait_max_;
    std::string buffer_;
};

// One request on a connection of its own.
Reply get(const std::string& address, std::string_view target);
Reply post(const std::string& address, std::string_view target, std::string_view body);

// The sum of a metric's series; of one, when the name has labels. 0: there is none.
double metric(const std::string& address, std::string_view name);

// {"model": model, "input": [texts...]}
std::string embeddings_body(std::string_view model, const std::vector<std::string>& texts);

}  // namespace hearth::system_test
