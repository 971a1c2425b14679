#include "cache/entry.h"

#include <xxhash.h>
#include <zstd.h>

#include <bit>
#include <cstring>

namespace hearth::cache {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint32_t kMagic = 0x31454348;  // "HCE1"; the last character is the version
constexpr int kLevel = 1;
constexpr std::size_t kNameMax = 4096;

// Head of every encoded entry; behind it space, model, tenant, payload, and XXH3-64 of all before.
struct Head {
    std::uint32_t magic = kMagic;
    std::uint16_t space = 0;  // lengths in bytes
    std::uint16_t model = 0;
    std::uint16_t tenant = 0;
    std::uint16_t is_compressed = 0;
    std::uint32_t stored = 0;   // of the payload as it stands here
    std::uint64_t payload = 0;  // and as it was
    std::int64_t created = 0;
    std::int64_t expires = 0;
    std::int64_t took = 0;
    std::uint64_t clears = 0;
};
static_assert(sizeof(Head) == 56 && std::is_trivially_copyable_v<Head>);
using Checksum = XXH64_hash_t;

// Empty: it would not be shorter.
std::string compressed(std::string_view payload) {
    if (payload.size() < kCompressedMin) return {};
    std::string out(ZSTD_compressBound(payload.size()), '\0');
    const std::size_t size =
        ZSTD_compress(out.data(), out.size(), payload.data(), payload.size(), kLevel);
    if (ZSTD_isError(size) || size >= payload.size()) return {};
    out.resize(size);
    return out;
}

std::unexpected<Error> damaged(std::string_view what) {
    return fail(Code::BadUpstream, "a cached answer is damaged: " + std::string(what));
}

Result<std::string> payload_of(const Head& head, std::string_view stored) {
    if (head.is_compressed == 0) {
        if (stored.size() != head.payload) return damaged("its length");
        return std::string(stored);
    }
    if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != head.payload) {
        return damaged("its compressed length");
    }
    std::string out(head.payload, '\0');
    const std::size_t size = ZSTD_decompress(out.data(), out.size(), stored.data(), stored.size());
    if (ZSTD_isError(size) || size != out.size()) return damaged("its compression");
    return out;
}

}  // namespace

std::string encode(const Entry& entry) {
    CHECK(entry.space.size() <= kNameMax && entry.model.size() <= kNameMax &&
          entry.tenant.size() <= kNameMax && entry.payload.size() <= kPayloadMax);
    const std::string packed = compressed(entry.payload);
    const std::string_view stored = packed.empty() ? entry.payload : packed;
    const Head head{.space = static_cast<std::uint16_t>(entry.space.size()),
                    .model = static_cast<std::uint16_t>(entry.model.size()),
                    .tenant = static_cast<std::uint16_t>(entry.tenant.size()),
                    .is_compressed = packed.empty() ? std::uint16_t{0} : std::uint16_t{1},
                    .stored = static_cast<std::uint32_t>(stored.size()),
                    .payload = entry.payload.size(),
                    .created = entry.created.time_since_epoch().count(),
                    .expires = entry.expires.time_since_epoch().count(),
                    .took = entry.took.count(),
                    .clears = entry.clears};
    std::string out;
    out.reserve(sizeof head + entry.space.size() + entry.model.size() + entry.tenant.size() +
                stored.size() + sizeof(Checksum));
    out.append(reinterpret_cast<const char*>(&head), sizeof head);
    out.append(entry.space).append(entry.model).append(entry.tenant).append(stored);
    const Checksum sum = XXH3_64bits(out.data(), out.size());
    out.append(reinterpret_cast<const char*>(&sum), sizeof sum);
    return out;
}

Result<Entry> decode(std::string_view bytes) {
    Head head;
    Checksum sum = 0;
    if (bytes.size() < sizeof head + sizeof sum) return damaged("it ends early");
    std::memcpy(&head, bytes.data(), sizeof head);
    if (head.magic != kMagic) return damaged("it is of another version");
    const std::string_view summed = bytes.substr(0, bytes.size() - sizeof sum);
    std::memcpy(&sum, summed.data() + summed.size(), sizeof sum);
    if (XXH3_64bits(summed.data(), summed.size()) != sum) return damaged("its checksum");
    std::string_view rest = summed.substr(sizeof head);
    const std::size_t names = std::size_t{head.space} + head.model + head.tenant;
    const bool is_bounded = head.payload <= kPayloadMax && head.space <= kNameMax &&
                            head.model <= kNameMax && head.tenant <= kNameMax;
    if (rest.size() != names + head.stored || !is_bounded) {
        return damaged("its lengths");
    }
    const auto take = [&](std::size_t size) {
        const std::string_view part = rest.substr(0, size);
        rest.remove_prefix(size);
        return part;
    };
    Entry entry;
    entry.space = take(head.space);
    entry.model = take(head.model);
    entry.tenant = take(head.tenant);
    TRY(entry.payload, payload_of(head, rest));
    entry.created = Moment(std::chrono::milliseconds(head.created));
    entry.expires = Moment(std::chrono::milliseconds(head.expires));
    entry.took = std::chrono::microseconds(head.took);
    entry.clears = head.clears;
    return entry;
}

}  // namespace hearth::cache
