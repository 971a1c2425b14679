#pragma once

#include <array>
#include <string>

#include "base/error.h"
#include "models/model.h"

// What the tests of this module share.
namespace hearth::api {

inline constexpr std::array kAllCodes = {
    Code::InvalidArgument,  Code::Unauthenticated, Code::Forbidden,       Code::NotFound,
    Code::TooLarge,         Code::RateLimited,     Code::BudgetExhausted, Code::Overloaded,
    Code::DeadlineExceeded, Code::Cancelled,       Code::Unsupported,     Code::Unavailable,
    Code::BadUpstream,      Code::Internal,
};

inline models::Model sample_model(std::string name) {
    models::Model model;
    model.name = std::move(name);
    model.digest = std::string(64, 'd');
    model.size_bytes = 91'334'612;
    model.modified_unix_ns = 1'795'231'500'123'456'789;
    model.family = "bert";
    model.format = "safetensors";
    model.precision = "F32";
    model.parameters = 22'713'216;
    model.context_length = 256;
    model.embedding_length = 384;
    model.capabilities = {"embedding"};
    model.encoder = {.family = "bert",
                     .hidden = 384,
                     .layers = 6,
                     .heads = 12,
                     .intermediate = 1536,
                     .vocabulary = 30'522,
                     .token_types = 2,
                     .positions_max = 512,
                     .tokens_max = 256,
                     .activation = "gelu",
                     .prompts = {},
                     .default_prompt = {},
                     .matryoshka = {}};
    return model;
}

}  // namespace hearth::api
