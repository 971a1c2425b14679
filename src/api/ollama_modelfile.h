#pragma once

#include <string>

#include "models/model.h"

// What Ollama shows of a model as text.
namespace hearth::api::ollama {

// One "name value" per line; a list is a line for each of its values.
std::string show_parameters(const models::Model& model);

// As Ollama would read it, but for the weights, which are named by the model. The file's own
// template is part of them.
std::string show_modelfile(const models::Model& model);

}  // namespace hearth::api::ollama
