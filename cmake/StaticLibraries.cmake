# With FRAMEFOLD_STATIC: the libraries as targets of the names that find_package() gives them, but so that nothing is
# linked at run time except the C library. What a continuous-fuzzing runner gets is one file a fuzz binary: a shared
# library of the machine that built it is not there.
#
# Distributions have no libfmt.a and no libtomlplusplus.a: these two are compiled in as headers. Found in
# CMAKE_PREFIX_PATH first, so that pinned sources win over the system's.

include_guard(GLOBAL)

# framefold_header_library(<target> <header> [definition ...])
function(framefold_header_library target header)
  string(MAKE_C_IDENTIFIER "FRAMEFOLD_${header}_FOLDER" folder)
  find_path(${folder} ${header} REQUIRED)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${${folder}})
  target_compile_definitions(${target} INTERFACE ${ARGN})
endfunction()

# framefold_archive_library(<target> <header> <archive> [what it needs ...])
function(framefold_archive_library target header archive)
  string(MAKE_C_IDENTIFIER "FRAMEFOLD_${archive}" file)
  string(MAKE_C_IDENTIFIER "FRAMEFOLD_${header}_FOLDER" folder)
  find_library(${file} ${archive} REQUIRED)
  find_path(${folder} ${header} REQUIRED)
  # Of archives CMake knows that what they need has to come behind them.
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${file}} INTERFACE_INCLUDE_DIRECTORIES ${${folder}})
  target_link_libraries(${target} INTERFACE ${ARGN})
endfunction()

framefold_header_library(fmt::fmt fmt/format.h FMT_HEADER_ONLY=1)
framefold_header_library(nlohmann_json::nlohmann_json nlohmann/json.hpp)
framefold_header_library(CLI11::CLI11 CLI/CLI.hpp)
framefold_header_library(tomlplusplus::tomlplusplus toml++/toml.h TOML_HEADER_ONLY=1)
framefold_archive_library(PkgConfig::capstone capstone/capstone.h libcapstone.a)

# libelf decompresses sections: with zlib, and with zstd where it is 0.189 or newer.
find_library(FRAMEFOLD_libz_a libz.a REQUIRED)
find_library(FRAMEFOLD_libzstd_a libzstd.a)
set(decompressors ${FRAMEFOLD_libz_a})
if(FRAMEFOLD_libzstd_a)
  list(APPEND decompressors ${FRAMEFOLD_libzstd_a})
endif()
framefold_archive_library(PkgConfig::libelf gelf.h libelf.a ${decompressors})
find_library(FRAMEFOLD_liblzma_a liblzma.a REQUIRED)
find_library(FRAMEFOLD_libbz2_a libbz2.a REQUIRED)
# Before 0.178, what libdw has of a machine is in an archive of its own (that of base-builder:v1 is 0.176).
find_library(FRAMEFOLD_libebl_a libebl.a)
set(backends "")
if(FRAMEFOLD_libebl_a)
  list(APPEND backends ${FRAMEFOLD_libebl_a} ${CMAKE_DL_LIBS})
endif()
framefold_archive_library(PkgConfig::libdw elfutils/libdw.h libdw.a ${backends} PkgConfig::libelf
                          ${FRAMEFOLD_liblzma_a} ${FRAMEFOLD_libbz2_a} ${decompressors})

# Unicorn and zlib each define crc32(). Of shared libraries one of them would win silently; archives do not link. So
# Unicorn's gets another name, in a copy.
if(Unicorn_IS_STATIC)
  set(renamed ${PROJECT_BINARY_DIR}/libunicorn-renamed.a)
  execute_process(COMMAND ${CMAKE_OBJCOPY} --redefine-sym crc32=unicorn_crc32 ${Unicorn_LIBRARY} ${renamed}
                  COMMAND_ERROR_IS_FATAL ANY)
  set_target_properties(Unicorn::unicorn PROPERTIES IMPORTED_LOCATION ${renamed})
else()
  message(FATAL_ERROR "FRAMEFOLD_STATIC: no libunicorn.a (${Unicorn_LIBRARY})")
endif()

# The C++ library: libc++ of the OSS-Fuzz images is an archive, libstdc++ asks for the options.
add_link_options($<$<LINK_LANGUAGE:CXX>:-static-libstdc++> $<$<LINK_LANGUAGE:CXX>:-static-libgcc>)
