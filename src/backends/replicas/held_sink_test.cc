#include "backends/replicas/held_sink.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include "testing/run.h"

namespace hearth::replicas {
namespace {

boost::json::object word(std::string_view text) {
    return {{"choices", {{{"delta", {{"content", text}}}}}}};
}

class NotingSink final : public inference::Sink {
  public:
    explicit NotingSink(bool shows) : shows_(shows) {}
    void begin(inference::Origin) override {}
    Awaitable<Result<void>> push(boost::json::object) override {
        ++events;
        co_return Result<void>();
    }
    Awaitable<Result<void>> alive() override { co_return Result<void>(); }
    bool shows_at_once() const override { return shows_; }
    void first_word() override { ++first_words; }

    int events = 0;
    int first_words = 0;

  private:
    const bool shows_;
};

class HeldSinkTest : public ::testing::Test {
  protected:
    bool push(HeldSink& held, boost::json::object event) {
        return testing::run(io_, held.push(std::move(event))).has_value();
    }
    boost::asio::io_context io_;
};

TEST_F(HeldSinkTest, LetsAStreamGoWithItsFirstWord) {
    NotingSink sink(true);
    HeldSink held(sink);
    push(held, {{"choices", boost::json::array{}}});
    EXPECT_EQ(sink.events, 0);
    push(held, word("a"));
    EXPECT_EQ(sink.events, 2);
    EXPECT_TRUE(held.committed());
    EXPECT_EQ(sink.first_words, 0);
}

TEST_F(HeldSinkTest, KeepsAWholeAnswerUntilItsEndAndSaysWhenItBegan) {
    NotingSink sink(false);
    HeldSink held(sink);
    for (std::size_t i = 0; i < 2 * HeldSink::kEventsMax; ++i) push(held, word("a"));
    EXPECT_EQ(sink.events, 0);
    EXPECT_FALSE(held.committed());
    EXPECT_TRUE(held.time_to_first());
    EXPECT_EQ(sink.first_words, 1);
    EXPECT_TRUE(testing::run(io_, held.release()));
    EXPECT_EQ(sink.events, 128);
}

TEST_F(HeldSinkTest, KeepsNoMoreOfAWholeAnswerThanTheBound) {
    NotingSink sink(false);
    HeldSink held(sink);
    const std::string text(HeldSink::kAnswerBytesMax / 4, 'x');
    for (int i = 0; i < 3; ++i) push(held, word(text));
    EXPECT_EQ(sink.events, 0);
    push(held, word(text));
    EXPECT_EQ(sink.events, 4) << "all that was kept";
    EXPECT_TRUE(held.committed());
}

}  // namespace
}  // namespace hearth::replicas
