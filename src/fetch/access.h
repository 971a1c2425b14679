#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/error.h"
#include "fetch/client.h"
#include "fetch/url.h"

namespace hearth::fetch {

// Who we are at one server, for one repository: nobody at first. A registry that answers 401 is
// asked for a token for anonymous callers; one given from outside (HF_TOKEN) is used from the first
// request on and never replaced. Source: as Challenge.
class Access {
  public:
    // `advice` ends the sentence about a refusal: "check the name". `client` outlives it.
    Access(Client& client, Url server, std::string token, std::string advice)
        : client_(client),
          server_(std::move(server)),
          bearer_(std::move(token)),
          given_(!bearer_.empty()),
          advice_(std::move(advice)) {}

    const Url& server() const { return server_; }
    // Only for addresses of server(); empty: none yet.
    const std::string& bearer() const { return bearer_; }
    // After a 401 of server(): fetches a token. Errors: unauthorized, and those of a document.
    Result<void> renew(const ReplyHead& refusal);

    // A document of server(), whatever its status but 401, which is tried once with a new token.
    Result<Document> get(const std::string& url, const std::string& accept, std::size_t bytes_max);

    // The sentence about a status that is no success: what, where, and the advice.
    std::unexpected<Error> refused(const Document& document) const;

  private:
    std::unexpected<Error> unauthorized(const ReplyHead& refusal) const;

    Client& client_;
    Url server_;
    std::string bearer_;
    bool given_;
    std::string advice_;
};

}  // namespace hearth::fetch
