#include <gtest/gtest.h>

#include <bit>
#include <cstring>

#include "backends/remote/kserve_call.h"
#include "backends/remote/wire_test_util.h"

namespace hearth::remote::kserve {
namespace {

using inference::TokenIds;

Metadata bert(std::string_view type = "INT64", std::string output = "last_hidden_state") {
    const auto input = [&](const char* name) {
        return Tensor{.name = name, .datatype = std::string(type), .shape = {-1, -1}};
    };
    return {.name = "bert",
            .inputs = {input("input_ids"), input("token_type_ids"), input("attention_mask")},
            .outputs = {{.name = std::move(output), .datatype = "FP32", .shape = {-1, -1, 2}}}};
}

EmbedPlan plan_of(const Metadata& metadata) {
    const auto plan = plan_embed(metadata);
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message);
    return plan ? *plan : EmbedPlan{};
}

const std::vector<TokenIds> kRows = {{101, 7, 102}, {101, -1}};

// A reply with one output and these bytes or this data behind it.
struct Answer {
    http::Headers headers;
    std::string body;
};
Answer binary_answer(std::string_view type, json::array shape, const std::string& bytes,
                     std::string_view name = "last_hidden_state") {
    const std::string head = json::serialize(json::object{
        {"model_name", "bert"},
        {"outputs",
         json::array(1, json::object{{"name", name},
                                     {"datatype", type},
                                     {"shape", std::move(shape)},
                                     {"parameters", {{"binary_data_size", bytes.size()}}}})}});
    return {.headers = {{"Inference-Header-Content-Length", std::to_string(head.size())}},
            .body = head + bytes};
}

template <class T>
std::string bytes_of(const std::vector<T>& values) {
    std::string out(values.size() * sizeof(T), '\0');
    std::memcpy(out.data(), values.data(), out.size());
    return out;
}

Result<inference::EmbedReply> decode(const Answer& answer, bool normalize = false,
                                     const std::vector<TokenIds>& rows = kRows) {
    return decode_embed(plan_of(bert()), answer.headers, answer.body, rows,
                        {.normalize = normalize});
}

TEST(Kserve, ReadsMetadata) {
    EXPECT_EQ(metadata_call("a/b c").target, "/v2/models/a%2Fb%20c");
    const auto metadata = parse_metadata(
        R"({"name":"m","versions":["1"],"inputs":[{"name":"input_ids","datatype":"INT64","shape":[-1,-1]}],
            "outputs":[{"name":"o","datatype":"FP32","shape":[-1,384]}]})");
    ASSERT_TRUE(metadata);
    EXPECT_EQ(metadata->inputs[0].shape, (std::vector<std::int64_t>{-1, -1}));
    EXPECT_EQ(metadata->outputs[0].name, "o");
    for (const char* wrong : {"", "[]", "{}", R"({"inputs":[],"outputs":[1]})",
                              R"({"inputs":[{"name":"x"}],"outputs":[]})",
                              R"({"inputs":[{"name":"x","shape":["1"]}],"outputs":[]})"}) {
        EXPECT_EQ(parse_metadata(wrong).error().code, Code::BadUpstream) << wrong;
    }
}

TEST(Kserve, PadsABatchToItsLongestRow) {
    const auto call = encode_embed(plan_of(bert()), "bert", kRows, 9);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->target, "/v2/models/bert/infer");
    EXPECT_EQ(call->headers.find("content-type"), "application/octet-stream");
    const auto size =
        std::stoul(std::string(*call->headers.find("inference-header-content-length")));
    const json::value head = json::parse(call->body.substr(0, size));
    ASSERT_EQ(head.at("inputs").as_array().size(), 3U);
    for (const json::value& input : head.at("inputs").as_array()) {
        EXPECT_EQ(input.at("shape"), json::value({2, 3}));
        EXPECT_EQ(input.at("datatype"), json::value("INT64"));
        EXPECT_EQ(input.at("parameters").at("binary_data_size"), json::value(48));
    }
    EXPECT_EQ(head.at("outputs").as_array()[0].at("name"), json::value("last_hidden_state"));
    EXPECT_TRUE(head.at("outputs").as_array()[0].at("parameters").at("binary_data").as_bool());
    const std::vector<std::int64_t> ids = {101, 7, 102, 101, -1, 9};
    const std::vector<std::int64_t> types(6);
    const std::vector<std::int64_t> mask = {1, 1, 1, 1, 1, 0};
    EXPECT_EQ(call->body.substr(size), bytes_of(ids) + bytes_of(types) + bytes_of(mask));
}

TEST(Kserve, TakesNarrowTensors) {
    const auto call = encode_embed(plan_of(bert("INT32")), "bert", kRows);
    ASSERT_TRUE(call);
    const std::vector<std::int32_t> mask = {1, 1, 1, 1, 1, 0};
    EXPECT_TRUE(call->body.ends_with(bytes_of(mask)));
    EXPECT_TRUE(call->body.contains("INT32"));
}

TEST(Kserve, ChoosesTheSentencesOwnVector) {
    Metadata metadata = bert();
    metadata.outputs.push_back(
        {.name = "sentence_embedding", .datatype = "FP32", .shape = {-1, 2}});
    EXPECT_EQ(plan_of(metadata).output, "sentence_embedding");
    EXPECT_EQ(plan_embed(metadata, "last_hidden_state")->output, "last_hidden_state");
    EXPECT_EQ(plan_embed(metadata, "nothing").error().code, Code::Unsupported);
    EXPECT_EQ(plan_of(bert("INT64", "anything")).output, "anything");
    metadata.outputs = {{.name = "a", .datatype = {}, .shape = {}},
                        {.name = "b", .datatype = {}, .shape = {}}};
    EXPECT_TRUE(plan_embed(metadata).error().message.contains("a, b"));
}

TEST(Kserve, ModelsThatTakeOtherThingsAreRefused) {
    Metadata metadata = bert();
    metadata.inputs[1].name = "pixel_values";
    EXPECT_EQ(plan_embed(metadata).error().code, Code::Unsupported);
    EXPECT_EQ(plan_embed(bert("FP32")).error().code, Code::Unsupported);
    metadata = bert();
    metadata.inputs[0].shape = {-1};
    EXPECT_EQ(plan_embed(metadata).error().code, Code::Unsupported);
    metadata = bert();
    metadata.inputs[1].name = "input_ids";
    EXPECT_TRUE(plan_embed(metadata).error().message.contains("twice"));
    metadata = bert();
    metadata.inputs.erase(metadata.inputs.begin());
    EXPECT_EQ(plan_embed(metadata).error().code, Code::Unsupported);
}

TEST(Kserve, FixedShapesAreKept) {
    Metadata metadata = bert();
    for (Tensor& tensor : metadata.inputs) tensor.shape = {2, 4};
    const auto call = encode_embed(plan_of(metadata), "bert", kRows);
    ASSERT_TRUE(call);
    EXPECT_TRUE(call->body.contains("[2,4]"));
    EXPECT_EQ(encode_embed(plan_of(metadata), "bert", std::span(kRows).first(1)).error().code,
              Code::Unsupported);
    const std::vector<TokenIds> most = {TokenIds(4), TokenIds(1)};
    EXPECT_TRUE(encode_embed(plan_of(metadata), "bert", most));
    const std::vector<TokenIds> over = {TokenIds(5), TokenIds(1)};
    EXPECT_EQ(encode_embed(plan_of(metadata), "bert", over).error().reason,
              "context_length_exceeded");
}

TEST(Kserve, ABatchHasBounds) {
    const EmbedPlan plan = plan_of(bert());
    EXPECT_EQ(encode_embed(plan, "m", {}).error().code, Code::InvalidArgument);
    EXPECT_TRUE(encode_embed(plan, "m", std::vector<TokenIds>(2048, TokenIds{1})));
    EXPECT_EQ(encode_embed(plan, "m", std::vector<TokenIds>(2049, TokenIds{1})).error().code,
              Code::InvalidArgument);
    EXPECT_EQ(encode_embed(plan, "m", std::vector<TokenIds>{{1}, {}}).error().param, "input[1]");
    std::vector<TokenIds> wide(2048, TokenIds{1});
    wide[5].resize((4 << 20) / 2048 + 1);
    EXPECT_EQ(encode_embed(plan, "m", wide).error().code, Code::TooLarge);
}

TEST(Kserve, WithoutAMaskOnlyEvenBatchesGo) {
    Metadata metadata = bert();
    metadata.inputs.resize(1);
    EXPECT_EQ(encode_embed(plan_of(metadata), "m", kRows).error().code, Code::Unsupported);
    EXPECT_TRUE(encode_embed(plan_of(metadata), "m", std::vector<TokenIds>{{1, 2}, {3, 4}}));
}

TEST(Kserve, PoolsOverTheTokensThatAreNoPadding) {
    const std::vector<float> values = {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 99, 99};
    const auto reply = decode(binary_answer("FP32", {2, 3, 2}, bytes_of(values)));
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->dimension, 2U);
    EXPECT_EQ(reply->vectors, (std::vector<float>{3, 4, 20, 30}));
    EXPECT_EQ(reply->tokens, (std::vector<std::uint32_t>{3, 2}));
    EXPECT_EQ(reply->model, "bert");
    const auto normal = decode(binary_answer("FP32", {2, 3, 2}, bytes_of(values)), true);
    EXPECT_FLOAT_EQ(normal->vectors[0], 0.6F);
}

TEST(Kserve, TakesAVectorPerRowAsItIs) {
    const auto reply =
        decode(binary_answer("FP32", {2, 2}, bytes_of(std::vector<float>{1, 2, 3, 4})));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->vectors, (std::vector<float>{1, 2, 3, 4}));
}

TEST(Kserve, ReadsHalves) {
    // 1, -2, 65504 (the largest), 2^-24 (the smallest).
    const std::vector<std::uint16_t> halves = {0x3C00, 0xC000, 0x7BFF, 0x0001};
    const auto reply = decode(binary_answer("FP16", {2, 2}, bytes_of(halves)));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->vectors, (std::vector<float>{1, -2, 65504, 0x1p-24F}));
    const std::vector<std::uint16_t> brains = {0x3F80, 0xC000, 0x0000, 0x8000};
    const auto brain = decode(binary_answer("BF16", {2, 2}, bytes_of(brains)));
    ASSERT_TRUE(brain);
    EXPECT_EQ(brain->vectors, (std::vector<float>{1, -2, 0, 0}));
    const std::vector<std::uint16_t> infinite = {0x7C00, 0x3C00, 0x3C00, 0x3C00};
    EXPECT_EQ(decode(binary_answer("FP16", {2, 2}, bytes_of(infinite))).error().code,
              Code::BadUpstream);
}

TEST(Kserve, ReadsJsonWhereNothingIsBinary) {
    const std::string body =
        R"({"outputs":[{"name":"x","datatype":"FP32","shape":[1],"data":[1]},
            {"name":"last_hidden_state","datatype":"FP32","shape":[2,2],"data":[[1,2],[3,4.5]]}]})";
    const auto reply = decode({.headers = {}, .body = body});
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(reply->vectors, (std::vector<float>{1, 2, 3, 4.5}));
}

TEST(Kserve, AnswersOfAnotherFormAreRefused) {
    const std::string four = bytes_of(std::vector<float>{1, 2, 3, 4});
    const Answer kWrong[] = {
        binary_answer("FP32", {2, 2}, four + "x"),
        binary_answer("FP32", {2, 2}, four.substr(1)),
        binary_answer("FP64", {2, 1}, four),
        binary_answer("FP32", {4, 1}, four),     // rows
        binary_answer("FP32", {2, 1, 2}, four),  // fewer tokens than were sent
        binary_answer("FP32", {2, -2}, four),
        binary_answer("FP32", {2, 0}, ""),
        binary_answer("FP32", {4}, four),
        binary_answer("FP32", {1, 1, 2, 2}, four),
        binary_answer("FP32", {INT64_MAX, INT64_MAX}, four),
        binary_answer("FP32", {2, 2}, four, "another"),
        {.headers = {{"inference-header-content-length", "99999"}}, .body = "{}"},
        {.headers = {{"inference-header-content-length", "-1"}}, .body = "{}"},
        {.headers = {{"inference-header-content-length", "1"}}, .body = "{}"},
        {.headers = {}, .body = R"({"outputs":[1]})"},
        {.headers = {},
         .body = R"({"outputs":[{"name":"last_hidden_state","shape":[2,2],"data":[1,"x",3,4]}]})"},
        {.headers = {},
         .body = R"({"outputs":[{"name":"x","parameters":{"binary_data_size":5}}]})"}};
    for (const Answer& wrong : kWrong) {
        const auto reply = decode(wrong);
        ASSERT_FALSE(reply) << wrong.body;
        EXPECT_EQ(reply.error().code, Code::BadUpstream) << wrong.body;
    }
}

Metadata texts(json::array shape) {
    return {.name = "t",
            .inputs = {{.name = "TEXT",
                        .datatype = "BYTES",
                        .shape = json::value_to<std::vector<std::int64_t>>(json::value(shape))}},
            .outputs = {{.name = "o", .datatype = "FP16", .shape = {-1, 2}}}};
}

TEST(Kserve, SendsTextsBehindTheirLengths) {
    const std::vector<std::string> rows = {"ab", "", std::string(300, 'x')};
    const auto call = encode_texts(plan_of(texts({-1, 1})), "t", rows);
    ASSERT_TRUE(call);
    const std::string tensor = std::string("\x02\0\0\0ab\0\0\0\0\x2C\x01\0\0", 14) + rows[2];
    EXPECT_TRUE(call->body.ends_with(R"("binary_data":true}}]})" + tensor)) << call->body;
    EXPECT_TRUE(call->body.contains(R"("shape":[3,1],"datatype":"BYTES")"));
    EXPECT_TRUE(encode_texts(plan_of(texts({-1})), "t", rows)->body.contains(R"("shape":[3],)"));
    EXPECT_EQ(encode_texts(plan_of(texts({1})), "t", rows).error().code, Code::Unsupported);
    EXPECT_EQ(encode_texts(plan_of(texts({-1})), "t", {}).error().code, Code::InvalidArgument);
    EXPECT_EQ(plan_embed(texts({-1, 7})).error().code, Code::Unsupported);
}

TEST(Kserve, OnlyVectorsOfNumbersAreEmbeddings) {
    Metadata metadata = texts({-1});
    EXPECT_EQ(plan_of(metadata).dimension, 2U);
    metadata.outputs[0].shape = {-1, -1, 2};
    EXPECT_EQ(plan_embed(metadata).error().code, Code::Unsupported) << "nobody here could pool it";
    metadata = bert();
    metadata.outputs[0].datatype = "BYTES";
    EXPECT_TRUE(plan_embed(metadata).error().message.contains("BYTES"));
    metadata = bert();
    metadata.outputs[0].shape = {-1};
    EXPECT_EQ(plan_embed(metadata).error().code, Code::Unsupported);
}

TEST(Kserve, TakesTheVectorOfTheFirstOrTheLastToken) {
    const std::vector<float> values = {1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 99, 99};
    const Answer answer = binary_answer("FP32", {2, 3, 2}, bytes_of(values));
    EmbedPlan plan = plan_of(bert());
    const auto pooled = [&](Pooling pooling) {
        plan.pooling = pooling;
        return decode_embed(plan, answer.headers, answer.body, kRows, {.normalize = false})
            ->vectors;
    };
    EXPECT_EQ(pooled(Pooling::First), (std::vector<float>{1, 2, 10, 20}));
    EXPECT_EQ(pooled(Pooling::Last), (std::vector<float>{5, 6, 30, 40}));
}

TEST(Kserve, SplitsRowsByNumberAndLength) {
    using Batches = std::vector<std::vector<std::size_t>>;
    const std::vector<std::size_t> lengths = {3, 9, 3, 5};
    EXPECT_EQ(split_rows(plan_of(bert()), lengths, 8), (Batches{{1, 3, 0, 2}}));
    EXPECT_EQ(split_rows(plan_of(bert()), lengths, 3), (Batches{{1, 3, 0}, {2}}));
    EXPECT_EQ(split_rows(plan_of(bert()), {}, 3), Batches{});
    Metadata metadata = bert();
    metadata.inputs.resize(1);
    EXPECT_EQ(split_rows(plan_of(metadata), lengths, 8), (Batches{{1}, {3}, {0, 2}}))
        << "without a mask only rows of one length go together";
    const std::vector<std::size_t> huge(3, kElementsMax / 2);
    EXPECT_EQ(split_rows(plan_of(bert()), huge, 8), (Batches{{0, 1}, {2}}));
}

TEST(Kserve, ReadsHowManyRowsGoAtOnce) {
    EXPECT_EQ(config_call("m").target, "/v2/models/m/config");
    EXPECT_EQ(parse_batch_max(R"({"max_batch_size":8})"), 8U);
    for (const char* none : {R"({"max_batch_size":0})", "{}", "no", R"({"max_batch_size":-1})"}) {
        EXPECT_EQ(parse_batch_max(none), std::nullopt) << none;
    }
}

TEST(TritonWire, ListsTheModelsThatAreReady) {
    const auto wire = make_triton_wire();
    const http::Call call = wire->list_models();
    EXPECT_EQ(call.target, "/v2/repository/index");
    EXPECT_EQ(call.body, R"({"ready":true})");
    EXPECT_EQ(wire->probe().target, "/v2/health/ready");
    const auto models = wire->listed(
        R"([{"name":"a","version":"1","state":"READY"},{"name":"b","state":"UNAVAILABLE"},{"name":"c"},{"name":"a","version":"2","state":"READY"},{}])");
    ASSERT_TRUE(models);
    ASSERT_EQ(models->size(), 2U);
    EXPECT_EQ((*models)[1].name, "c");
    EXPECT_FALSE(wire->listed("{}"));
}

}  // namespace
}  // namespace hearth::remote::kserve
