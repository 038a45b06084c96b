# What every target of framefold shares: the language, the warnings, and one function a kind of target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(framefold_warnings INTERFACE)
target_compile_options(framefold_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Werror>)

# framefold_library(<folder> SOURCES ... LINK ...): the static library framefold_<folder>.
function(framefold_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  add_library(framefold_${folder} STATIC ${arg_SOURCES})
  target_include_directories(framefold_${folder} PUBLIC ${PROJECT_SOURCE_DIR}/harness)
  target_link_libraries(framefold_${folder} PUBLIC ${arg_LINK} PRIVATE framefold_warnings)
endfunction()

# framefold_hot_path(<folder>): in fuzz binaries this library goes without the sanitizers, as Unicorn does: it is what runs before
# every guest instruction, and under them a fuzz binary makes half as many executions. The tests run it under both (preset `sanitize`),
# and so does a fuzz binary that is built with FRAMEFOLD_SANITIZE_HOT_PATH.
function(framefold_hot_path folder)
  if(FRAMEFOLD_FUZZ AND NOT FRAMEFOLD_TESTS AND NOT FRAMEFOLD_SANITIZE_HOT_PATH)
    target_compile_options(framefold_${folder} PRIVATE -fno-sanitize=address,undefined)
  endif()
endfunction()

# framefold_test(<component> LINK ...): <component>_test.cpp as a GoogleTest binary, each test known to ctest.
function(framefold_test component)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LINK")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${component}_test ${component}_test.cpp lsan_suppressions.cpp)
  target_link_libraries(${component}_test PRIVATE ${arg_LINK} framefold_warnings GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${component}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX "${component}." PROPERTIES TIMEOUT ${arg_TIMEOUT})
endfunction()
