#include "base/format.h"
#include "encoder/weights.h"

namespace hearth::encoder {

Result<const Family*> find_family(std::string_view name) {
    static constexpr const Family* kFamilies[] = {&kBertFamily, &kNomicBertFamily};
    std::string known;
    for (const Family* family : kFamilies) {
        if (family->name == name) return family;
        known += known.empty() ? "" : ", ";
        known += family->name;
    }
    return fail(Code::InvalidArgument,
                format("config.json: model_type \"{}\" is not one of {}", name, known));
}

}  // namespace hearth::encoder
