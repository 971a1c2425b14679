#include <gtest/gtest.h>

#include <bit>
#include <boost/json.hpp>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "api/json_text.h"
#include "api/ollama.h"
#include "api/openai.h"
#include "api/tei.h"
#include "api/testing.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

inference::EmbedReply random_reply(std::size_t count, std::size_t dimension, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> value(0, 0.05F);
    inference::EmbedReply reply;
    reply.dimension = dimension;
    for (std::size_t i = 0; i < count * dimension; ++i) reply.vectors.push_back(value(random));
    reply.tokens.assign(count, 5);
    return reply;
}

TEST(Dialects, GiveEveryErrorAStatusAndAJsonBody) {
    for (const Code code : kAllCodes) {
        const Error error{.code = code, .message = "What \"happened\"\n.", .param = "input[3]"};
        for (const Reply& reply :
             {openai::encode_error(error), ollama::encode_error(error), tei::encode_error(error)}) {
            EXPECT_GE(reply.status, 400) << to_string(code);
            EXPECT_LT(reply.status, 600) << to_string(code);
            EXPECT_EQ(reply.retry_after.has_value(), reply.status == 429 || reply.status == 503);
            boost::system::error_code invalid;
            const json::value body = json::parse(reply.body, invalid);
            ASSERT_FALSE(invalid) << reply.body;
            EXPECT_TRUE(body.as_object().contains("error"));
        }
        const json::value body = json::parse(openai::encode_error(error).body);
        const json::object& fields = body.at("error").as_object();
        EXPECT_EQ(fields.size(), 4U);
        EXPECT_EQ(fields.at("message").as_string(), error.message);
        EXPECT_EQ(fields.at("param").as_string(), "input[3]");
    }
}

TEST(Dialects, RoundRetryAfterUpToWholeSeconds) {
    const auto seconds = [](std::optional<milliseconds> wait) {
        return openai::encode_error({.code = Code::Overloaded, .message = {}, .retry_after = wait})
            .retry_after->count();
    };
    EXPECT_EQ(seconds(std::nullopt), 1);
    EXPECT_EQ(seconds(milliseconds(0)), 1);
    EXPECT_EQ(seconds(milliseconds(1000)), 1);
    EXPECT_EQ(seconds(milliseconds(1001)), 2);
}

TEST(Dialects, TellNoTokensOfVectorsThatTheyDoNotKnow) {
    auto reply = random_reply(2, 3, 7);
    const auto counted = [&] {
        return json::parse(ollama::encode_embed(reply, "m", milliseconds(1)).body)
            .as_object()
            .contains("prompt_eval_count");
    };
    EXPECT_TRUE(counted());
    reply.tokens.assign(2, 0);
    EXPECT_FALSE(counted());
    // Clients of this API break without a number.
    const json::value body =
        json::parse(openai::encode_embeddings(reply, openai::VectorFormat::Float, "m").body);
    EXPECT_EQ(body.at("usage").at("prompt_tokens"), json::value(0));
}

TEST(Dialects, WriteFloatsThatReadBackAsTheSameBits) {
    const auto reply = random_reply(3, 384, 7);
    const json::value body =
        json::parse(openai::encode_embeddings(reply, openai::VectorFormat::Float, "m").body);
    const json::array& data = body.at("data").as_array();
    ASSERT_EQ(data.size(), 3U);
    std::size_t at = 0;
    for (const auto& item : data) {
        for (const auto& value : item.at("embedding").as_array()) {
            const auto back = static_cast<float>(value.to_number<double>());
            EXPECT_EQ(std::bit_cast<std::uint32_t>(back),
                      std::bit_cast<std::uint32_t>(reply.vectors[at++]));
        }
    }
    EXPECT_EQ(at, reply.vectors.size());
}

TEST(Dialects, WriteTheExtremesOfAFloatAndNullForWhatIsNoNumber) {
    using Limits = std::numeric_limits<float>;
    const float values[] = {Limits::lowest(),
                            Limits::max(),
                            Limits::min(),
                            -Limits::denorm_min(),
                            -0.0F,
                            1.17549435e-38F,
                            -1e-38F,
                            Limits::infinity(),
                            -Limits::infinity(),
                            Limits::quiet_NaN()};
    std::string out;
    append_vector(out, values);
    EXPECT_EQ(out,
              "[-3.4028235e+38,3.4028235e+38,1.1754944e-38,-1e-45,-0,1.1754944e-38,-1e-38,"
              "null,null,null]");
    out.clear();
    append_vector(out, {});
    EXPECT_EQ(out, "[]");
}

TEST(Dialects, EscapeEveryControlCharacterAndRepairUtf8) {
    std::string text;
    for (char c = 0; c < 0x20; ++c) text += c;
    text += "\"\\/\x7F ü";
    std::string out;
    append_text(out, text);
    EXPECT_EQ(json::parse(out).as_string(), text);
    out.clear();
    append_text(out, "a\xFFz");
    EXPECT_EQ(out, "\"a\uFFFDz\"");
}

TEST(Dialects, WriteTimesInUtcWithNanoseconds) {
    const auto shown = [](std::int64_t ns) {
        std::string out;
        append_time(out, ns);
        return out;
    };
    EXPECT_EQ(shown(0), "1970-01-01T00:00:00.000000000Z");
    EXPECT_EQ(shown(-1), "1969-12-31T23:59:59.999999999Z");
    EXPECT_EQ(shown(1'709'164'800'000'000'001), "2024-02-29T00:00:00.000000001Z");
    EXPECT_EQ(shown(kNever), "2262-04-11T23:47:16.854775807Z");
}

TEST(OpenAi, AsksForTheTokenCapAndRefusesLongTexts) {
    const auto call = openai::parse_embeddings(R"({"model":"m","input":"x"})");
    ASSERT_TRUE(call);
    EXPECT_EQ(call->request.tokens_max, 300'000U);
    EXPECT_EQ(call->request.overflow, inference::Overflow::Refuse);
}

TEST(Ollama, ReadsGoDurations) {
    const auto ms = [](std::string_view text) {
        const auto duration = ollama::parse_duration(text);
        return duration ? duration->count() : -999;
    };
    EXPECT_EQ(ms("5m"), 300'000);
    EXPECT_EQ(ms("1h30m"), 5'400'000);
    EXPECT_EQ(ms("1.5h"), 5'400'000);
    EXPECT_EQ(ms("+10s"), 10'000);
    EXPECT_EQ(ms("300ms"), 300);
    EXPECT_EQ(ms("1us"), 1);  // never shorter than asked for
    EXPECT_EQ(ms("1\u00B5s"), 1);
    EXPECT_EQ(ms("0"), 0);
    EXPECT_EQ(ms("0s"), 0);
    EXPECT_EQ(ms("-1s"), -1);
    EXPECT_EQ(ms("-1h"), -1);
    EXPECT_EQ(ms(".5s"), 500);
    EXPECT_EQ(ms("9999999999h"), -1);
    for (const auto* wrong : {"", "-", "10", "m", "5 m", "5m ", "1h-30m", "5d", ".", ".s", "1..5s",
                              "1e3s", "0x1s", "m5"}) {
        EXPECT_EQ(ms(wrong), -999) << wrong;
    }
    EXPECT_EQ(ms(std::string(64, '0').replace(63, 1, "s")), 0);
    EXPECT_EQ(ms(std::string(65, '0').replace(64, 1, "s")), -999);
}

TEST(Ollama, ShowsCountsOfParametersAsItsClientsKnowThem) {
    const auto shown = [](std::uint64_t parameters) {
        models::Model model = sample_model("m");
        model.parameters = parameters;
        const json::value body = json::parse(ollama::encode_show(model).body);
        return std::string(body.at("details").at("parameter_size").as_string());
    };
    EXPECT_EQ(shown(999), "999");
    EXPECT_EQ(shown(1'000), "1K");
    EXPECT_EQ(shown(22'713'216), "22.71M");
    EXPECT_EQ(shown(137'000'000), "137M");
    EXPECT_EQ(shown(1'500'000'000), "1.5B");
    EXPECT_EQ(shown(7'620'000'000), "7.6B");
    EXPECT_EQ(shown(8'030'000'000), "8.0B");
    EXPECT_EQ(shown(8'000'000'000), "8B");
}

TEST(Ollama, ListsTheLongestRemainingFirst) {
    const models::Model a = sample_model("a:latest");
    const models::Model b = sample_model("b:latest");
    const models::Model c = sample_model("c:latest");
    const RunningModel running[] = {{.model = &a, .expires_unix_ns = 5},
                                    {.model = &b, .expires_unix_ns = kNever},
                                    {.model = &c, .expires_unix_ns = 9}};
    const json::value body = json::parse(ollama::encode_ps(running).body);
    EXPECT_EQ(body.at("models").at(0).at("name").as_string(), "b:latest");
    EXPECT_EQ(body.at("models").at(1).at("name").as_string(), "c:latest");
    EXPECT_EQ(body.at("models").at(2).at("name").as_string(), "a:latest");
}

}  // namespace
}  // namespace hearth::api
