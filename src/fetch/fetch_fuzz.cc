// What servers and files on disk may hold, as arbitrary bytes.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "fetch/challenge.h"
#include "fetch/hub.h"
#include "fetch/outcome.h"
#include "fetch/ranges.h"
#include "fetch/registry.h"
#include "fetch/url.h"

namespace {

using namespace hearth;
using namespace hearth::fetch;

void read_challenge(std::string_view text) {
    const auto challenge = parse_challenge(text);
    if (!challenge) return;
    CHECK(!challenge->realm.empty());
    (void)Url::parse(challenge->token_url());
    if (const auto token = parse_token(text)) CHECK(is_token(*token));
}

void read_range(std::string_view text) {
    const auto range = parse_content_range(text);
    CHECK(!range || range->first <= range->last);
    CHECK(!range || !range->total || range->last < *range->total);
}

void read_state(std::string_view text) {
    const models::Digest digest = models::Digest::of("");
    const auto parts = parse_state(text, digest, 1000);
    if (!parts) return;
    CHECK(bytes_done(*parts) <= 1000);
    CHECK(*parse_state(encode_state(digest, *parts), digest, 1000) == *parts);
}

void read_tree(std::string_view text) {
    const auto files = parse_tree(text);
    if (!files) return;
    for (const HubFile& file : *files)
        CHECK(!file.path.contains("..") || !file.path.starts_with(".."));
    for (const char* tag : {"latest", "Q4_K_M", "-"}) {
        const auto choice = choose_files(*files, tag);
        if (choice) CHECK(!choice->parts.empty() && choice->parts.front().digest);
    }
}

void read_manifest(std::string_view text) {
    const auto server = Url::parse("https://registry.example");
    const auto plan =
        plan_from_manifest(*server, models::ModelName{.name = "a"}, std::string(text));
    if (!plan) return;
    CHECK(plan->manifest == text && !plan->blobs.empty() && plan->blobs.size() <= 129);
    for (const Wanted& blob : plan->blobs) CHECK(blob.layer.size <= kBlobBytesMax);
}

void read_url(std::string_view text) {
    (void)next_page(text);
    (void)shown(text);
    const auto url = Url::parse(text);
    CHECK(!url || (!url->host.empty() && !url->port.empty()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    // A copy in memory of its own, so that reading past its end is seen.
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 6) {
        case 0: read_challenge(text); break;
        case 1: read_range(text); break;
        case 2: read_state(text); break;
        case 3: read_tree(text); break;
        case 4: read_manifest(text); break;
        case 5: read_url(text); break;
    }
    return 0;
}
