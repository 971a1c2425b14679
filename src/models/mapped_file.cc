#include "models/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/format.h"
#include "base/unique_fd.h"

namespace hearth::models {

Result<MappedFile> MappedFile::open(const std::filesystem::path& file, std::string_view name) {
    const auto invalid = [](std::string message) {
        return fail(Code::InvalidArgument, std::move(message));
    };
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        const int reason = errno;
        if (reason == ENOENT || reason == ENOTDIR) {
            return fail(Code::NotFound, format("{} is missing", name));
        }
        return invalid(format("{} cannot be opened: {}", name, std::strerror(reason)));
    }
    struct stat status{};
    if (::fstat(fd.value(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return invalid(format("{} is not a regular file", name));
    }
    const auto bytes = static_cast<std::size_t>(status.st_size);
    if (bytes == 0) return invalid(format("{} is empty", name));
    void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd.value(), 0);
    if (at == MAP_FAILED) {
        return invalid(format("{} cannot be mapped: {}", name, std::strerror(errno)));
    }
    return MappedFile(std::span(static_cast<const std::byte*>(at), bytes));
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace hearth::models
