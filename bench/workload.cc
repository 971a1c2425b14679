#include "workload.h"

#include <boost/json.hpp>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "base/format.h"

namespace hearth::bench {
namespace {

namespace json = boost::json;

struct Text {
    std::string text;
    std::uint64_t tokens = 0;
};

std::vector<Text> read_texts(const std::string& path) {
    std::ifstream file(path);
    std::vector<Text> texts;
    for (std::string line; std::getline(file, line);) {
        const json::value value = json::parse(line);
        texts.push_back({.text = json::value_to<std::string>(value.at("text")),
                         .tokens = value.at("tokens").to_number<std::uint64_t>()});
    }
    if (texts.empty()) throw std::runtime_error("no texts in " + path);
    return texts;
}

std::string wire(std::string_view method, const WorkloadOptions& options,
                 const std::string& address, const std::string& body) {
    const std::string host = address.starts_with("unix:") ? "localhost" : address;
    std::string text = format("{} {} HTTP/1.1\r\nHost: {}\r\n", method, options.path, host);
    if (method == "POST")
        text += format("Content-Type: application/json\r\nContent-Length: {}\r\n", body.size());
    return text + "\r\n" + body;
}

std::string embeddings_body(const WorkloadOptions& options, const std::vector<Text>& texts,
                            std::size_t begin, std::size_t end) {
    json::value input;
    if (end - begin == 1) {
        input = json::string(texts[begin].text);
    } else {
        json::array list;
        for (std::size_t i = begin; i < end; ++i) list.emplace_back(texts[i].text);
        input = std::move(list);
    }
    json::object body;
    if (options.shape == "openai") {
        body = {{"model", options.model}, {"input", input}, {"encoding_format", options.encoding}};
    } else if (options.shape == "ollama") {
        body = {{"model", options.model}, {"input", input}};
    } else if (options.shape == "tei") {
        body = {{"inputs", input}};
    } else {
        throw std::runtime_error("unknown shape: " + options.shape);
    }
    return json::serialize(body);
}

// A body's own limit is what its answer has: the benches ask for answers that do not end before it.
std::uint64_t answer_tokens(const std::string& body, std::uint64_t otherwise) {
    const json::value value = json::parse(body);
    const json::value* limit = value.as_object().if_contains("max_tokens");
    return limit != nullptr ? limit->to_number<std::uint64_t>() : otherwise;
}

std::size_t count_vectors(const std::string& body, const std::string& shape) {
    const json::value value = json::parse(body);
    if (shape == "tei") return value.as_array().size();
    return value.at(shape == "openai" ? "data" : "embeddings").as_array().size();
}

}  // namespace

std::vector<PreparedRequest> prepare_requests(const WorkloadOptions& options,
                                              const std::string& address) {
    std::vector<PreparedRequest> requests;
    if (!options.texts_file.empty()) {
        const std::vector<Text> texts = read_texts(options.texts_file);
        for (std::size_t begin = 0; begin < texts.size(); begin += options.batch) {
            const std::size_t end = std::min(begin + options.batch, texts.size());
            std::uint64_t tokens = 0;
            for (std::size_t i = begin; i < end; ++i) tokens += texts[i].tokens;
            requests.push_back({.wire = wire("POST", options, address,
                                             embeddings_body(options, texts, begin, end)),
                                .texts = end - begin,
                                .tokens = tokens});
        }
        return requests;
    }
    if (!options.bodies_file.empty()) {
        std::ifstream file(options.bodies_file);
        for (std::string line; std::getline(file, line);) {
            requests.push_back({.wire = wire("POST", options, address, line),
                                .texts = 1,
                                .tokens = answer_tokens(line, options.tokens)});
        }
        if (requests.empty()) throw std::runtime_error("no bodies in " + options.bodies_file);
        return requests;
    }
    std::string body;
    if (!options.body_file.empty()) {
        std::ostringstream text;
        text << std::ifstream(options.body_file).rdbuf();
        body = text.str();
    }
    const std::string_view method = options.body_file.empty() ? "GET" : "POST";
    requests.push_back({.wire = wire(method, options, address, body)});
    return requests;
}

void check_first_reply(const std::string& address, const PreparedRequest& request,
                       const WorkloadOptions& options) {
    Poller poller;
    Connection connection(address, poller);
    connection.keep_body();
    connection.begin(request);
    bool done = false;
    while (!done) {
        poller.wait(std::chrono::seconds(60));
        done = connection.advance();
    }
    if (options.texts_file.empty()) return;
    const std::size_t vectors = count_vectors(connection.body(), options.shape);
    if (vectors != request.texts)
        throw std::runtime_error(
            format("{} vectors came back for {} texts", vectors, request.texts));
}

}  // namespace hearth::bench
