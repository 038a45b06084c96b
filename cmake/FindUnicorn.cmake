# Finds Unicorn Engine: first where ci/deps.sh unpacks the newer one, then in the system.
#
# Settings (cache variables, so that each build directory can have its own Unicorn):
#   FRAMEFOLD_UNICORN       auto: FRAMEFOLD_UNICORN_ROOT, else the system's; system: only the system's
#   FRAMEFOLD_UNICORN_ROOT  where the newer one lies; default <source>/.deps/unicorn, which need not exist
#
# Result: target Unicorn::unicorn, Unicorn_FOUND, Unicorn_VERSION (of the headers), Unicorn_IS_STATIC,
# Unicorn_INCLUDE_DIR, Unicorn_LIBRARY. The static library is preferred: a fuzz binary then runs on a machine that has
# no Unicorn, and calls into it go through no PLT. Debian's libunicorn.a holds all targets; it needs only threads and
# libm besides.

set(_Unicorn_default_root "${PROJECT_SOURCE_DIR}/.deps/unicorn")
set(FRAMEFOLD_UNICORN auto CACHE STRING "Which Unicorn to use: auto (the newer one if it is there) or system")
set_property(CACHE FRAMEFOLD_UNICORN PROPERTY STRINGS auto system)
set(FRAMEFOLD_UNICORN_ROOT "${_Unicorn_default_root}" CACHE PATH "Where Unicorn lies that is not the system's")

if(FRAMEFOLD_UNICORN STREQUAL "system")
  set(_Unicorn_roots system)
elseif(NOT FRAMEFOLD_UNICORN STREQUAL "auto")
  message(FATAL_ERROR "FRAMEFOLD_UNICORN=${FRAMEFOLD_UNICORN}: expected auto or system")
elseif(FRAMEFOLD_UNICORN_ROOT STREQUAL _Unicorn_default_root)
  set(_Unicorn_roots "${FRAMEFOLD_UNICORN_ROOT}" system)
else()
  set(_Unicorn_roots "${FRAMEFOLD_UNICORN_ROOT}") # asked for by name: no other will do
endif()

# Headers and library come from one place: those of one version must never meet the library of another. Nothing is
# cached: ci/deps.sh may bring the newer one between two configurations of a build directory.
foreach(_Unicorn_root IN LISTS _Unicorn_roots)
  unset(Unicorn_INCLUDE_DIR)
  unset(Unicorn_LIBRARY)
  if(_Unicorn_root STREQUAL "system")
    set(_Unicorn_where)
  else()
    set(_Unicorn_where PATHS "${_Unicorn_root}/usr" "${_Unicorn_root}" NO_DEFAULT_PATH)
  endif()
  find_path(Unicorn_INCLUDE_DIR unicorn/unicorn.h NO_CACHE ${_Unicorn_where} PATH_SUFFIXES include)
  find_library(Unicorn_LIBRARY NAMES libunicorn.a unicorn NO_CACHE ${_Unicorn_where}
               PATH_SUFFIXES "lib/${CMAKE_LIBRARY_ARCHITECTURE}" lib)
  if(Unicorn_INCLUDE_DIR AND Unicorn_LIBRARY)
    break()
  endif()
endforeach()

# unicorn_version_of(<folder of headers> <variable>)
function(unicorn_version_of headers variable)
  file(STRINGS "${headers}/unicorn/unicorn.h" defines REGEX "^#define[ \t]+UC_API_(MAJOR|MINOR|PATCH)[ \t]")
  set(version "")
  foreach(part MAJOR MINOR PATCH)
    if("${defines}" MATCHES "UC_API_${part}[ \t]+([0-9]+)")
      list(APPEND version "${CMAKE_MATCH_1}")
    endif()
  endforeach()
  list(JOIN version "." version)
  set(${variable} "${version}" PARENT_SCOPE)
endfunction()

set(Unicorn_VERSION)
if(Unicorn_INCLUDE_DIR)
  unicorn_version_of("${Unicorn_INCLUDE_DIR}" Unicorn_VERSION)
endif()

set(_Unicorn_quiet "${Unicorn_FIND_QUIETLY}")
set(Unicorn_FIND_QUIETLY TRUE) # the one line below says more
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Unicorn
  REQUIRED_VARS Unicorn_LIBRARY Unicorn_INCLUDE_DIR
  VERSION_VAR Unicorn_VERSION
  FAIL_MESSAGE "Unicorn not found: run ci/deps.sh")
set(Unicorn_FIND_QUIETLY "${_Unicorn_quiet}")

if(Unicorn_FOUND)
  if(Unicorn_LIBRARY MATCHES "\\.a$")
    set(Unicorn_IS_STATIC TRUE)
    set(_Unicorn_type STATIC)
  else()
    set(Unicorn_IS_STATIC FALSE)
    set(_Unicorn_type SHARED)
  endif()
  if(NOT TARGET Unicorn::unicorn)
    add_library(Unicorn::unicorn ${_Unicorn_type} IMPORTED)
    set_target_properties(Unicorn::unicorn PROPERTIES
      IMPORTED_LOCATION "${Unicorn_LIBRARY}"
      INTERFACE_INCLUDE_DIRECTORIES "${Unicorn_INCLUDE_DIR}")
    if(Unicorn_IS_STATIC)
      set(THREADS_PREFER_PTHREAD_FLAG ON)
      find_package(Threads REQUIRED)
      target_link_libraries(Unicorn::unicorn INTERFACE Threads::Threads m)
    endif()
  endif()
  if(NOT Unicorn_FIND_QUIETLY)
    string(TOLOWER "${_Unicorn_type}" _Unicorn_type)
    message(STATUS "Unicorn ${Unicorn_VERSION}, ${_Unicorn_type}: ${Unicorn_LIBRARY}")
  endif()
endif()
