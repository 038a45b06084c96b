// What UndefinedBehaviorSanitizer starts with in a fuzz binary. UBSAN_OPTIONS of the environment win, option by option.

/// OSS-Fuzz has unsigned overflow looked for, which is no undefined behaviour, and its runners say that it is no
/// finding. AFL++ says nothing of it, and then the C++ library's own arithmetic ends the fuzz binary.
extern "C" [[gnu::used]] const char* __ubsan_default_options() {  // NOLINT(bugprone-reserved-identifier): its name
  return "silence_unsigned_overflow=1";
}
