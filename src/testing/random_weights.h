#pragma once

// For tests and measurements only: weights without a meaning, the same bytes every time.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hearth::testing {

// The types written here, with ggml's own numbers.
enum class WeightType : std::uint32_t { F32 = 0, F16 = 1, Q8_0 = 8 };

// A value that is not random. Its row is zero but for such values.
struct SetWeight {
    std::uint64_t row = 0;
    std::uint64_t column = 0;
    float value = 0;
};

struct WeightTensor {
    std::string name;
    WeightType type = WeightType::F32;
    std::vector<std::uint64_t> shape;  // the fastest dimension first; Q8_0 wants a multiple of 32
    float deviation = 0;               // standard deviation of the values
    float mean = 0;                    // F32 only
    // Where values are random; zero elsewhere.
    std::uint64_t first_column = 0;
    std::uint64_t first_row = 0;
    std::uint64_t end_row = UINT64_MAX;
    std::vector<SetWeight> set = {};  // their rows ascend

    std::uint64_t columns() const { return shape.front(); }
    std::uint64_t rows() const;
    std::uint64_t row_bytes() const;
};

// The rows of one tensor, in order. A tensor's values depend on its name and nothing else.
class RandomRows {
  public:
    explicit RandomRows(const WeightTensor& tensor);  // which must outlive it

    // The next rows: as many as fit; `out` holds whole ones.
    void fill(std::span<std::byte> out);

  private:
    std::uint64_t draw();
    void fill_random(std::span<std::byte> row);
    void clear_front(std::span<std::byte> row) const;
    // Writes the values set in the row that comes next. False when there are none.
    bool fill_set(std::span<std::byte> row);

    const WeightTensor& tensor_;
    std::uint64_t state_;
    std::uint64_t row_ = 0;
    std::size_t next_set_ = 0;
    std::vector<std::uint16_t> halves_;  // F16: the value of every 16 random bits
};

// IEEE 754 binary16, rounded to nearest. `value` must lie in its range.
std::uint16_t half_of(float value);

}  // namespace hearth::testing
