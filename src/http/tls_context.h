#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "base/thread_safety.h"

struct ssl_ctx_st;

namespace hearth::http {

struct TlsOptions {
    std::string ca_file;           // PEM: the only authorities trusted; empty: the system's store
    std::string certificate_file;  // ours, for servers that ask: PEM, leaf first; with key_file
    std::string key_file;          // PEM, not encrypted
    bool verify = true;            // false: the server may be anybody
};

// How connections to servers elsewhere are secured: TLS 1.2 or newer, the server's certificate and
// name checked, no renegotiation. One per configuration, shared by clients of all shards.
// Thread-safe. It costs nothing before load() or the first connection.
class TlsContext {
  public:
    explicit TlsContext(TlsOptions options = {});
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    const TlsOptions& options() const { return options_; }
    // Reads the files, which may block: the first connection does it on its shard when nobody has
    // before. Error: Unavailable with reason "tls_configuration", naming the file; a later call
    // tries again.
    Result<void> load() const;
    // Internal to http/: what OpenSSL makes of it, loaded.
    Result<ssl_ctx_st*> handle() const;

  private:
    struct Free {
        void operator()(ssl_ctx_st* context) const;
    };
    using Handle = std::unique_ptr<ssl_ctx_st, Free>;
    static Result<Handle> make(const TlsOptions& options);

    const TlsOptions options_;
    mutable Mutex mutex_;
    mutable Handle handle_ GUARDED_BY(mutex_);
};

}  // namespace hearth::http
