#include "models/gguf_name.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/format.h"
#include "models/model_name.h"

namespace hearth::models {
namespace {

constexpr std::string_view kSuffix = ".gguf";
constexpr std::string_view kProjector = "mmproj";
constexpr std::size_t kPartDigits = 5;
constexpr std::size_t kQuantisationBytesMax = 24;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "-00001-of-00003" at the end: cut off and noted.
void cut_part(std::string_view& stem, GgufFileName& found) {
    constexpr std::size_t kBytes = 2 * kPartDigits + 5;
    if (stem.size() <= kBytes) return;
    const std::string_view mark = stem.substr(stem.size() - kBytes);
    const std::string_view part = mark.substr(1, kPartDigits);
    const std::string_view parts = mark.substr(kBytes - kPartDigits);
    if (mark.front() != '-' || mark.substr(1 + kPartDigits, 4) != "-of-") return;
    if (!std::ranges::all_of(part, is_digit) || !std::ranges::all_of(parts, is_digit)) return;
    std::from_chars(part.data(), part.data() + part.size(), found.part);
    std::from_chars(parts.data(), parts.data() + parts.size(), found.parts);
    stem.remove_suffix(kBytes);
}

// "-Q4_K_M" or ".Q4_K_M" at the end, also "-UD-Q4_K_XL".
void cut_quantisation(std::string_view& stem, GgufFileName& found) {
    std::size_t at = stem.find_last_of("-.");
    if (at == std::string_view::npos || at == 0 || !is_quantisation(stem.substr(at + 1))) return;
    if (lower_case(stem.substr(0, at)).ends_with("-ud") && at > 3) at -= 3;
    found.quantisation = stem.substr(at + 1);
    stem = stem.substr(0, at);
}

// "mmproj-NAME" and "NAME-mmproj" belong to NAME.
std::string without_projector(std::string_view stem) {
    std::string name(stem);
    const std::size_t at = lower_case(name).find(kProjector);
    if (at == std::string::npos) return name;
    name.erase(at, kProjector.size());
    while (!name.empty() && std::string_view("-._").contains(name.front())) name.erase(0, 1);
    while (!name.empty() && std::string_view("-._").contains(name.back())) name.pop_back();
    return name;
}

}  // namespace

// A letter or two, a digit, and short pieces behind underscores.
bool is_quantisation(std::string_view text) {
    if (text.size() > kQuantisationBytesMax) return false;
    const std::string lower = lower_case(text);
    std::string_view rest = lower;
    if (rest.starts_with("ud-")) rest.remove_prefix(3);
    constexpr std::array<std::string_view, 8> kWhole = {"f16",  "f32",   "bf16",      "fp16",
                                                        "fp32", "mxfp4", "mxfp4_moe", "nvfp4"};
    if (std::ranges::find(kWhole, rest) != kWhole.end()) return true;
    if (rest.starts_with("iq") || rest.starts_with("tq")) rest.remove_prefix(1);
    if (rest.size() < 2 || rest[0] != 'q' || !is_digit(rest[1])) return false;
    rest.remove_prefix(2);
    while (!rest.empty()) {
        if (rest.front() != '_') return false;
        rest.remove_prefix(1);
        const std::size_t end = std::min(rest.find('_'), rest.size());
        const std::string_view piece = rest.substr(0, end);
        constexpr std::array<std::string_view, 9> kSizes = {"k", "xxs", "xs", "s",  "m",
                                                            "l", "xl",  "nl", "xxl"};
        const bool number = piece.size() == 1 && is_digit(piece.front());
        if (!number && std::ranges::find(kSizes, piece) == kSizes.end()) return false;
        rest.remove_prefix(end);
    }
    return true;
}

std::size_t quantisation_rank(std::string_view quantisation) {
    constexpr std::array<std::string_view, 9> kOrder = {
        "q4_k_m", "q4_k_s", "q4_0", "q5_k_m", "q6_k", "q8_0", "bf16", "f16", "f32"};
    const auto found = std::ranges::find(kOrder, lower_case(quantisation));
    return static_cast<std::size_t>(found - kOrder.begin());
}

std::optional<GgufFileName> parse_gguf_file_name(std::string_view file_name) {
    if (file_name.size() <= kSuffix.size() || !lower_case(file_name).ends_with(kSuffix)) {
        return std::nullopt;
    }
    GgufFileName found;
    std::string_view stem = file_name.substr(0, file_name.size() - kSuffix.size());
    cut_part(stem, found);
    cut_quantisation(stem, found);
    found.is_projector = lower_case(stem).contains(kProjector);
    found.name = found.is_projector ? without_projector(stem) : std::string(stem);
    return found;
}

std::string gguf_part_name(std::string_view name, std::size_t part, std::size_t parts) {
    return format("{}-{:05}-of-{:05}{}", name, part, parts, kSuffix);
}

std::vector<std::filesystem::path> gguf_part_files(const std::filesystem::path& first) {
    const std::string name = first.filename().string();
    const auto said = parse_gguf_file_name(name);
    if (!said || said->parts < 2) return {first};
    const std::string stem = name.substr(0, name.size() - gguf_part_name("", 1, 1).size());
    std::vector<std::filesystem::path> files;
    for (std::size_t part = 1; part <= said->parts; ++part) {
        files.push_back(first.parent_path() / gguf_part_name(stem, part, said->parts));
    }
    return files;
}

}  // namespace hearth::models
