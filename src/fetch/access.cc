#include "fetch/access.h"

#include "base/format.h"
#include "fetch/challenge.h"
#include "fetch/outcome.h"

namespace hearth::fetch {
namespace {

constexpr std::size_t kTokenDocumentBytesMax = 64 << 10;

}  // namespace

std::unexpected<Error> Access::unauthorized(const ReplyHead& refusal) const {
    return failed(Failure::Unauthorized,
                  format("{} refuses{} with {}: {}", refusal.host, given_ ? " the given token" : "",
                         refusal.status, advice_));
}

Result<void> Access::renew(const ReplyHead& refusal) {
    const auto challenge = parse_challenge(refusal.authenticate);
    if (given_ || !challenge) return unauthorized(refusal);
    const auto realm = Url::parse(challenge->token_url());
    // Some name no address there ("Authentication required"): they give no anonymous tokens.
    if (!realm || !may_follow(server_, *realm, client_.options().insecure)) {
        return unauthorized(refusal);
    }
    TRY(const Document document,
        client_.get_document({.url = realm->text}, kTokenDocumentBytesMax));
    if (document.head.status == 401 || document.head.status == 403) {
        return unauthorized(document.head);
    }
    if (document.head.status != 200) return fetch::refused(document.head, document.text);
    TRY(bearer_, parse_token(document.text));
    return {};
}

Result<Document> Access::get(const std::string& url, const std::string& accept,
                             std::size_t bytes_max) {
    HttpGet::Request request{.url = url, .accept = accept, .bearer = bearer_};
    TRY(Document document, client_.get_document(request, bytes_max));
    if (document.head.status != 401 || document.head.redirected) return document;
    TRY_VOID(renew(document.head));
    request.bearer = bearer_;
    TRY(document, client_.get_document(request, bytes_max));
    if (document.head.status == 401) return unauthorized(document.head);
    return document;
}

std::unexpected<Error> Access::refused(const Document& document) const {
    auto error = fetch::refused(document.head, document.text);
    const Failure failure = failure_of(error.error());
    if (failure == Failure::NotFound || failure == Failure::Unauthorized) {
        error.error().message += ": " + advice_;
    }
    return error;
}

}  // namespace hearth::fetch
