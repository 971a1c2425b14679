#include "cli/commands.h"

namespace hearth::cli {
namespace {

constexpr Command kCommands[] = {
    {add_serve}, {add_run}, {add_complete}, {add_embed},    {add_models}, {add_show},   {add_ps},
    {add_pull},  {add_cp},  {add_rm},       {add_quantize}, {add_cache},  {add_doctor}, {add_demo}};

}  // namespace

std::span<const Command> commands() { return kCommands; }

}  // namespace hearth::cli
