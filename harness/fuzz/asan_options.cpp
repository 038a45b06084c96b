// What AddressSanitizer starts with in a fuzz binary. ASAN_OPTIONS of the environment win, option by option.

/// Copies of memory are not looked at before they are made: those of an execution are of structures whose size the
/// compiler knows, and looking costs a sixth of its time. Nor is what is compared: that would be one in twenty. (The
/// tests, and fuzz binaries that are built with FRAMEFOLD_SANITIZE_HOT_PATH, look.) What was freed is kept back by the
/// megabyte and not by the hundred: an execution allocates nothing but the engine's copy of its input.
extern "C" [[gnu::used]] const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier): its name
  return "replace_intrin=0:intercept_memcmp=0:quarantine_size_mb=10";
}
