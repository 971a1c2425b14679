#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <bit>
#include <boost/json.hpp>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "encoder/cpu.h"
#include "encoder/engine_test_folder.h"
#include "encoder/session.h"
#include "testing/golden_files.h"
#include "tokens/tokenizer.h"

// Whole vectors against the reference's own (tests/reference/README.md).
namespace hearth::encoder {
namespace {

namespace fs = std::filesystem;
using hearth::testing::kGolden;
using hearth::testing::kModel;

// Sanitizers look for faults, not for accuracy: a few texts do.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kInstrumented = true;
#else
constexpr bool kInstrumented = false;
#endif
#else
constexpr bool kInstrumented = false;
#endif
constexpr std::size_t kInstrumentedTexts = 24;

struct Vectors {
    std::size_t count = 0;
    std::size_t dimension = 0;
    std::vector<float> values;
    const float* row(std::size_t i) const { return values.data() + i * dimension; }
};

float from_half(std::uint16_t half) {
    const int exponent = (half >> 10) & 31;
    const int fraction = half & 1023;
    const double value =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return static_cast<float>((half & 0x8000) != 0 ? -value : value);
}

Vectors read_vectors(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    char magic[4] = {};
    std::uint32_t head[3] = {};
    in.read(magic, 4);
    in.read(reinterpret_cast<char*>(head), sizeof(head));
    EXPECT_EQ(std::string_view(magic, 4), "HVEC") << file;
    Vectors vectors{.count = head[0], .dimension = head[1], .values = {}};
    vectors.values.resize(vectors.count * vectors.dimension);
    for (float& value : vectors.values) {
        if (head[2] == 32) {
            in.read(reinterpret_cast<char*>(&value), 4);
        } else {
            std::uint16_t half = 0;
            in.read(reinterpret_cast<char*>(&half), 2);
            value = from_half(half);
        }
    }
    EXPECT_TRUE(in) << file;
    return vectors;
}

std::vector<std::string> read_texts() {
    std::vector<std::string> texts;
    gzFile file = ::gzopen((kGolden / "texts.jsonl.gz").c_str(), "rb");
    EXPECT_NE(file, nullptr);
    std::string all;
    char buffer[1 << 16];
    for (int n = 0; (n = ::gzread(file, buffer, sizeof(buffer))) > 0;) {
        all.append(buffer, static_cast<std::size_t>(n));
    }
    ::gzclose(file);
    std::istringstream lines(all);
    for (std::string line; std::getline(lines, line);) {
        texts.emplace_back(boost::json::parse(line).at("text").as_string());
    }
    return texts;
}

double cosine(const float* a, const float* b, std::size_t n) {
    double dot = 0;
    double aa = 0;
    double bb = 0;
    for (std::size_t i = 0; i < n; ++i) {
        dot += static_cast<double>(a[i]) * b[i];
        aa += static_cast<double>(a[i]) * a[i];
        bb += static_cast<double>(b[i]) * b[i];
    }
    return dot / std::sqrt(aa * bb);
}

// Embeds everything in one batch, sorted by nothing.
Vectors embed(const fs::path& model, const fs::path& tokens_of, Numbers numbers,
              const std::vector<std::string>& texts, std::size_t tokens_max) {
    auto config = models::read_encoder_config(model);
    EXPECT_TRUE(config) << config.error().message;
    config->tokens_max = std::min(tokens_max, config->positions_max);
    const auto tokenizer = tokens::Tokenizer::open(tokens_of);
    EXPECT_TRUE(tokenizer) << tokenizer.error().message;
    const auto forward = Forward::load(model, *config, *supported_kernels().front(), numbers);
    EXPECT_TRUE(forward) << forward.error().message;
    Session session(**forward, usable_cpus());
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> one;
    std::vector<std::uint32_t> lengths;
    for (const std::string& text : texts) {
        (*tokenizer)->encode(text, one);
        EXPECT_LE(one.size(), config->tokens_max);
        ids.insert(ids.end(), one.begin(), one.end());
        lengths.push_back(static_cast<std::uint32_t>(one.size()));
    }
    Vectors vectors{.count = texts.size(), .dimension = config->hidden, .values = {}};
    vectors.values.resize(vectors.count * vectors.dimension);
    session.run(ids, lengths, vectors.values);
    return vectors;
}

double worst_cosine(const Vectors& a, const Vectors& b) {
    double worst = 1;
    for (std::size_t i = 0; i < a.count; ++i) {
        worst = std::min(worst, cosine(a.row(i), b.row(i), a.dimension));
    }
    return worst;
}

// The ten nearest other rows of every row.
std::vector<std::set<std::size_t>> neighbours(const Vectors& v) {
    std::vector<float> unit(v.values);
    for (std::size_t i = 0; i < v.count; ++i) {
        float* row = unit.data() + i * v.dimension;
        double square = 0;
        for (std::size_t d = 0; d < v.dimension; ++d) square += row[d] * row[d];
        for (std::size_t d = 0; d < v.dimension; ++d) {
            row[d] = static_cast<float>(row[d] / std::sqrt(square));
        }
    }
    std::vector<std::set<std::size_t>> nearest(v.count);
    std::vector<std::pair<float, std::size_t>> scored(v.count);
    for (std::size_t i = 0; i < v.count; ++i) {
        const float* a = unit.data() + i * v.dimension;
        for (std::size_t j = 0; j < v.count; ++j) {
            const float* b = unit.data() + j * v.dimension;
            float dot = i == j ? 2.0F : 0.0F;
            for (std::size_t d = 0; d < v.dimension; ++d) dot -= a[d] * b[d];
            scored[j] = {dot, j};
        }
        scored[i].first = 2.0F;
        std::ranges::partial_sort(scored, scored.begin() + 10);
        for (int k = 0; k < 10; ++k) nearest[i].insert(scored[static_cast<std::size_t>(k)].second);
    }
    return nearest;
}

// The share of the reference's ten nearest that are ours too.
double neighbour_agreement(const Vectors& ours, const Vectors& theirs) {
    const auto a = neighbours(ours);
    const auto b = neighbours(theirs);
    std::size_t common = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        common += static_cast<std::size_t>(
            std::ranges::count_if(a[i], [&](std::size_t j) { return b[i].contains(j); }));
    }
    return static_cast<double>(common) / (10.0 * static_cast<double>(a.size()));
}

class DefaultModel : public ::testing::Test {
  protected:
    void SetUp() override {
        if (!fs::exists(kModel / "model.safetensors")) GTEST_SKIP() << "run ./dev setup";
    }
    void expect(Numbers numbers, double least_cosine, double least_agreement) {
        Vectors golden = read_vectors(kGolden / "all-minilm.vectors");
        auto texts = read_texts();
        ASSERT_GE(texts.size(), 1000);
        ASSERT_EQ(texts.size(), golden.count);
        if (kInstrumented) {
            texts.resize(kInstrumentedTexts);
            golden.count = kInstrumentedTexts;
        }
        const Vectors ours = embed(kModel, kModel, numbers, texts, 512);
        const double worst = worst_cosine(ours, golden);
        const double agreement = neighbour_agreement(ours, golden);
        RecordProperty("worst_cosine", std::to_string(worst));
        RecordProperty("neighbour_agreement", std::to_string(agreement));
        EXPECT_GE(worst, least_cosine);
        EXPECT_GE(agreement, least_agreement);
    }
};

TEST_F(DefaultModel, Fp32VectorsAreTheReferences) { expect(Numbers::F32, 0.99999, 0.999); }

TEST_F(DefaultModel, Bfloat16VectorsAreCloseToTheReferences) {
    if (supported_kernels().front()->gemm_bf16 == nullptr) GTEST_SKIP() << "int16 stands in for it";
    expect(Numbers::Bf16, 0.999, 0.985);
}

TEST_F(DefaultModel, Int16VectorsAreCloserThanBfloat16Asks) { expect(Numbers::I16, 0.9999, 0.99); }

TEST_F(DefaultModel, Int8VectorsAreCloseToTheReferences) { expect(Numbers::I8, 0.99, 0.97); }

std::vector<std::string> tiny_texts(std::string_view prefix) {
    std::vector<std::string> texts;
    std::ifstream in(kGolden / "tiny_texts.txt");
    for (std::string line; std::getline(in, line);) texts.push_back(std::string(prefix) + line);
    return texts;
}

TEST_F(DefaultModel, ClsPoolingGivesTheReferencesVectors) {
    const TinyFolder folder;
    folder.write_bert("cls");
    const Vectors golden = read_vectors(kGolden / "tiny-bert-cls.vectors");
    const Vectors ours = embed(folder.path(), kModel, Numbers::F32, tiny_texts(""), 512);
    ASSERT_EQ(ours.count, golden.count);
    EXPECT_GE(worst_cosine(ours, golden), 0.99999);
}

TEST_F(DefaultModel, NomicBertGivesLlamaCppsVectors) {
    if (!fs::exists(kGolden / "tiny-nomic.vectors")) GTEST_SKIP() << "no golden vectors";
    const TinyFolder folder;
    folder.write_nomic();
    const Vectors golden = read_vectors(kGolden / "tiny-nomic.vectors");
    const auto texts = tiny_texts("search_document: ");
    const Vectors ours = embed(folder.path(), kModel, Numbers::F32, texts, 2048);
    ASSERT_EQ(ours.count, golden.count);
    EXPECT_GE(worst_cosine(ours, golden), 0.9999);
}

}  // namespace
}  // namespace hearth::encoder
