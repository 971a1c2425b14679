#include "http/gunzip.h"

#include <zlib.h>

#include <array>

namespace hearth::http {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

struct Gunzip::State {
    State() { ready = inflateInit2(&stream, kGzipOnly) == Z_OK; }
    ~State() {
        if (ready) inflateEnd(&stream);
    }
    z_stream stream{};
    bool ready = false;
    bool at_end = false;
    std::array<char, 16 << 10> piece;
};

Gunzip::Gunzip() : state_(std::make_unique<State>()) {}
Gunzip::~Gunzip() = default;
Gunzip::Gunzip(Gunzip&&) noexcept = default;
Gunzip& Gunzip::operator=(Gunzip&&) noexcept = default;

bool Gunzip::complete() const { return state_->at_end; }

Result<void> Gunzip::feed(std::string_view bytes, std::string& out, std::size_t size_max) {
    if (!state_->ready) return fail(Code::Internal, "zlib does not start");
    z_stream& stream = state_->stream;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = uInt(bytes.size());
    bool full = true;
    while (stream.avail_in > 0 || full) {
        if (state_->at_end) {
            if (stream.avail_in == 0) break;
            inflateReset(&stream);
            state_->at_end = false;
        }
        stream.next_out = reinterpret_cast<Bytef*>(state_->piece.data());
        stream.avail_out = uInt(state_->piece.size());
        const int status = inflate(&stream, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
            return fail(Code::InvalidArgument, "the gzip stream is broken");
        }
        const std::size_t size = state_->piece.size() - stream.avail_out;
        if (size > size_max - out.size()) {
            return fail(Code::TooLarge, "the unpacked body is too large");
        }
        out.append(state_->piece.data(), size);
        full = stream.avail_out == 0;
        state_->at_end = status == Z_STREAM_END;
        if (status == Z_BUF_ERROR && !full && stream.avail_in > 0) {
            return fail(Code::InvalidArgument, "the gzip stream is broken");
        }
    }
    return {};
}

}  // namespace hearth::http
