# What every target of framefold shares: the language, the warnings, and one function a kind of target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Errors by default; -DCMAKE_COMPILE_WARNING_AS_ERROR=OFF for a compiler that nobody has tried.
set(CMAKE_COMPILE_WARNING_AS_ERROR ON CACHE BOOL "Warnings are errors")
add_library(framefold_warnings INTERFACE)
target_compile_options(framefold_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic>)

# Where the compiler's flags ask for a fuzzing engine's instrumentation (OSS-Fuzz), it is left to the code that reads
# images and descriptions and writes reports: on an execution's path, the guest's coverage is what counts, and that of the
# harness costs time (harness/fuzz/guest_counters.hpp). AFL++ has an instrumentation of its own: ci/oss-fuzz/build.sh.
set(FRAMEFOLD_UNTRACED_FOLDERS machine xen scenario run fuzz)
string(JOIN "," framefold_tracing
       func bb edge indirect-calls trace-bb trace-cmp trace-div trace-gep trace-loads trace-stores trace-pc trace-pc-guard
       inline-8bit-counters inline-bool-flag pc-table stack-depth)
set(framefold_untraced -fno-sanitize=fuzzer,fuzzer-no-link -fno-sanitize-coverage=${framefold_tracing})

# framefold_unoptimised(<source>...): Debug builds (presets sanitize and coverage) leave these as they are written. For what takes
# long to compile and next to no time to run: options, tables and pages.
function(framefold_unoptimised)
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Debug>:-O0>)
endfunction()

# framefold_library(<folder> SOURCES ... LINK ...): the static library framefold_<folder>.
function(framefold_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  add_library(framefold_${folder} STATIC ${arg_SOURCES})
  target_include_directories(framefold_${folder} PUBLIC ${PROJECT_SOURCE_DIR}/harness)
  target_link_libraries(framefold_${folder} PUBLIC ${arg_LINK} PRIVATE framefold_warnings)
  if(FRAMEFOLD_FUZZ AND folder IN_LIST FRAMEFOLD_UNTRACED_FOLDERS)
    target_compile_options(framefold_${folder} PRIVATE ${framefold_untraced})
  endif()
endfunction()

# framefold_hot_path(<folder>): in fuzz binaries this library goes without the sanitizers, as Unicorn does: it is what an execution
# runs through. The tests run it under both (preset `sanitize`), and so does a fuzz binary that is built with
# FRAMEFOLD_SANITIZE_HOT_PATH.
function(framefold_hot_path folder)
  if(FRAMEFOLD_FUZZ AND NOT FRAMEFOLD_TESTS AND NOT FRAMEFOLD_SANITIZE_HOT_PATH)
    target_compile_options(framefold_${folder} PRIVATE -fno-sanitize=address,undefined -fomit-frame-pointer)
  endif()
endfunction()

# framefold_test(<component> [LONG] LINK ...): <component>_test.cpp as a GoogleTest binary, each test known to ctest. LONG: it searches,
# minutes under the sanitizers, through code that others test under them; FRAMEFOLD_LONG_TESTS=OFF leaves it out.
function(framefold_test component)
  cmake_parse_arguments(PARSE_ARGV 1 arg "LONG" "TIMEOUT" "LINK")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${component}_test ${component}_test.cpp lsan_suppressions.cpp)
  target_link_libraries(${component}_test PRIVATE ${arg_LINK} framefold_warnings GTest::gmock GTest::gtest_main)
  if(arg_LONG AND NOT FRAMEFOLD_LONG_TESTS)
    set_target_properties(${component}_test PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  gtest_discover_tests(${component}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX "${component}." PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()
