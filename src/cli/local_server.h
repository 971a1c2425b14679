#pragma once

#include <memory>
#include <string>

#include "base/error.h"

namespace hearth::cli {

// A `hearth serve` of this very program on a free loopback port with a data directory of its own,
// for the demo. The destructor ends it, however the command leaves.
class LocalServer {
  public:
    // Returns once the server is ready. Errors: Unavailable with the server's last line.
    static Result<std::unique_ptr<LocalServer>> start();
    ~LocalServer();

    const std::string& address() const;  // "127.0.0.1:PORT"
    // SIGTERM, then waits. Error: Internal when it does not end cleanly in time.
    Result<void> stop();

  private:
    struct Impl;
    explicit LocalServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace hearth::cli
