#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "base/error.h"

namespace hearth::encoder {

// Zero-filled memory on a cache line, for plain values. Growing forgets the contents.
template <class T>
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t size) { reserve(size); }

    void reserve(std::size_t size) {
        if (size <= size_) return;
        constexpr std::size_t kHugePage = 2 << 20;
        const std::size_t bytes = (size * sizeof(T) + 63) / 64 * 64;
        const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
        data_.reset();
        data_.reset(static_cast<T*>(std::aligned_alloc(alignment, round_up(bytes, alignment))));
        CHECK(data_ != nullptr);
        if (alignment == kHugePage) {
            ::madvise(data_.get(), round_up(bytes, alignment), MADV_HUGEPAGE);
        }
        std::memset(data_.get(), 0, bytes);
        size_ = size;
    }

    T* data() { return data_.get(); }
    const T* data() const { return data_.get(); }
    T& operator[](std::size_t i) { return data_.get()[i]; }
    const T& operator[](std::size_t i) const { return data_.get()[i]; }
    std::size_t size() const { return size_; }

  private:
    struct Free {
        void operator()(T* p) const { std::free(p); }
    };
    static std::size_t round_up(std::size_t n, std::size_t step) {
        return (n + step - 1) / step * step;
    }

    std::unique_ptr<T, Free> data_;
    std::size_t size_ = 0;
};

constexpr std::size_t ceil_div(std::size_t n, std::size_t d) { return (n + d - 1) / d; }
constexpr std::size_t round_up(std::size_t n, std::size_t step) { return ceil_div(n, step) * step; }

}  // namespace hearth::encoder
