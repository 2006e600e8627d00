#include "bibop/examples/pkgraph/package.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace bibop::pkgraph {

std::string_view ToString(RelationKind kind) {
  switch (kind) {
    case RelationKind::kPreDepends:
      return "Pre-Depends";
    case RelationKind::kDepends:
      return "Depends";
    case RelationKind::kRecommends:
      return "Recommends";
    case RelationKind::kProvides:
      return "Provides";
    case RelationKind::kConflicts:
      return "Conflicts";
  }
  return "";
}

std::string_view ToString(PackageState state) {
  switch (state) {
    case PackageState::kAvailable:
      return "available";
    case PackageState::kVirtual:
      return "virtual";
    case PackageState::kMissing:
      return "missing";
  }
  return "";
}

PackageState StateOf(const Package& package) {
  if (package.versions) return PackageState::kAvailable;
  for (const Alternative* naming = package.named_by.get(); naming != nullptr;
       naming = naming->next_naming_target.get()) {
    if (naming->dependency->kind == RelationKind::kProvides) {
      return PackageState::kVirtual;
    }
  }
  return PackageState::kMissing;
}

std::string ToString(const Dependency& dependency) {
  std::string text;
  for (const Alternative* alternative = dependency.alternatives.get();
       alternative != nullptr; alternative = alternative->next.get()) {
    absl::StrAppend(&text, text.empty() ? "" : " | ",
                    alternative->target->name);
    if (!alternative->constraint.empty()) {
      absl::StrAppend(&text, " (", alternative->constraint, ")");
    }
  }
  return text;
}

}  // namespace bibop::pkgraph
