#include <gtest/gtest.h>

#include "backends/remote/wire_test_util.h"

namespace hearth::remote {
namespace {

using inference::GenerateRequest;
using inference::Operation;

TEST(OpenaiWire, WhatOnlyAnEngineReadsStaysHere) {
    const auto wire = make_openai_wire();
    const json::object engine_only{{"cache_prompt", true},   {"return_progress", true},
                                   {"sse_ping_interval", 5}, {"timings_per_token", true},
                                   {"id_slot", 2},           {"n_cache_reuse", 1},
                                   {"verbose", true}};
    json::object body = engine_only;
    body["top_k"] = 7;
    const json::value sent = sent_body(*wire, chat_request(body));
    for (const auto& [name, value] : engine_only) {
        EXPECT_FALSE(sent.as_object().contains(name)) << name;
    }
    EXPECT_EQ(sent.at("top_k"), 7);
    EXPECT_EQ(sent.at("model"), "m");
    EXPECT_TRUE(sent.at("stream").as_bool());
    EXPECT_TRUE(sent.at("stream_options").at("include_usage").as_bool());
}

TEST(OpenaiWire, TheLimitThatCountsFirstIsTheOneSent) {
    const auto wire = make_openai_wire();
    const auto limit = [&](json::object body, const char* name) {
        const json::value sent = sent_body(*wire, chat_request(std::move(body)));
        const json::value* value = sent.as_object().if_contains(name);
        return value != nullptr ? value->to_number<std::int64_t>() : -1;
    };
    EXPECT_EQ(limit({{"n_predict", 5}, {"max_tokens", 9}}, "max_tokens"), 5);
    EXPECT_EQ(limit({{"max_completion_tokens", 5}}, "max_completion_tokens"), 5);
    EXPECT_EQ(limit({{"max_completion_tokens", 5}}, "max_tokens"), -1);
    EXPECT_EQ(limit({{"max_tokens", -1}}, "max_tokens"), -1);
    EXPECT_EQ(limit({{"max_tokens", 0}}, "max_tokens"), 1);
    EXPECT_EQ(limit({}, "max_tokens"), -1);
}

TEST(OpenaiWire, OpenaiItselfIsToldItsOwnWordsAlone) {
    const auto wire = make_openai_wire(Openai::Itself);
    const json::value sent =
        sent_body(*wire, chat_request({{"max_tokens", 9},
                                       {"chat_template_kwargs", {{"enable_thinking", true}}},
                                       {"thinking_budget_tokens", 4000},
                                       {"reasoning_effort", "max"},
                                       {"min_p", 0},
                                       {"cache_prompt", true},
                                       {"temperature", 0.5},
                                       {"tools", json::array{1}},
                                       {"messages",
                                        {{{"role", "assistant"},
                                          {"content", "a"},
                                          {"reasoning_content", "b"},
                                          {"reasoning_signature", "c2ln"}}}}}));
    EXPECT_EQ(sent, json::parse(R"({"model":"m","stream":true,)"
                                R"("stream_options":{"include_usage":true},)"
                                R"("max_completion_tokens":9,"reasoning_effort":"xhigh",)"
                                R"("temperature":0.5,"tools":[1],)"
                                R"("messages":[{"role":"assistant","content":"a"}]})"));
    const auto effort = [&](json::object body) {
        const json::value told = sent_body(*wire, chat_request(std::move(body)));
        return told.as_object().contains("reasoning_effort");
    };
    EXPECT_TRUE(effort({{"reasoning_effort", "none"}}));
    EXPECT_FALSE(effort({{"chat_template_kwargs", {{"enable_thinking", false}}}}))
        << "most of its models would refuse the word";
}

TEST(OpenaiWire, WhatOpenaiItselfHasNoWordForIsRefusedByName) {
    const auto wire = make_openai_wire(Openai::Itself);
    const auto refused = [&](GenerateRequest request) {
        const auto call = wire->generate(request, "m");
        if (call) return std::string("nothing");
        EXPECT_EQ(call.error().code, Code::Unsupported);
        return call.error().param;
    };
    EXPECT_EQ(refused(chat_request({{"top_k", 40}})), "top_k");
    EXPECT_EQ(refused(chat_request({{"chat_template_kwargs", {{"x", 1}}}})),
              "chat_template_kwargs");
    GenerateRequest begun = chat_request();
    begun.opens_answer = true;
    EXPECT_EQ(refused(begun), "messages");
    const auto text = [](json::object body) {
        body["prompt"] = "x";
        return GenerateRequest{.operation = Operation::Completion, .body = std::move(body)};
    };
    EXPECT_EQ(refused(text({{"max_tokens", 5}})), "nothing");
    EXPECT_EQ(refused(text({{"repetition_penalty", 1.5}})), "repetition_penalty");
    EXPECT_EQ(sent_body(*wire, text({{"n_predict", 5}})).at("max_tokens"), 5);
}

TEST(OpenaiWire, AStreamWithoutItsEndIsCut) {
    const auto wire = make_openai_wire();
    const auto answered = answer_of(*wire, chat_request(),
                                    "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n");
    EXPECT_EQ(answered.events.size(), 1U);
    ASSERT_FALSE(answered.result);
    EXPECT_EQ(answered.result.error().code, Code::BadUpstream);
    EXPECT_EQ(answered.result.error().reason, "stream_cut");
}

TEST(OpenaiWire, WhatIsNoStreamIsRefused) {
    const auto wire = make_openai_wire();
    for (const char* bytes :
         {"data: {\n\n", "data: 5\n\n", "data: [done]\n\n", "data: {\"choices\":[1]}\n\n",
          "data: {\"choices\":[{\"delta\":{\"tool_calls\":[1]}}]}\n\n"}) {
        const auto answered = answer_of(*wire, chat_request(), bytes);
        ASSERT_FALSE(answered.result) << bytes;
        EXPECT_EQ(answered.result.error().code, Code::BadUpstream) << bytes;
        EXPECT_NE(answered.result.error().reason, "stream_cut") << bytes;
    }
}

TEST(OpenaiWire, WhatFollowsTheEndIsIgnored) {
    const auto wire = make_openai_wire();
    const auto answered = answer_of(*wire, chat_request(),
                                    "data: {\"choices\":[]}\n\ndata: [DONE]\n\ndata: nonsense\n\n");
    EXPECT_TRUE(answered.result);
    EXPECT_EQ(answered.events.size(), 1U);
}

TEST(OpenaiWire, ToolCallsHaveABound) {
    const auto wire = make_openai_wire();
    const auto calls = [&](int index) {
        return answer_of(*wire, chat_request(),
                         "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":" +
                             std::to_string(index) + "}]}}]}\n\ndata: [DONE]\n\n");
    };
    EXPECT_TRUE(calls(1023).result);
    EXPECT_FALSE(calls(1024).result);
    std::string bytes;
    for (int i = 0; i < 1024; ++i) {
        bytes +=
            "data: "
            "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}}]}\n\n";
    }
    EXPECT_TRUE(answer_of(*wire, chat_request(), bytes + "data: [DONE]\n\n").result);
    bytes += bytes.substr(0, bytes.size() / 1024);
    EXPECT_FALSE(answer_of(*wire, chat_request(), bytes + "data: [DONE]\n\n").result);
}

TEST(OpenaiWire, AnEventHasABound) {
    const auto wire = make_openai_wire();
    const auto stream = wire->stream(chat_request(), kStamp);
    const std::string piece(1 << 20, 'x');
    EXPECT_TRUE(stream->feed("data: \""));
    Result<void> result;
    int pieces = 0;
    while ((result = stream->feed(piece))) ASSERT_LT(++pieces, 20);
    EXPECT_EQ(pieces, 15);
    EXPECT_EQ(result.error().code, Code::BadUpstream);
    EXPECT_EQ(result.error().reason, "event_too_large");
}

TEST(OpenaiWire, ListsModelsOfSeveralServers) {
    const auto wire = make_openai_wire();
    EXPECT_EQ(wire->list_models().target, "/v1/models");
    const auto models = wire->listed(R"({"object":"list","data":[
        {"id":"vllm/a","max_model_len":32768,"created":1750000000},
        {"id":"llama","meta":{"n_ctx":0,"n_ctx_train":4096}},
        {"id":"studio","type":"embeddings","max_context_length":512},
        {"id":"vision","type":"vlm"},
        {"id":"told","capabilities":["completion","tools"]},
        {"object":"model"}, 5]})");
    ASSERT_TRUE(models);
    ASSERT_EQ(models->size(), 5U);
    EXPECT_EQ((*models)[0].context_length, 32768U);
    EXPECT_EQ((*models)[1].context_length, 4096U);
    EXPECT_EQ((*models)[2].capabilities, std::vector<std::string>{"embedding"});
    EXPECT_EQ((*models)[3].capabilities, (std::vector<std::string>{"completion", "vision"}));
    EXPECT_EQ((*models)[4].capabilities, (std::vector<std::string>{"completion", "tools"}));
    EXPECT_FALSE((*models)[4].context_length);
    EXPECT_EQ((*models)[0].created_unix, 1'750'000'000);
    EXPECT_FALSE((*models)[1].created_unix);
    EXPECT_FALSE(wire->listed("{}"));
    EXPECT_FALSE(wire->listed("[]"));
}

TEST(Wires, AreFoundByTheirKind) {
    for (const char* kind : {"openai", "ollama", "anthropic", "triton"}) {
        const auto wire = make_wire(kind);
        ASSERT_NE(wire, nullptr);
        EXPECT_EQ(wire->kind(), kind);
        EXPECT_TRUE(wire->probe().target.starts_with('/'));
        EXPECT_EQ(wire->error_of(401, {}, "").reason, "upstream_auth");
    }
    EXPECT_EQ(make_wire("bedrock"), nullptr);
}

}  // namespace
}  // namespace hearth::remote
