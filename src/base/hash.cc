#include "base/hash.h"

#include <openssl/evp.h>

#include "base/encoding.h"
#include "base/error.h"

namespace hearth {

struct Sha256::State {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    State() { CHECK(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
    ~State() { EVP_MD_CTX_free(context); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
    CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

void Sha256::update(std::string_view text) { update(std::as_bytes(std::span(text))); }

std::array<std::byte, 32> Sha256::finish() {
    std::array<std::byte, 32> digest{};
    unsigned length = 0;
    CHECK(EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.data()),
                             &length) == 1);
    return digest;
}

std::string sha256_hex(std::string_view text) {
    Sha256 hash;
    hash.update(text);
    return encode_hex(hash.finish());
}

}  // namespace hearth
