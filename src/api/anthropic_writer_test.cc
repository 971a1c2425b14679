#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/anthropic_generate.h"
#include "base/format.h"

// Whole answers and streams byte by byte are recorded in testdata/anthropic.
namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;

MessagesCall asked(bool stream, std::string_view more = "") {
    return *parse_messages(format(
        R"({{"model":"m","max_tokens":8,"stream":{},"messages":[{{"role":"user","content":"x"}}]{}}})",
        stream, more));
}

std::unique_ptr<AnswerWriter> writer_for(const MessagesCall& call) {
    return make_writer(call, "m", {.message_id = "msg_1", .request_id = "req_1"});
}

std::string delta_event(std::string_view members) {
    return format(R"({{"choices":[{{"index":0,"finish_reason":null,"delta":{{{}}}}}]}})", members);
}
std::string end_event(std::string_view reason, std::string_view more = "") {
    return format(R"({{"choices":[{{"index":0,"finish_reason":"{}","delta":{{}}}}]{}}})", reason,
                  more);
}

std::string written(const MessagesCall& call, const std::vector<std::string>& events,
                    const inference::GenerateReply& reply = {}) {
    const auto writer = writer_for(call);
    std::string out;
    for (const std::string& event : events) {
        EXPECT_TRUE(writer->event(json::parse(event).as_object(), out)) << event;
    }
    writer->finish(reply, out);
    return out;
}

// Its events; each names its type twice.
std::vector<json::object> stream_events(std::string_view text) {
    std::vector<json::object> out;
    while (!text.empty()) {
        const std::size_t end = text.find("\n\n");
        EXPECT_NE(end, std::string_view::npos);
        const std::string_view event = text.substr(0, end);
        const std::size_t line = event.find('\n');
        EXPECT_TRUE(event.starts_with("event: ")) << event;
        EXPECT_TRUE(event.substr(line + 1).starts_with("data: ")) << event;
        out.push_back(json::parse(event.substr(line + 7)).as_object());
        EXPECT_EQ(out.back().at("type"), json::value(event.substr(7, line - 7)));
        text.remove_prefix(end + 2);
    }
    return out;
}

std::string types_of(const std::vector<json::object>& events) {
    std::string types;
    for (const json::object& event : events) {
        types += types.empty() ? "" : " ";
        types += event.at("type").as_string();
    }
    return types;
}

TEST(AnthropicWriter, GivesEveryBlockItsIndexAndItsEnd) {
    const auto events = stream_events(written(
        asked(true), {delta_event(R"("reasoning_content":"a")"), delta_event(R"("content":"b")"),
                      delta_event(R"("reasoning_content":"c")"), delta_event(R"("content":"d")"),
                      end_event("stop")}));
    EXPECT_EQ(types_of(events),
              "message_start "
              "content_block_start content_block_delta content_block_delta content_block_stop "
              "content_block_start content_block_delta content_block_stop "
              "content_block_start content_block_delta content_block_delta content_block_stop "
              "content_block_start content_block_delta content_block_stop "
              "message_delta message_stop");
    std::int64_t open = -1;
    for (const json::object& event : events) {
        const json::value* index = event.if_contains("index");
        if (index == nullptr) continue;
        if (event.at("type") == "content_block_start") ++open;
        EXPECT_EQ(index->as_int64(), open);
    }
    EXPECT_EQ(open, 3);
}

TEST(AnthropicWriter, PassesTheSignatureOfAThinkingOn) {
    const std::vector<std::string> events{delta_event(R"("reasoning_content":"a")"),
                                          delta_event(R"("reasoning_signature":"c2ln")"),
                                          delta_event(R"("reasoning_content":"b")"),
                                          delta_event(R"("content":"c")"),
                                          delta_event(R"("reasoning_signature":"bm90aGluZw==")"),
                                          end_event("stop")};
    const json::value whole = json::parse(written(asked(false), events));
    EXPECT_EQ(whole.at("content"),
              json::parse(R"([{"type":"thinking","thinking":"a","signature":"c2ln"},)"
                          R"({"type":"thinking","thinking":"b","signature":"hearth"},)"
                          R"({"type":"text","text":"c"},)"
                          R"({"type":"thinking","thinking":"","signature":"bm90aGluZw=="}])"));
    std::string signatures;
    for (const json::object& event : stream_events(written(asked(true), events))) {
        if (event.at("type") != "content_block_delta") continue;
        if (event.at("delta").at("type") != "signature_delta") continue;
        signatures += event.at("delta").at("signature").as_string();
        signatures += ' ';
    }
    EXPECT_EQ(signatures, "c2ln hearth bm90aGluZw== ");
}

TEST(AnthropicWriter, TellsTheLengthOfThePromptAsSoonAsItIsKnown) {
    const auto writer = writer_for(asked(true));
    std::string out;
    ASSERT_TRUE(writer->event(
        json::parse(R"({"prompt_progress":{"total":12,"cache":2,"processed":2}})").as_object(),
        out));
    const auto start = stream_events(out);
    ASSERT_EQ(types_of(start), "message_start");
    EXPECT_EQ(start[0].at("message").at("usage"),
              json::parse(R"({"input_tokens":10,"cache_creation_input_tokens":0,)"
                          R"("cache_read_input_tokens":2,"output_tokens":0})"));
    out.clear();
    ASSERT_TRUE(writer->event({{"prompt_progress", 3}}, out));
    EXPECT_EQ(out, "") << "begun once";
    writer->finish({.usage = {.prompt_tokens = 12, .cached_tokens = 5, .completion_tokens = 3}},
                   out);
    EXPECT_EQ(stream_events(out)[0].at("usage"),
              json::parse(R"({"input_tokens":7,"cache_creation_input_tokens":0,)"
                          R"("cache_read_input_tokens":5,"output_tokens":3})"));
    const json::value written_too = json::parse(
        written(asked(false), {},
                {.usage = {.prompt_tokens = 12, .cached_tokens = 5, .cache_write_tokens = 4}}));
    EXPECT_EQ(written_too.at("usage"),
              json::parse(R"({"input_tokens":3,"cache_creation_input_tokens":4,)"
                          R"("cache_read_input_tokens":5,"output_tokens":0})"));
}

TEST(AnthropicWriter, SaysWhyItStopped) {
    const std::string tool =
        delta_event(R"("tool_calls":[{"index":0,"id":"a","function":{"name":"f"}}])");
    const auto reason = [](const std::vector<std::string>& events) {
        const MessagesCall call = asked(false, R"(,"stop_sequences":["END"])");
        const json::value answer = json::parse(written(call, events));
        const std::string streamed = written(asked(true, R"(,"stop_sequences":["END"])"), events);
        const auto told = stream_events(streamed);
        EXPECT_EQ(told[told.size() - 2].at("delta").at("stop_reason"), answer.at("stop_reason"));
        EXPECT_EQ(told[told.size() - 2].at("delta").at("stop_sequence"),
                  answer.at("stop_sequence"));
        return json::serialize(answer.at("stop_reason")) +
               json::serialize(answer.at("stop_sequence"));
    };
    EXPECT_EQ(reason({}), R"("end_turn"null)");
    EXPECT_EQ(reason({end_event("stop")}), R"("end_turn"null)");
    EXPECT_EQ(reason({end_event("length")}), R"("max_tokens"null)");
    EXPECT_EQ(reason({end_event("content_filter")}), R"("refusal"null)");
    EXPECT_EQ(reason({tool, end_event("tool_calls")}), R"("tool_use"null)");
    EXPECT_EQ(reason({tool, end_event("stop")}), R"("tool_use"null)");
    EXPECT_EQ(reason({tool, end_event("length")}), R"("max_tokens"null)");
    EXPECT_EQ(reason({end_event("stop", R"(,"__verbose":{"stopping_word":"END"})")}),
              R"("stop_sequence""END")");
    EXPECT_EQ(reason({end_event("stop", R"(,"__verbose":{"stopping_word":"<|im_end|>"})")}),
              R"("end_turn"null)");
    EXPECT_EQ(reason({end_event("length", R"(,"__verbose":{"stopping_word":"END"})")}),
              R"("max_tokens"null)");
}

TEST(AnthropicWriter, GivesACallWithoutAnIdOne) {
    const json::value answer = json::parse(written(
        asked(false),
        {delta_event(R"("tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}])"),
         delta_event(R"("tool_calls":[{"index":1,"function":{"name":"g","arguments":"[1]"}}])"),
         end_event("tool_calls")}));
    EXPECT_EQ(answer.at("content").at(0).at("id"), json::value("toolu_msg_1_0"));
    EXPECT_EQ(answer.at("content").at(1).at("id"), json::value("toolu_msg_1_1"));
    EXPECT_EQ(answer.at("content").at(1).at("input"), json::object()) << "a list is no input";
}

TEST(AnthropicWriter, RefusesAnEngineThatComesBackToACall) {
    const auto writer = writer_for(asked(true));
    std::string out;
    for (const int index : {0, 1}) {
        ASSERT_TRUE(writer->event(
            json::parse(delta_event(format(R"("tool_calls":[{{"index":{},"id":"a"}}])", index)))
                .as_object(),
            out));
    }
    const auto back = writer->event(
        json::parse(delta_event(R"("tool_calls":[{"index":0,"function":{"arguments":"x"}}])"))
            .as_object(),
        out);
    ASSERT_FALSE(back);
    EXPECT_EQ(back.error().code, Code::BadUpstream);
}

TEST(AnthropicWriter, EndsAFailedStreamWithTheErrorAlone) {
    const auto writer = writer_for(asked(true));
    std::string out;
    ASSERT_TRUE(writer->event(json::parse(delta_event(R"("content":"a")")).as_object(), out));
    out.clear();
    writer->error({.code = Code::Overloaded, .message = "busy"}, out);
    const auto events = stream_events(out);
    ASSERT_EQ(types_of(events), "error");
    EXPECT_EQ(json::value(events[0]),
              json::parse(R"({"type":"error","error":{"type":"overloaded_error",)"
                          R"("message":"busy"},"request_id":"req_1"})"));
    out.clear();
    const auto whole = writer_for(asked(false));
    whole->error({.code = Code::Internal, .message = "x"}, out);
    EXPECT_EQ(json::parse(out).at("error").at("type"), json::value("api_error"));
}

TEST(AnthropicWriter, KeepsASilentStreamAlive) {
    std::string out;
    writer_for(asked(true))->alive(out);
    EXPECT_EQ(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    out.clear();
    writer_for(asked(false))->alive(out);
    EXPECT_EQ(out, "");
    EXPECT_EQ(writer_for(asked(true))->content_type(), "text/event-stream");
    EXPECT_EQ(writer_for(asked(false))->content_type(), "application/json");
}

TEST(AnthropicWriter, KeepsNoMoreOfAWholeAnswerThanItsBound) {
    const std::string mebibyte(1 << 20, 'x');
    const json::object event =
        json::parse(delta_event(format(R"("content":"{}")", mebibyte))).as_object();
    const auto refused_at = [&](bool stream) {
        const auto writer = writer_for(asked(stream));
        std::string out;
        for (int count = 1; count <= 100; ++count) {
            const auto said = writer->event(event, out);
            out.clear();
            if (said) continue;
            EXPECT_EQ(said.error().code, Code::TooLarge);
            return count;
        }
        return 0;
    };
    EXPECT_EQ(refused_at(false), 64);  // with what holds it
    EXPECT_EQ(refused_at(true), 0);
}

TEST(AnthropicWriter, SurvivesEventsOfAnyShape) {
    for (const char* event :
         {"{}", R"({"choices":3})", R"({"choices":[3,{}]})",
          R"({"choices":[{"index":-1,"delta":[],"finish_reason":7}]})",
          R"({"choices":[{"delta":{"content":3,"reasoning_content":[],"tool_calls":{}}}]})",
          R"({"choices":[{"delta":{"tool_calls":[1,{"index":"x","id":3,"function":2}]}}]})",
          R"({"__verbose":3,"prompt_progress":{"total":-4,"cache":"x"}})",
          R"({"__verbose":{"stopping_word":7},"prompt_progress":[]})"}) {
        EXPECT_TRUE(json::parse(written(asked(false), {event})).is_object()) << event;
        const auto events = stream_events(written(asked(true), {event}));
        EXPECT_EQ(events.back().at("type"), json::value("message_stop")) << event;
    }
}

}  // namespace
}  // namespace hearth::api::anthropic
