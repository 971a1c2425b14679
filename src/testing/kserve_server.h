#pragma once

// For tests only: a server that speaks KServe's protocol as Triton does, with models whose vectors
// tell what was sent. It trusts nothing of a request: sizes, shapes and types must agree.
#include <boost/json.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "testing/scripted_server.h"

namespace hearth::testing {

class KserveServer {
  public:
    static constexpr std::size_t kDimension = 4;
    static constexpr std::size_t kRowsMax = 3;  // of "narrow"

    // {id, place, type, 1} of each token; what is padding is far off.
    //   bert     INT64, last_hidden_state [rows, tokens, 4]
    //   narrow   INT32, sentence_embedding [rows, 4]: {sum of ids, sum of id * place, tokens, 1}
    //   texts    BYTES, embedding [rows, 4]: {bytes, first byte, last byte, 1}
    //   speak    text_input to text_output, "You said: TEXT" in three events
    //   pixels   takes an image
    //   bad-...  narrow, with an answer that is wrong in the way its name says
    KserveServer() : server_([this](RawSocket& socket, int) { serve(socket); }) {}

    const std::string& address() const { return server_.address(); }

    // From now on.
    void refuse_index(bool refuse) { set(refuses_index_, refuse); }
    void be_ready(bool ready) { set(ready_, ready); }
    // Metadata takes so long.
    void be_slow(std::chrono::milliseconds time) {
        const std::scoped_lock lock(mutex_);
        metadata_time_ = time;
    }
    void add_model(const std::string& name, const std::string& like) {
        const std::scoped_lock lock(mutex_);
        models_[name] = like;
    }

    struct Call {
        std::string model;
        std::size_t rows = 0;
        std::size_t length = 0;
        std::vector<std::int64_t> ids = {};
        std::vector<std::string> texts = {};
    };
    std::vector<Call> calls() const {
        const std::scoped_lock lock(mutex_);
        return calls_;
    }
    std::vector<std::string> requests() const {  // "GET /v2/models/bert"
        const std::scoped_lock lock(mutex_);
        return requests_;
    }

  private:
    using Json = boost::json::object;
    struct Answer {
        int status = 200;
        std::string body;
        std::string type = "application/json";
        std::size_t head_bytes = 0;  // of a binary one
    };
    struct Tensor {
        std::string type;
        std::vector<std::size_t> shape;
        std::string bytes;
    };
    using Tensors = std::map<std::string, Tensor>;

    void set(bool& what, bool value) {
        const std::scoped_lock lock(mutex_);
        what = value;
    }
    static Answer error(int status, const std::string& what) {
        return {.status = status, .body = boost::json::serialize(Json{{"error", what}})};
    }
    static std::string field(const std::string& head, const std::string& name) {
        const std::size_t at = head.find("\r\n" + name + ": ");
        if (at == head.npos) return {};
        const std::size_t begin = at + name.size() + 4;
        return head.substr(begin, head.find("\r\n", begin) - begin);
    }
    static std::string field_of(const std::string& head, std::string name, const char* other) {
        std::string found = field(head, name);
        return found.empty() ? field(head, other) : found;
    }

    void serve(RawSocket& socket) {
        const std::string head = socket.read_until("\r\n\r\n");
        const std::string size = field_of(head, "Content-Length", "content-length");
        const std::string body =
            size.empty() ? std::string() : socket.read_exactly(std::stoul(size));
        const std::string request = head.substr(0, head.find(" HTTP"));
        if (request.empty()) return;
        Answer answer;
        std::chrono::milliseconds wait{0};
        {
            const std::scoped_lock lock(mutex_);
            requests_.push_back(request);
            answer = answer_of(request, head, body);
            if (request.starts_with("GET /v2/models/")) wait = metadata_time_;
        }
        std::this_thread::sleep_for(wait);
        std::string out = "HTTP/1.1 " + std::to_string(answer.status) +
                          " X\r\nContent-Type: " + answer.type +
                          "\r\nContent-Length: " + std::to_string(answer.body.size()) +
                          "\r\nConnection: close\r\n";
        if (answer.head_bytes > 0) {
            out += "Inference-Header-Content-Length: " + std::to_string(answer.head_bytes) + "\r\n";
        }
        socket.send(out + "\r\n" + answer.body);
    }

    Answer answer_of(const std::string& request, const std::string& head, const std::string& body) {
        const std::string models = "/v2/models/";
        if (request == "GET /v2/health/ready") return {.status = ready_ ? 200 : 400, .body = ""};
        if (request == "POST /v2/repository/index") return index();
        const std::size_t at = request.find(models);
        if (at == request.npos) return error(404, "no such route");
        std::string name = request.substr(at + models.size());
        std::string verb;
        if (const std::size_t slash = name.find('/'); slash != name.npos) {
            verb = name.substr(slash + 1);
            name.resize(slash);
        }
        const auto model = models_.find(name);
        if (model == models_.end()) {
            return error(404, "Request for unknown model: '" + name + "' is not found");
        }
        if (verb.empty()) return {.body = boost::json::serialize(metadata(name, model->second))};
        if (verb == "config") return config(model->second);
        if (verb == "generate_stream") return speak(body);
        return infer(name, model->second, head, body);
    }

    Answer index() const {
        if (refuses_index_) return error(404, "no such route");
        boost::json::array list;
        for (const auto& [name, like] : models_) {
            // Two versions of each.
            for (const char* version : {"1", "2"}) {
                list.push_back(Json{{"name", name}, {"version", version}, {"state", "READY"}});
            }
        }
        return {.body = boost::json::serialize(list)};
    }
    static Answer config(const std::string& like) {
        if (like == "bert" || like == "texts") return error(404, "no such route");
        return {.body = boost::json::serialize(Json{{"max_batch_size", kRowsMax}})};
    }
    static Json tensor(const char* name, const char* type, boost::json::array shape) {
        return {{"name", name}, {"datatype", type}, {"shape", std::move(shape)}};
    }
    static Json metadata(const std::string& name, const std::string& like) {
        boost::json::array in;
        boost::json::array out;
        if (like == "texts") {
            in.push_back(tensor("TEXT", "BYTES", {-1, 1}));
            out.push_back(tensor("embedding", "FP32", {-1, 4}));
        } else if (like == "speak") {
            in.push_back(tensor("text_input", "BYTES", {1}));
            in.push_back(tensor("stream", "BOOL", {1}));
            in.push_back(tensor("max_tokens", "INT32", {1}));
            out.push_back(tensor("text_output", "BYTES", {-1}));
        } else if (like == "pixels") {
            in.push_back(tensor("pixel_values", "FP32", {-1, 3, 224, 224}));
            out.push_back(tensor("image_embeds", "FP32", {-1, 4}));
        } else {
            const char* type = like == "bert" ? "INT64" : "INT32";
            for (const char* one : {"input_ids", "token_type_ids", "attention_mask"}) {
                in.push_back(tensor(one, type, {-1, -1}));
            }
            if (like == "bert") {
                out.push_back(tensor("last_hidden_state", "FP32", {-1, -1, 4}));
                out.push_back(tensor("pooler_output", "FP32", {-1, 4}));
            } else {
                out.push_back(tensor("sentence_embedding", "FP32", {-1, 4}));
            }
        }
        return {{"name", name},
                {"versions", {"1"}},
                {"platform", "test"},
                {"inputs", std::move(in)},
                {"outputs", std::move(out)}};
    }

    static Answer speak(const std::string& body) {
        const Json asked = boost::json::parse(body).as_object();
        const std::string text(asked.at("text_input").as_string());
        std::string out;
        for (const std::string& piece : {std::string("You "), std::string("said: "), text}) {
            out += "data: " +
                   boost::json::serialize(Json{{"model_name", "speak"}, {"text_output", piece}}) +
                   "\n\n";
        }
        return {.body = out, .type = "text/event-stream"};
    }

    // The tensors of a request; an error's text where they do not agree with what is said of them.
    static std::string read_tensors(const std::string& head, const std::string& body, Tensors& to) {
        const std::string size =
            field_of(head, "Inference-Header-Content-Length", "inference-header-content-length");
        if (size.empty()) return "no Inference-Header-Content-Length";
        std::string_view rest(body);
        boost::system::error_code failed;
        const auto said = boost::json::parse(rest.substr(0, std::stoul(size)), failed);
        if (failed) return "the head is no JSON";
        rest.remove_prefix(std::stoul(size));
        for (const auto& input : said.at("inputs").as_array()) {
            const auto bytes =
                input.at("parameters").at("binary_data_size").to_number<std::size_t>();
            if (bytes > rest.size()) return "a tensor is cut";
            Tensor one{.type = std::string(input.at("datatype").as_string()),
                       .shape = boost::json::value_to<std::vector<std::size_t>>(input.at("shape")),
                       .bytes = std::string(rest.substr(0, bytes))};
            rest.remove_prefix(bytes);
            to[std::string(input.at("name").as_string())] = std::move(one);
        }
        return rest.empty() ? "" : "bytes are left over";
    }
    static std::vector<std::int64_t> numbers(const Tensor& tensor) {
        const std::size_t wide = tensor.type == "INT64" ? 8 : 4;
        std::vector<std::int64_t> out;
        for (std::size_t at = 0; at + wide <= tensor.bytes.size(); at += wide) {
            std::int32_t narrow = 0;
            std::int64_t value = 0;
            std::memcpy(wide == 8 ? static_cast<void*>(&value) : &narrow, &tensor.bytes[at], wide);
            out.push_back(wide == 8 ? value : narrow);
        }
        return out;
    }
    static std::vector<std::string> strings(const Tensor& tensor) {
        std::vector<std::string> out;
        for (std::size_t at = 0; at + 4 <= tensor.bytes.size();) {
            std::uint32_t size = 0;
            std::memcpy(&size, &tensor.bytes[at], 4);
            out.push_back(tensor.bytes.substr(at + 4, size));
            at += 4 + size;
        }
        return out;
    }

    Answer infer(const std::string& name, const std::string& like, const std::string& head,
                 const std::string& body) {
        if (like == "bad-400") return error(400, "unexpected shape for input 'input_ids'");
        if (like == "bad-500") return error(500, "CUDA out of memory");
        Tensors tensors;
        if (const std::string wrong = read_tensors(head, body, tensors); !wrong.empty()) {
            return error(400, wrong);
        }
        if (like == "texts") return infer_texts(name, tensors);
        const char* type = like == "bert" ? "INT64" : "INT32";
        for (const char* one : {"input_ids", "token_type_ids", "attention_mask"}) {
            if (tensors[one].type != type)
                return error(400, std::string(one) + " is of no " + type);
            if (tensors[one].shape.size() != 2) return error(400, "not two dimensions");
        }
        return infer_tokens(name, like, tensors);
    }
    Answer infer_texts(const std::string& name, const Tensors& tensors) {
        const Tensor& text = tensors.at("TEXT");
        const auto rows = strings(text);
        if (text.shape != std::vector<std::size_t>{rows.size(), 1}) return error(400, "shape");
        calls_.push_back({.model = name, .rows = rows.size(), .texts = rows});
        std::vector<float> out;
        for (const std::string& row : rows) {
            const auto byte = [](char c) { return float(static_cast<unsigned char>(c)); };
            out.insert(out.end(), {float(row.size()), row.empty() ? 0 : byte(row.front()),
                                   row.empty() ? 0 : byte(row.back()), 1});
        }
        return vectors(name, "embedding", {rows.size(), 4}, out);
    }
    Answer infer_tokens(const std::string& name, const std::string& like, Tensors& tensors) {
        const auto ids = numbers(tensors["input_ids"]);
        const auto mask = numbers(tensors["attention_mask"]);
        const auto types = numbers(tensors["token_type_ids"]);
        const auto& shape = tensors["input_ids"].shape;
        const std::size_t rows = shape[0];
        const std::size_t length = shape[1];
        const std::size_t count = rows * length;
        if (ids.size() != count || mask.size() != count || types.size() != count) {
            return error(400, "the shape is not that of the data");
        }
        if (like != "bert" && rows > kRowsMax) return error(400, "batch-size must be <= 3");
        calls_.push_back({.model = name, .rows = rows, .length = length, .ids = ids});
        std::vector<float> each;
        std::vector<float> sums(rows * kDimension);
        for (std::size_t i = 0; i < count; ++i) {
            const float place = float(i % length + 1);
            float* sum = &sums[i / length * kDimension];
            if (mask[i] == 0) {
                each.insert(each.end(), {1e6F, 1e6F, 1e6F, 1e6F});
                continue;
            }
            each.insert(each.end(), {float(ids[i]), place, float(types[i]), 1});
            sum[0] += float(ids[i]);
            sum[1] += float(ids[i]) * place;
            sum[2] += 1;
            sum[3] = 1;
        }
        if (like == "bert") return vectors(name, "last_hidden_state", {rows, length, 4}, each);
        return spoiled(name, like, rows, std::move(sums));
    }
    static Answer spoiled(const std::string& name, const std::string& like, std::size_t rows,
                          std::vector<float> sums) {
        if (like == "bad-output") return vectors(name, "another", {rows, 4}, sums);
        if (like == "bad-type") return vectors(name, "sentence_embedding", {rows, 4}, sums, "FP64");
        if (like == "bad-shape") return vectors(name, "sentence_embedding", {rows + 1, 4}, sums);
        if (like == "bad-nan") sums[1] = std::numeric_limits<float>::quiet_NaN();
        Answer answer = vectors(name, "sentence_embedding", {rows, 4}, sums);
        if (like == "bad-tail") answer.body.resize(answer.body.size() - 3);
        return answer;
    }
    static Answer vectors(const std::string& model, const char* name,
                          std::vector<std::size_t> shape, const std::vector<float>& values,
                          const char* type = "FP32") {
        const std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * 4);
        Json output{{"name", name},
                    {"datatype", type},
                    {"shape", boost::json::value_from(shape)},
                    {"parameters", {{"binary_data_size", bytes.size()}}}};
        const std::string head =
            boost::json::serialize(Json{{"model_name", model},
                                        {"model_version", "1"},
                                        {"outputs", boost::json::array(1, std::move(output))}});
        return {
            .body = head + bytes, .type = "application/octet-stream", .head_bytes = head.size()};
    }

    mutable std::mutex mutex_;
    bool ready_ = true;
    std::chrono::milliseconds metadata_time_{0};
    bool refuses_index_ = false;
    std::map<std::string, std::string> models_ = {{"bert", "bert"},
                                                  {"narrow", "narrow"},
                                                  {"texts", "texts"},
                                                  {"speak", "speak"},
                                                  {"pixels", "pixels"}};
    std::vector<Call> calls_;
    std::vector<std::string> requests_;
    ScriptedServer server_;
};

}  // namespace hearth::testing
