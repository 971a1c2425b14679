#include "encoder/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <thread>

#include "encoder/calibration.h"
#include "encoder/cpu.h"
#include "encoder/engine_test_folder.h"
#include "encoder/session.h"

namespace hearth::encoder {
namespace {

struct Batch {
    std::vector<std::int32_t> ids;
    std::vector<std::uint32_t> lengths;

    void add(std::uint32_t length, unsigned seed) {
        std::mt19937 random(seed);
        for (std::uint32_t i = 0; i < length; ++i) {
            ids.push_back(static_cast<std::int32_t>(random() % 30'000));
        }
        lengths.push_back(length);
    }
};

std::vector<float> run(Engine& engine, const Batch& batch, std::size_t session = 0) {
    std::vector<float> out(batch.lengths.size() * engine.config().hidden);
    const auto done = engine.run(session, batch.ids, batch.lengths, out);
    EXPECT_TRUE(done) << done.error().message;
    return out;
}

std::unique_ptr<Engine> open(const TinyFolder& folder, const EngineOptions& options) {
    auto engine = Engine::open(folder.path(), options);
    EXPECT_TRUE(engine) << engine.error().message;
    return engine ? *std::move(engine) : nullptr;
}

std::string refusal(const TinyFolder& folder) {
    const auto engine = Engine::open(folder.path(), {.sessions = 1});
    EXPECT_FALSE(engine);
    return engine ? "" : engine.error().message;
}

TEST(Precision, NamesAreReadBack) {
    for (const Precision p : {Precision::Auto, Precision::Fp32, Precision::Bf16, Precision::Int8}) {
        EXPECT_EQ(*parse_precision(to_string(p)), p);
    }
    EXPECT_FALSE(parse_precision("fp8"));
}

TEST(Engine, BatchCompositionDoesNotChangeAVector) {
    const TinyFolder folder;
    folder.write_bert("mean");
    for (const Precision precision : {Precision::Fp32, Precision::Bf16, Precision::Int8}) {
        const auto engine = open(folder, {.precision = precision, .threads = 1, .sessions = 1});
        Batch together;
        const std::uint32_t lengths[] = {1, 2, 31, 32, 33, 113, 512, 7, 64, 300};
        for (unsigned i = 0; i < std::size(lengths); ++i) together.add(lengths[i], i);
        const auto all = run(*engine, together);
        for (unsigned i = 0; i < std::size(lengths); ++i) {
            Batch alone;
            alone.add(lengths[i], i);
            const auto one = run(*engine, alone);
            for (std::size_t d = 0; d < one.size(); ++d) {
                EXPECT_EQ(one[d], all[i * one.size() + d])
                    << to_string(precision) << " length " << lengths[i];
            }
        }
    }
}

TEST(Engine, ATeamOfThreadsGivesTheSameVectors) {
    const TinyFolder folder;
    folder.write_nomic();
    const auto config = models::read_encoder_config(folder.path());
    ASSERT_TRUE(config) << config.error().message;
    const auto forward =
        Forward::load(folder.path(), *config, *supported_kernels().front(), Numbers::I8);
    ASSERT_TRUE(forward) << forward.error().message;
    Session one(**forward, 1);
    Session three(**forward, 3);
    for (const std::uint32_t length : {5U, 200U, 1500U}) {
        Batch batch;
        for (unsigned i = 0; i < 5; ++i) batch.add(length, i);
        for (const std::size_t texts : {1UZ, 5UZ}) {
            const std::span<const std::int32_t> ids(batch.ids.data(), texts * length);
            const std::span<const std::uint32_t> lengths(batch.lengths.data(), texts);
            std::vector<float> a(texts * 128);
            std::vector<float> b(texts * 128);
            one.run(ids, lengths, a);
            three.run(ids, lengths, b);
            EXPECT_EQ(a, b) << length << " x " << texts;
        }
    }
}

TEST(Engine, SessionsRunAtTheSameTime) {
    const TinyFolder folder;
    folder.write_bert("mean");
    const auto engine = open(folder, {.precision = Precision::Int8, .threads = 1, .sessions = 2});
    ASSERT_LE(engine->sessions() * engine->threads(), usable_cpus());
    Batch batch;
    for (unsigned i = 0; i < 20; ++i) batch.add(10 + i * 7, i);
    const auto expected = run(*engine, batch);
    std::vector<std::jthread> threads;
    for (std::size_t s = 0; s < engine->sessions(); ++s) {
        threads.emplace_back([&, s] {
            for (int i = 0; i < 5; ++i) EXPECT_EQ(run(*engine, batch, s), expected);
        });
    }
}

TEST(Engine, NeverUsesMoreCpusThanGiven) {
    const TinyFolder folder;
    folder.write_bert("mean", {.hidden = 32, .heads = 2, .inner = 64, .layers = 1});
    const auto one = open(folder, {.cpus_max = 1});
    EXPECT_EQ(one->sessions() * one->threads(), 1);
    const auto many = open(folder, {.threads = 64, .sessions = 64});
    EXPECT_LE(many->sessions() * many->threads(), usable_cpus());
}

TEST(Engine, RefusesWhatIsNotAText) {
    const TinyFolder folder;
    folder.write_bert("mean", {.hidden = 32, .heads = 2, .inner = 64, .layers = 1});
    const auto engine = open(folder, {.sessions = 1});
    std::vector<float> out(32);
    const auto code_of = [&](const std::vector<std::int32_t>& ids,
                             const std::vector<std::uint32_t>& lengths) {
        const auto done = engine->run(0, ids, lengths, out);
        EXPECT_FALSE(done);
        return done ? Code::Internal : done.error().code;
    };
    EXPECT_EQ(code_of({}, {0}), Code::InvalidArgument);
    EXPECT_EQ(code_of(std::vector<std::int32_t>(513), {513}), Code::InvalidArgument);
    EXPECT_EQ(code_of({30'522}, {1}), Code::InvalidArgument);
    EXPECT_EQ(code_of({-1}, {1}), Code::InvalidArgument);
    Batch longest;
    longest.add(512, 1);
    EXPECT_EQ(run(*engine, longest).size(), 32);
}

TEST(Engine, AValueThatIsNotFiniteIsAnError) {
    const TinyFolder folder;
    // Finite weights whose product is not.
    folder.write_bert("cls", {.hidden = 32, .heads = 2, .inner = 64, .layers = 1},
                      [](const TinyTensor& tensor, std::vector<float>& values) {
                          if (tensor.name == "encoder.layer.0.output.LayerNorm.weight") {
                              std::ranges::fill(values, 3e38F);
                          }
                      });
    const auto engine = open(folder, {.precision = Precision::Fp32, .sessions = 1});
    Batch batch;
    batch.add(3, 1);
    std::vector<float> out(32);
    const auto done = engine->run(0, batch.ids, batch.lengths, out);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::Internal);
}

TEST(Engine, HostileFoldersAreRefusedWithOneSentence) {
    const TinySizes sizes{.hidden = 32, .heads = 2, .inner = 64, .layers = 1};
    const TinyFolder folder;
    folder.write_bert("mean", sizes, [](const TinyTensor& tensor, std::vector<float>& values) {
        if (tensor.name == "encoder.layer.0.output.dense.weight") {
            values[100] = std::numeric_limits<float>::quiet_NaN();
        }
    });
    EXPECT_EQ(refusal(folder),
              "model.safetensors: tensor encoder.layer.0.output.dense.weight holds a value that is "
              "not finite");

    auto tensors = TinyFolder::bert_tensors(sizes);
    std::erase_if(tensors, [](const TinyTensor& t) { return t.name.ends_with("query.bias"); });
    tensors.front().shape[0] -= 1;
    folder.write_weights(tensors);
    EXPECT_EQ(refusal(folder),
              "model.safetensors: tensor embeddings.word_embeddings.weight has shape [30521, 32], "
              "expected [30522, 32]");

    tensors = TinyFolder::bert_tensors(sizes);
    std::erase_if(
        tensors, [](const TinyTensor& t) { return t.name.ends_with("intermediate.dense.weight"); });
    folder.write_weights(tensors);
    EXPECT_EQ(refusal(folder),
              "model.safetensors: tensor encoder.layer.0.intermediate.dense.weight is missing");

    folder.write_weights(TinyFolder::bert_tensors(sizes));
    const auto file = folder.path() / "model.safetensors";
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
    EXPECT_NE(refusal(folder), "");
    std::filesystem::resize_file(file, 4);
    EXPECT_NE(refusal(folder), "");
    std::filesystem::remove(file);
    EXPECT_NE(refusal(folder), "");
}

TEST(Calibration, KeepsWhatIsGivenAndTheLimit) {
    const TinyFolder folder;
    folder.write_bert("mean", {.hidden = 32, .heads = 2, .inner = 64, .layers = 1});
    const auto config = models::read_encoder_config(folder.path());
    ASSERT_TRUE(config);
    const auto forward =
        Forward::load(folder.path(), *config, *supported_kernels().front(), Numbers::F32);
    ASSERT_TRUE(forward);
    const std::chrono::milliseconds time{100};
    const auto begin = std::chrono::steady_clock::now();
    for (const std::size_t cpus : {1UZ, 2UZ, 3UZ}) {
        for (const std::size_t sessions : {0UZ, 1UZ, 2UZ}) {
            for (const std::size_t threads : {0UZ, 1UZ, 2UZ}) {
                const auto found = calibrate(**forward, {sessions, threads}, cpus, time);
                EXPECT_LE(found.sessions * found.threads, cpus);
                EXPECT_GE(found.sessions * found.threads, 1);
                if (sessions * threads != 0 && sessions * threads <= cpus) {
                    EXPECT_EQ(found.sessions, sessions);
                    EXPECT_EQ(found.threads, threads);
                }
            }
        }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

}  // namespace
}  // namespace hearth::encoder
