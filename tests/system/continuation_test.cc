// A server breaks off in the middle of its text, and another goes on, whatever the words of either
// and of the caller.
#include <gtest/gtest.h>

#include <fstream>

#include "base/format.h"
#include "matrix_dialects.h"
#include "matrix_upstream.h"
#include "server_process.h"
#include "text_requests.h"

namespace hearth::system_test {
namespace {

using matrix::Answer;
using matrix::Ask;
using matrix::Dialect;
using matrix::ScriptedUpstream;
using matrix::Sort;

constexpr const char* kWays[] = {"openai", "ollama", "anthropic"};

// Two servers of each kind: one that breaks off after "It", one that says it all.
class ContinuedTest : public ::testing::Test {
  protected:
    void start(std::string_view routing, StartOptions options = {}) {
        std::string backends;
        std::string fallbacks;
        for (std::size_t i = 0; i < std::size(kWays); ++i) {
            breaks_.push_back(std::make_unique<ScriptedUpstream>(kWays[i]));
            breaks_.back()->play(matrix::Scene::BreaksOff);
            says_.push_back(std::make_unique<ScriptedUpstream>(kWays[i]));
            backends += format("  breaks{0}: {{kind: {1}, url: \"http://{2}\", failures: 1000}}\n",
                               i, kWays[i], breaks_.back()->address());
            backends += format("  says{0}: {{kind: {1}, url: \"http://{2}\"}}\n", i, kWays[i],
                               says_.back()->address());
            // An alias of each pair: a fallback belongs to a name.
            for (std::size_t j = 0; j < std::size(kWays); ++j) {
                fallbacks += format("  pair{0}{1}: [says{1}/scripted]\n", i, j);
            }
            fallbacks += format("  local{0}: [\"tiny-text:q8_0\"]\n", i);
        }
        std::string aliases;
        for (std::size_t i = 0; i < std::size(kWays); ++i) {
            for (std::size_t j = 0; j < std::size(kWays); ++j) {
                aliases += format("  pair{0}{1}: breaks{0}/scripted\n", i, j);
            }
            aliases += format("  local{0}: breaks{0}/scripted\n", i);
        }
        std::ofstream(folder_ / "hearth.yaml")
            << "routing: {find_ollama: false, attempts: 1" << routing << "}\nbackends:\n"
            << backends << "aliases:\n"
            << aliases << "fallbacks:\n"
            << fallbacks;
        options.arguments = {"--config", (folder_ / "hearth.yaml").string()};
        options.environment.emplace_back("HEARTH_MODELS__INSTALLED=false");
        gateway_ = std::make_unique<ServerProcess>(options);
    }
    ~ContinuedTest() override {
        gateway_.reset();
        std::filesystem::remove_all(folder_);
    }

    Answer ask(const Dialect& dialect, const std::string& model, bool stream) const {
        const Reply reply =
            post(gateway_->address(), dialect.route,
                 body_of(dialect, {.model = model, .stream = stream, .tokens = 40}));
        EXPECT_EQ(reply.status, 200) << reply.body;
        if (reply.status != 200) return {};
        return matrix::read_answer(dialect.form, reply, stream);
    }
    static void expect_whole(const Answer& answer) {
        EXPECT_TRUE(answer.ended);
        EXPECT_FALSE(answer.failed);
        EXPECT_EQ(answer.text, format("It{}", matrix::kSaid));
        EXPECT_EQ(answer.finish, "stop");
    }
    // How the text so far stands in the call for the rest.
    static std::string_view beginning_of(const Dialect& dialect, std::string_view kind) {
        if (dialect.sort == Sort::Text) return R"(weather?It")";
        return kind == "anthropic" ? R"("role":"assistant","content":[{"type":"text","text":"It"}])"
                                   : R"("role":"assistant","content":"It")";
    }
    static bool is_text(const Dialect& dialect) {
        return dialect.sort == Sort::Chat || dialect.sort == Sort::Text;
    }

    const std::filesystem::path folder_ = make_folder();
    std::vector<std::unique_ptr<ScriptedUpstream>> breaks_;
    std::vector<std::unique_ptr<ScriptedUpstream>> says_;
    std::unique_ptr<ServerProcess> gateway_;
};

TEST_F(ContinuedTest, AnotherServerGoesOnWhereOneBreaksOff) {
    start(", continue_answers: true");
    int continued = 0;
    for (const Dialect& dialect : matrix::dialects()) {
        if (!is_text(dialect)) continue;
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = 0; j < 3; ++j) {
                // Anthropic has no bare texts.
                if (dialect.sort == Sort::Text && (i == 2 || j == 2)) continue;
                SCOPED_TRACE(format("{}: {}, then {}", dialect.route, kWays[i], kWays[j]));
                expect_whole(ask(dialect, format("pair{}{}", i, j), true));
                const std::string sent = says_[j]->last_body();
                EXPECT_TRUE(sent.contains(beginning_of(dialect, kWays[j]))) << sent;
                if (dialect.sort == Sort::Chat && j == 0) {
                    EXPECT_TRUE(sent.contains(R"("continue_final_message":true)")) << sent;
                }
                ++continued;
            }
        }
    }
    EXPECT_EQ(metric(gateway_->address(), "hearth_upstream_continuations_total"), continued);
}

TEST_F(ContinuedTest, AModelOfThisMachineGoesOnToo) {
    start(", continue_answers: true", text_options());
    for (const Dialect& dialect : matrix::dialects()) {
        if (!is_text(dialect) || dialect.sort == Sort::Text) continue;
        SCOPED_TRACE(dialect.route);
        const Answer answer = ask(dialect, "local0", true);
        EXPECT_TRUE(answer.ended);
        EXPECT_TRUE(answer.text.starts_with("It"));
        EXPECT_GT(answer.text.size(), 2U);
    }
}

// Its caller has seen nothing of the first one's.
TEST_F(ContinuedTest, AnAnswerThatIsNoStreamComesWholeFromAnother) {
    start("");
    for (const Dialect& dialect : matrix::dialects()) {
        if (!is_text(dialect)) continue;
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = 0; j < 3; ++j) {
                if (dialect.sort == Sort::Text && (i == 2 || j == 2)) continue;
                SCOPED_TRACE(format("{}: {}, then {}", dialect.route, kWays[i], kWays[j]));
                const Answer answer = ask(dialect, format("pair{}{}", i, j), false);
                EXPECT_FALSE(answer.failed);
                EXPECT_EQ(answer.text, matrix::kSaid);
                EXPECT_EQ(answer.finish, "stop");
            }
        }
    }
    EXPECT_EQ(metric(gateway_->address(), "hearth_upstream_continuations_total"), 0);
}

TEST_F(ContinuedTest, OnlyWhereItIsAskedFor) {
    start("");
    const Answer answer = ask(matrix::dialects().front(), "pair00", true);
    EXPECT_TRUE(answer.failed);
    EXPECT_FALSE(answer.ended);
    EXPECT_EQ(says_[0]->calls(), 0);
}

}  // namespace
}  // namespace hearth::system_test
