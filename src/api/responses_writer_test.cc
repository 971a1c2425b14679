#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "api/responses.h"
#include "base/format.h"

namespace hearth::api::responses {
namespace {

namespace json = boost::json;
using Events = std::vector<std::string_view>;

Call asked_with(std::string_view more) {
    return *parse(format(R"({{"model":"m","input":"x"{}}})", more));
}

std::unique_ptr<AnswerWriter> writer_for(const Call& call) {
    return make_writer(call, "name", {.id = "1", .created_unix = 7});
}

std::string written(const Call& call, const Events& events) {
    const auto writer = writer_for(call);
    std::string out;
    for (const std::string_view event : events) {
        EXPECT_TRUE(writer->event(json::parse(event).as_object(), out));
    }
    writer->finish({}, out);
    return out;
}

// Of a stream each event, of which the name must be its type and the numbers must count.
std::vector<json::object> events_of(std::string_view stream) {
    std::vector<json::object> out;
    while (!stream.empty()) {
        const std::size_t end = stream.find("\n\n");
        EXPECT_NE(end, std::string_view::npos);
        const std::string_view event = stream.substr(0, end);
        stream.remove_prefix(end + 2);
        const std::size_t data = event.find("\ndata: ");
        EXPECT_TRUE(event.starts_with("event: ") && data != std::string_view::npos) << event;
        out.push_back(json::parse(event.substr(data + 7)).as_object());
        EXPECT_EQ(out.back().at("type").as_string(), event.substr(7, data - 7));
        EXPECT_EQ(out.back().at("sequence_number").to_number<std::size_t>(), out.size() - 1);
    }
    return out;
}
std::vector<json::object> streamed(std::string_view more, const Events& events) {
    return events_of(written(asked_with(format(R"(,"stream":true{})", more)), events));
}
json::object whole(std::string_view more, const Events& events) {
    return json::parse(written(asked_with(more), events)).as_object();
}

// "created in_progress output_item.added ..."
std::string types_of(const std::vector<json::object>& events) {
    std::string out;
    for (const json::object& event : events) {
        std::string_view type = event.at("type").as_string();
        if (type.starts_with("response.")) type.remove_prefix(9);
        out += format("{}{}", out.empty() ? "" : " ", type);
    }
    return out;
}

constexpr std::string_view kRole =
    R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]})";
constexpr std::string_view kHel = R"({"choices":[{"index":0,"delta":{"content":"Hé"}}]})";
constexpr std::string_view kLo = R"({"choices":[{"index":0,"delta":{"content":"llo"}}]})";
constexpr std::string_view kStop = R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
constexpr std::string_view kLength =
    R"({"choices":[{"index":0,"delta":{},"finish_reason":"length"}]})";
constexpr std::string_view kUsage =
    R"({"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":1}},"timings":{"predicted_ms":1.5}})";
constexpr std::string_view kThought =
    R"({"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]})";
constexpr std::string_view kCall =
    R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{"}}]}}]})";
constexpr std::string_view kCallEnd =
    R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]})";
constexpr std::string_view kSecondCall =
    R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"name":"g","arguments":"[]"}}]}}]})";
constexpr std::string_view kCallsEnd =
    R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})";

TEST(ResponsesWriter, AWholeAnswerHasEveryMember) {
    const json::object answer =
        whole(R"(,"instructions":"i","temperature":0.5,"metadata":{"a":"b"},"max_output_tokens":9)",
              {kRole, kHel, kLo, kStop, kUsage});
    EXPECT_EQ(answer, json::parse(R"({
        "id":"resp_1","object":"response","created_at":7,"status":"completed","background":false,
        "error":null,"incomplete_details":null,"instructions":"i","max_output_tokens":9,
        "max_tool_calls":null,"model":"name","parallel_tool_calls":true,"previous_response_id":null,
        "prompt_cache_key":null,"reasoning":{"effort":null,"summary":null},
        "safety_identifier":null,"service_tier":"default","store":false,"temperature":0.5,
        "text":{"format":{"type":"text"},"verbosity":"medium"},"tool_choice":"auto","tools":[],
        "top_logprobs":0,"top_p":null,"truncation":"disabled","user":null,"metadata":{"a":"b"},
        "output":[{"id":"msg_1_0","type":"message","role":"assistant","status":"completed",
                   "content":[{"type":"output_text","text":"Héllo","annotations":[],"logprobs":[]}]}],
        "usage":{"input_tokens":5,"input_tokens_details":{"cached_tokens":1,"cache_write_tokens":0},"output_tokens":2,
                 "output_tokens_details":{"reasoning_tokens":0},"total_tokens":7},
        "timings":{"predicted_ms":1.5}})"));
}

TEST(ResponsesWriter, AStreamHasTheOfficialOrder) {
    const auto events = streamed("", {kRole, kHel, kLo, kStop, kUsage});
    EXPECT_EQ(types_of(events),
              "created in_progress output_item.added content_part.added output_text.delta "
              "output_text.delta output_text.done content_part.done output_item.done completed");
    EXPECT_EQ(events[0].at("response").at("status"), json::value("in_progress"));
    EXPECT_EQ(events[0].at("response").at("output"), json::array());
    EXPECT_TRUE(events[0].at("response").at("usage").is_null());
    EXPECT_EQ(
        events[2].at("item"),
        json::parse(
            R"({"id":"msg_1_0","type":"message","role":"assistant","content":[],"status":"in_progress"})"));
    EXPECT_EQ(events[3].at("part"),
              json::parse(R"({"type":"output_text","text":"","annotations":[],"logprobs":[]})"));
    EXPECT_EQ(events[4], json::parse(R"({"type":"response.output_text.delta","sequence_number":4,
        "item_id":"msg_1_0","output_index":0,"content_index":0,"delta":"Hé","logprobs":[]})"));
    EXPECT_EQ(events[6].at("text"), json::value("Héllo"));
    EXPECT_EQ(events[8].at("item").at("status"), json::value("completed"));
    EXPECT_EQ(events[9].at("timings"), json::parse(R"({"predicted_ms":1.5})"));
    EXPECT_EQ(events[9].at("response").at("usage").at("total_tokens"), json::value(7));
}

TEST(ResponsesWriter, AStreamEndsWithWhatAWholeAnswerIs) {
    const Events events = {kThought, kHel, kCall, kCallEnd, kSecondCall, kLo, kLength, kUsage};
    json::object answer = whole("", events);
    answer.erase("timings");
    const auto stream = streamed("", events);
    EXPECT_EQ(stream.back().at("response"), json::value(answer));
}

TEST(ResponsesWriter, ReasoningIsAnItemOfItsOwn) {
    const auto events = streamed("", {kThought, kThought, kHel, kStop});
    EXPECT_EQ(types_of(events),
              "created in_progress output_item.added content_part.added reasoning_text.delta "
              "reasoning_text.delta reasoning_text.done content_part.done output_item.done "
              "output_item.added content_part.added output_text.delta output_text.done "
              "content_part.done output_item.done completed");
    EXPECT_EQ(events[4].at("item_id"), json::value("rs_1_0"));
    EXPECT_EQ(events[8].at("item"), json::parse(R"({"id":"rs_1_0","type":"reasoning","summary":[],
                  "content":[{"type":"reasoning_text","text":"hmhm"}],"status":"completed"})"));
    EXPECT_EQ(events[9].at("output_index"), json::value(1));
}

TEST(ResponsesWriter, CallsAreItemsWithTheIdsOfTheEngine) {
    const auto events = streamed("", {kCall, kCallEnd, kSecondCall, kCallsEnd});
    EXPECT_EQ(types_of(events),
              "created in_progress output_item.added function_call_arguments.delta "
              "function_call_arguments.delta function_call_arguments.done output_item.done "
              "output_item.added function_call_arguments.delta function_call_arguments.done "
              "output_item.done completed");
    EXPECT_EQ(events[2].at("item"), json::parse(R"({"id":"fc_1_0","type":"function_call",
        "call_id":"a","name":"f","arguments":"","status":"in_progress"})"));
    EXPECT_EQ(events[5].at("arguments"), json::value("{}"));
    EXPECT_EQ(events[6].at("item").at("arguments"), json::value("{}"));
    EXPECT_EQ(events[8].at("output_index"), json::value(1));
    EXPECT_EQ(events[10].at("item"), json::parse(R"({"id":"fc_1_1","type":"function_call",
        "call_id":"call_1_1","name":"g","arguments":"[]","status":"completed"})"));
}

TEST(ResponsesWriter, AFragmentThatComesLateIsNotLost) {
    const auto events = streamed("", {kCall, kSecondCall, kCallEnd, kCallsEnd});
    EXPECT_EQ(events.back().at("response").at("output").at(0).at("arguments"), json::value("{}"));
    EXPECT_EQ(events.back().at("response").at("output").at(1).at("arguments"), json::value("[]"));
}

TEST(ResponsesWriter, AnAnswerThatIsCutOffIsIncomplete) {
    const auto events = streamed("", {kHel, kCall, kLength});
    EXPECT_TRUE(types_of(events).ends_with(" output_item.done incomplete"));
    const json::value& response = events.back().at("response");
    EXPECT_EQ(response.at("status"), json::value("incomplete"));
    EXPECT_EQ(response.at("incomplete_details"), json::parse(R"({"reason":"max_output_tokens"})"));
    EXPECT_EQ(response.at("output").at(0).at("status"), json::value("completed"));
    EXPECT_EQ(response.at("output").at(1).at("status"), json::value("incomplete"));
    EXPECT_EQ(response.at("output").at(1).at("arguments"), json::value("{"));
    const json::object filtered = whole(
        "", {kHel, R"({"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]})"});
    EXPECT_EQ(filtered.at("incomplete_details"), json::parse(R"({"reason":"content_filter"})"));
}

TEST(ResponsesWriter, AnAnswerWithoutAWordIsAnEmptyText) {
    EXPECT_EQ(whole("", {kStop}).at("output").at(0).at("content").at(0).at("text"),
              json::value(""));
    EXPECT_EQ(types_of(streamed("", {})),
              "created in_progress output_item.added content_part.added output_text.done "
              "content_part.done output_item.done completed");
}

TEST(ResponsesWriter, ProbabilitiesStandWithTheirText) {
    constexpr std::string_view kHalf =
        R"({"choices":[{"index":0,"delta":{},"logprobs":{"content":[{"token":"1","logprob":-1,"top_logprobs":[{"token":"1"},{"token":"2"}]}]}}]})";
    constexpr std::string_view kRest =
        R"({"choices":[{"index":0,"delta":{"content":"é"},"logprobs":{"content":[{"token":"2","logprob":-2,"top_logprobs":[]}]}}]})";
    const auto events = streamed(R"(,"top_logprobs":1)", {kHalf, kRest, kStop});
    const auto expected = json::parse(
        R"([{"token":"1","logprob":-1,"top_logprobs":[{"token":"1"}]},{"token":"2","logprob":-2,"top_logprobs":[]}])");
    EXPECT_EQ(events[4].at("logprobs"), expected);
    EXPECT_EQ(events[5].at("logprobs"), expected);
    EXPECT_EQ(events[6].at("part").at("logprobs"), expected);
    // Those of reasoning and of calls have no place.
    EXPECT_EQ(whole(R"(,"top_logprobs":1)", {kHalf, kThought, kRest, kHalf, kCall})
                  .at("output")
                  .at(1)
                  .at("content")
                  .at(0)
                  .at("logprobs")
                  .as_array()
                  .size(),
              1U);
    EXPECT_EQ(streamed("", {kHalf, kRest, kStop})[4].at("logprobs"), json::array());
}

TEST(ResponsesWriter, AnEnginesProgressAndTimesArePassedOn) {
    const auto events = streamed(
        "",
        {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null}}],"prompt_progress":{"total":9}})",
         R"({"choices":[{"index":0,"delta":{"content":"a"}}],"timings":{"predicted_n":1}})", kHel});
    EXPECT_EQ(types_of(events).substr(0, 31), "created in_progress in_progress");
    EXPECT_EQ(events[2].at("prompt_progress"), json::parse(R"({"total":9})"));
    EXPECT_EQ(events[2].at("response").at("id"), json::value("resp_1"));
    EXPECT_EQ(events[5].at("timings"), json::parse(R"({"predicted_n":1})"));
    EXPECT_FALSE(events[6].contains("timings"));
}

TEST(ResponsesWriter, AnErrorAfterTheFirstByteEndsTheStream) {
    const auto writer = writer_for(asked_with(R"(,"stream":true)"));
    std::string out;
    ASSERT_TRUE(writer->event(json::parse(kHel).as_object(), out));
    writer->error({.code = Code::Unavailable, .message = "gone", .reason = "worker_died"}, out);
    const auto events = events_of(out);
    EXPECT_EQ(types_of(events),
              "created in_progress output_item.added content_part.added output_text.delta error "
              "failed");
    EXPECT_EQ(
        events[5],
        json::parse(
            R"({"type":"error","sequence_number":5,"code":"worker_died","message":"gone","param":null})"));
    const json::value& response = events[6].at("response");
    EXPECT_EQ(response.at("status"), json::value("failed"));
    EXPECT_EQ(response.at("error"), json::parse(R"({"code":"server_error","message":"gone"})"));
    EXPECT_EQ(response.at("output").at(0).at("status"), json::value("incomplete"));
    EXPECT_EQ(response.at("output").at(0).at("content").at(0).at("text"), json::value("Hé"));
}

TEST(ResponsesWriter, AnErrorAfterASignOfLifeIsAStreamAllTheSame) {
    const auto writer = writer_for(asked_with(R"(,"stream":true)"));
    std::string out;
    writer->alive(out);
    EXPECT_EQ(std::exchange(out, {}), ": \n\n");
    writer->error({.code = Code::Overloaded, .message = "full"}, out);
    const auto events = events_of(out);
    EXPECT_EQ(types_of(events), "created in_progress error failed");
    EXPECT_EQ(events[2].at("code"), json::value("overloaded"));
    EXPECT_EQ(events[3].at("response").at("error").at("code"), json::value("rate_limit_exceeded"));
    const auto other = writer_for(asked_with(""));
    std::string body;
    other->alive(body);
    EXPECT_TRUE(body.empty());
    other->error({.code = Code::InvalidArgument, .message = "no", .param = "p"}, body);
    EXPECT_EQ(json::parse(body).at("error").at("param"), json::value("p"));
}

TEST(ResponsesWriter, RefusesAnswersOverItsBound) {
    const std::string mebibyte(1 << 20, 'x');
    const json::object delta{{"content", mebibyte}};
    const json::object event{
        {"choices", json::array(1, json::object{{"index", 0}, {"delta", delta}})}};
    for (const char* more : {"", R"(,"stream":true)"}) {
        const auto writer = writer_for(asked_with(more));
        std::string out;
        for (int i = 0; i < 63; ++i) {
            out.clear();
            ASSERT_TRUE(writer->event(event, out)) << i;
        }
        Result<void> added;
        for (int i = 0; i < 2 && added; ++i) added = writer->event(event, out);
        ASSERT_FALSE(added);
        EXPECT_EQ(added.error().code, Code::TooLarge);
    }
}

TEST(ResponsesWriter, CallsThatAreWrittenByTurnsEndWhole) {
    constexpr std::string_view kBegun =
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"["}}]}}]})";
    constexpr std::string_view kBegunEnd =
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"1]"}}]}}]})";
    const auto events = streamed("", {kCall, kBegun, kCallEnd, kBegunEnd, kCallsEnd});
    EXPECT_EQ(types_of(events),
              "created in_progress output_item.added function_call_arguments.delta "
              "output_item.added function_call_arguments.delta "
              "function_call_arguments.delta function_call_arguments.done output_item.done "
              "function_call_arguments.delta function_call_arguments.done output_item.done "
              "completed");
    EXPECT_EQ(events[7].at("arguments"), json::value("{}"));
    EXPECT_EQ(events[8].at("item").at("arguments"), json::value("{}"));
    EXPECT_EQ(events[11].at("item").at("arguments"), json::value("[1]"));
    for (const json::value& item : events[12].at("response").at("output").as_array()) {
        EXPECT_EQ(item.at("status"), json::value("completed"));
    }
    const json::object answer = whole("", {kCall, kBegun, kHel, kCallEnd, kLength});
    EXPECT_EQ(answer.at("output").at(0).at("status"), json::value("incomplete")) << "the last";
    EXPECT_EQ(answer.at("output").at(0).at("arguments"), json::value("{}"));
    EXPECT_EQ(answer.at("output").at(1).at("status"), json::value("incomplete"));
}

TEST(ResponsesWriter, TellsWhatAServerCountedOfReasoningAndOfItsCache) {
    const json::object answer =
        whole("", {kHel, kStop,
                   R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":7,)"
                   R"("prompt_tokens_details":{"cached_tokens":1,"cache_write_tokens":2},)"
                   R"("completion_tokens_details":{"reasoning_tokens":4}}})"});
    const json::value& usage = answer.at("usage");
    EXPECT_EQ(usage.at("output_tokens_details").at("reasoning_tokens"), json::value(4));
    EXPECT_EQ(usage.at("input_tokens_details").at("cache_write_tokens"), json::value(2));
}

TEST(ResponsesWriter, TakesTheUsageOfTheReplyWhereNoEventHadOne) {
    const auto writer = writer_for(asked_with(""));
    std::string out;
    ASSERT_TRUE(writer->event(json::parse(kHel).as_object(), out));
    inference::GenerateReply reply;
    reply.usage.prompt_tokens = 3;
    reply.usage.completion_tokens = 4;
    writer->finish(reply, out);
    EXPECT_EQ(json::parse(out).at("usage").at("total_tokens"), json::value(7));
}

TEST(ResponsesWriter, HasNoUsageWhereNotAllOfItIsKnown) {
    for (const bool half : {false, true}) {
        const auto writer = writer_for(asked_with(""));
        std::string out;
        ASSERT_TRUE(writer->event(json::parse(kHel).as_object(), out));
        inference::GenerateReply reply;
        if (half) reply.usage.completion_tokens = 4;
        writer->finish(reply, out);
        EXPECT_TRUE(json::parse(out).at("usage").is_null()) << out;
    }
}

}  // namespace
}  // namespace hearth::api::responses
