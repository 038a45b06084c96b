// What `framefold new` finds of per-CPU data: where FS and GS lead while kernel code runs, and segments that the code
// loads itself.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "cli/survey_object.hpp"
#include "survey/object_image.hpp"
#include "survey/probe.hpp"

namespace framefold {

/// Sets bases in `code`, with which the callback gets to its handler, and describes them in `first`.
class BaseSurvey {
 public:
  BaseSurvey(const SurveyRequest& request, const ObjectImage& image, ProbeCode& code, FirstDescription& first)
      : request_(request), image_(image), code_(code), first_(first) {}

  /// A probe with the bases that a person says; else none, then the one of data that does, where only one does.
  ProbeResult probe_from_bases(const ProbeVector& vector);
  /// A segment of the guest's own, with the base that gets the callback furthest: to its handler, or past this. False
  /// where there can be none.
  bool meet_segment(std::uint16_t selector, const ProbeVector& vector);
  /// The code stops where it goes through a segment, and no base is known with which it does not.
  void ask_for_base(const ProbeResult& result);
  /// The lines of what was found.
  void describe();
  /// The symbol that GS, or else FS, leads to. Empty: none was found.
  const std::string& symbol() const;

 private:
  struct Base {
    Segment segment = Segment::gs;
    GuestAddress ProbeCode::*base = nullptr;
    std::optional<Guess> FirstDescription::*line = nullptr;
    std::string SurveyRequest::*said = nullptr;
    std::string found;                // a symbol
    std::vector<std::string> rivals;  // several that would do
  };
  struct Candidate {
    const Symbol* symbol = nullptr;
    ProbeResult result;
  };
  std::vector<Candidate> candidates_for(const Base& base, const ProbeVector& vector);
  std::vector<const Symbol*> per_cpu_symbols() const;
  void set_as_said(const Base& base);
  bool is_wanted(const Base& base, const ProbeResult& result) const;

  const SurveyRequest& request_;
  const ObjectImage& image_;
  ProbeCode& code_;
  FirstDescription& first_;
  std::array<Base, 2> bases_{
      Base{Segment::gs, &ProbeCode::gs_base, &FirstDescription::gs_base, &SurveyRequest::gs_base, {}, {}},
      Base{Segment::fs, &ProbeCode::fs_base, &FirstDescription::fs_base, &SurveyRequest::fs_base, {}, {}}};
};

}  // namespace framefold
