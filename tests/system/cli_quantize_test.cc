#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>

#include "cli_process.h"
#include "testing/gguf_models.h"

// `hearth quantize` with llama.cpp's own programs.
namespace hearth::system_test {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using hearth::testing::GgufKind;

class CliQuantize : public ::testing::Test {
  protected:
    CliQuantize() { fs::create_directories(folder_); }
    ~CliQuantize() override { fs::remove_all(folder_); }

    Ended quantize(std::vector<std::string> arguments) const {
        arguments.insert(arguments.begin(), "quantize");
        arguments.insert(arguments.end(), {"--data-dir", folder_.string()});
        return run_cli({.arguments = std::move(arguments), .environment = {}, .input = {}});
    }

    const fs::path folder_ =
        fs::temp_directory_path() / ("hearth-quantize-" + std::to_string(::getpid()));
    const std::string model_ = hearth::testing::make_gguf(GgufKind::Text).string();
};

TEST_F(CliQuantize, MakesAModelTheServerFindsAndMeasuresBoth) {
    const std::string text = HEARTH_SOURCE_DIR "/LICENSE";
    const Ended done = quantize({model_, "q4_0", "--again", "--json", "--text", text});
    ASSERT_EQ(done.code, 0) << done.errors;
    const json::value said = json::parse(done.output);
    EXPECT_LT(said.at("after").at("bytes").as_int64(), said.at("before").at("bytes").as_int64());
    EXPECT_GT(said.at("before").at("perplexity").as_double(), 1.0);
    EXPECT_GT(said.at("after").at("perplexity").as_double(), 1.0);
    EXPECT_TRUE(fs::exists(folder_ / "models/tiny-text-q8_0-Q4_0.gguf"));

    const Ended again = quantize({model_, "Q4_0", "--again"});
    EXPECT_EQ(again.code, 2);
    EXPECT_TRUE(again.errors.contains("exists; --output names another file")) << again.errors;
}

TEST_F(CliQuantize, SaysWhatIsWrong) {
    EXPECT_TRUE(quantize({model_, "q4"}).errors.contains("there is no type q4; choose one of"));
    EXPECT_TRUE(quantize({"nobody", "Q4_0"}).errors.contains("neither a GGUF file nor a model"));
    const Ended not_again = quantize({model_, "Q4_0"});
    EXPECT_EQ(not_again.code, 2);
    EXPECT_TRUE(not_again.errors.starts_with("hearth: ")) << not_again.errors;
    EXPECT_FALSE(fs::exists(folder_ / "models/tiny-text-q8_0-Q4_0.gguf.partial"));
}

}  // namespace
}  // namespace hearth::system_test
