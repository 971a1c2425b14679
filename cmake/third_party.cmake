# Every third-party target in one place. System packages come from the distribution; what ./dev setup
# fetched by version and hash lies under HEARTH_PREFIX.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(Boost 1.83 REQUIRED COMPONENTS json url)
find_package(simdjson REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(CURL REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
if(HEARTH_TESTS)
  find_package(GTest REQUIRED)
endif()

# Neither zstd nor xxHash has a package file for CMake everywhere; of xxHash the headers are enough.
find_path(HEARTH_ZSTD_INCLUDES zstd.h REQUIRED)
find_library(HEARTH_ZSTD_LIBRARY zstd REQUIRED)
add_library(hearth_zstd INTERFACE)
target_include_directories(hearth_zstd SYSTEM INTERFACE ${HEARTH_ZSTD_INCLUDES})
target_link_libraries(hearth_zstd INTERFACE ${HEARTH_ZSTD_LIBRARY})
find_path(HEARTH_XXHASH_INCLUDES xxhash.h REQUIRED)
add_library(hearth_xxhash INTERFACE)
target_include_directories(hearth_xxhash SYSTEM INTERFACE ${HEARTH_XXHASH_INCLUDES})
target_compile_definitions(hearth_xxhash INTERFACE XXH_INLINE_ALL)

# libedit has no package file for CMake.
find_path(HEARTH_EDIT_INCLUDES histedit.h REQUIRED)
find_library(HEARTH_EDIT_LIBRARY edit REQUIRED)
add_library(hearth_edit INTERFACE)
target_include_directories(hearth_edit SYSTEM INTERFACE ${HEARTH_EDIT_INCLUDES})
target_link_libraries(hearth_edit INTERFACE ${HEARTH_EDIT_LIBRARY})

# Boost headers are system headers: their warnings are not ours.
add_library(hearth_boost INTERFACE)
target_link_libraries(hearth_boost INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(hearth_boost INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_VISIBILITY)

# CMake run by hand finds the prefix where ./dev setup puts it when nothing else is said.
if(NOT HEARTH_PREFIX)
  set(HEARTH_PREFIX $ENV{HOME}/.cache/hearth/prefix)
endif()

# oneDNN: x86-64 builds come pinned from its publisher; elsewhere the encoder uses its own kernels.
set(HEARTH_ONEDNN_ROOT ${HEARTH_PREFIX}/onednn)
if(EXISTS ${HEARTH_ONEDNN_ROOT}/include/oneapi/dnnl/dnnl.hpp)
  add_library(hearth_onednn SHARED IMPORTED)
  set_target_properties(hearth_onednn PROPERTIES
    IMPORTED_LOCATION ${HEARTH_ONEDNN_ROOT}/lib/libdnnl.so.3
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${HEARTH_ONEDNN_ROOT}/include)
endif()
