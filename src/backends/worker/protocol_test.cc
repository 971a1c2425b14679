#include "backends/worker/protocol.h"

#include <gtest/gtest.h>

#include <random>

namespace hearth::worker {
namespace {

using inference::Overflow;
using inference::TokenIds;

Call example() {
    Call call{.time_left = std::chrono::milliseconds(1500)};
    call.request.inputs = {"int main() {}", TokenIds{101, -7, 2'000'000}, "", TokenIds{}};
    call.request.dimensions = 128;
    call.request.overflow = Overflow::CutLeft;
    call.request.normalize = false;
    call.request.prompt_name = "query";
    call.request.tokens_max = 300'000;
    return call;
}

TEST(Protocol, CarriesACallUnchanged) {
    const Call call = example();
    const auto decoded = decode_call(encode_call(call));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->time_left, call.time_left);
    EXPECT_EQ(decoded->request.inputs, call.request.inputs);
    EXPECT_EQ(decoded->request.dimensions, call.request.dimensions);
    EXPECT_EQ(decoded->request.overflow, call.request.overflow);
    EXPECT_EQ(decoded->request.normalize, call.request.normalize);
    EXPECT_EQ(decoded->request.prompt_name, call.request.prompt_name);
    EXPECT_EQ(decoded->request.tokens_max, call.request.tokens_max);
}

TEST(Protocol, RefusesACallCutAnywhereOrWithBytesLeftOver) {
    const std::string bytes = encode_call(example());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_FALSE(decode_call(std::string_view(bytes).substr(0, size))) << size;
    }
    EXPECT_FALSE(decode_call(bytes + "x"));
}

TEST(Protocol, RefusesAnotherVersion) {
    std::string bytes = encode_call(example());
    bytes[0] = 2;
    EXPECT_EQ(decode_call(bytes).error().code, Code::BadUpstream);
}

TEST(Protocol, BoundsTheNumberOfInputs) {
    Call call;
    call.request.inputs.assign(kInputsMax, "x");
    std::string bytes = encode_call(call);
    EXPECT_TRUE(decode_call(bytes));
    const std::size_t count_offset = 24;
    bytes[count_offset] = static_cast<char>(static_cast<unsigned char>(bytes[count_offset]) + 1);
    bytes += std::string("\0\1\0\0\0x", 6);
    EXPECT_FALSE(decode_call(bytes));
}

TEST(Protocol, RefusesLengthsThatDoNotFitWithoutReservingForThem) {
    Call call;
    call.request.inputs = {TokenIds{1}};
    std::string bytes = encode_call(call);
    for (std::size_t i = bytes.size() - 8; i < bytes.size() - 4; ++i) bytes[i] = '\xff';
    EXPECT_FALSE(decode_call(bytes));
}

TEST(Protocol, KnowsTwoSendingsOfTheSameCallAsOne) {
    std::string first = encode_call(example());
    std::string second = first;
    set_time_left(second, std::chrono::milliseconds(7));
    EXPECT_NE(first, second);
    EXPECT_EQ(content_of(first), content_of(second));
    EXPECT_EQ(decode_call(second)->time_left, std::chrono::milliseconds(7));
    Call other = example();
    other.request.normalize = true;
    EXPECT_NE(content_of(first), content_of(encode_call(other)));
}

TEST(Protocol, CarriesAnAnswerUnchanged) {
    const AnswerLayout layout{.texts = 3, .dimension = 2};
    std::string answer = make_answer(layout);
    set_answer_times(answer, std::chrono::nanoseconds(5), std::chrono::nanoseconds(6));
    for (std::size_t i = 0; i < 3; ++i) {
        set_answer_tokens(answer, i, static_cast<std::uint32_t>(10 + i));
    }
    set_answer_row(answer, layout, 0, std::vector<float>{1, 2});
    set_answer_row(answer, layout, 2, std::vector<float>{-3, 0.5F});
    copy_answer_row(answer, layout, 0, 1);
    const auto reply = decode_answer(answer);
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->dimension, 2U);
    EXPECT_EQ(reply->tokens, (std::vector<std::uint32_t>{10, 11, 12}));
    EXPECT_EQ(reply->vectors, (std::vector<float>{1, 2, 1, 2, -3, 0.5F}));
    EXPECT_EQ(reply->queue_time.count(), 5);
    EXPECT_EQ(reply->compute_time.count(), 6);
    for (std::size_t size = 0; size < answer.size(); ++size) {
        EXPECT_FALSE(decode_answer(std::string_view(answer).substr(0, size)));
    }
    EXPECT_FALSE(decode_answer(answer + "x"));
}

TEST(Protocol, CarriesEveryErrorCode) {
    for (int code = 0; code <= static_cast<int>(Code::Internal); ++code) {
        const Error error{.code = static_cast<Code>(code),
                          .message = "line\n\"quoted\" \xc3\xa4",
                          .reason = "why",
                          .param = "input[3]",
                          .retry_after = std::chrono::milliseconds(250)};
        const auto decoded = decode_error(encode_error(error));
        ASSERT_TRUE(decoded);
        EXPECT_EQ(decoded->code, error.code);
        EXPECT_EQ(decoded->message, error.message);
        EXPECT_EQ(decoded->reason, error.reason);
        EXPECT_EQ(decoded->param, error.param);
        EXPECT_EQ(decoded->retry_after, error.retry_after);
        EXPECT_GE(status_of(error.code), 400);
    }
}

TEST(Protocol, TakesNonsenseForAnErrorOfTheWorker) {
    for (const char* text : {"", "{", "[]", "{}", R"({"code":"Nonsense"})", R"({"code":3})"}) {
        EXPECT_EQ(decode_error(text).error().code, Code::BadUpstream) << text;
        EXPECT_FALSE(decode_heartbeat(text)) << text;
    }
}

TEST(Protocol, CarriesHeartbeatAndInfo) {
    const Heartbeat heartbeat{.running = std::chrono::milliseconds(3),
                              .queued_texts = 4,
                              .queued_tokens = 5,
                              .calls = 6,
                              .texts_total = 7,
                              .tokens_total = 1ULL << 63,
                              .batches_total = 9};
    EXPECT_EQ(*decode_heartbeat(encode_heartbeat(heartbeat)), heartbeat);
    const WorkerInfo info{.family = "bert",
                          .precision = "int8",
                          .dimension = 384,
                          .tokens_max = 256,
                          .sessions = 2,
                          .threads = 1,
                          .batch_tokens_max = 4096};
    EXPECT_EQ(*decode_info(encode_info(info)), info);
}

TEST(Protocol, SurvivesAnyBytes) {
    std::mt19937 random(20240607);
    const std::string valid = encode_call(example());
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = valid;
        for (int flips = 0; flips < 4; ++flips) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        if (const auto call = decode_call(bytes)) EXPECT_TRUE(decode_call(encode_call(*call)));
        (void)decode_answer(bytes).has_value();
    }
}

}  // namespace
}  // namespace hearth::worker
