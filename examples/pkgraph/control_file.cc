#include "bibop/examples/pkgraph/control_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bibop/examples/pkgraph/quoted.h"

namespace bibop::pkgraph {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 16;
constexpr std::string_view kBlanks = " \t";

bool IsFieldName(std::string_view name) {
  return !name.empty() && name[0] != '#' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), absl::ascii_isgraph);
}

// The first byte of `text` that no line of text has, if there is one.
std::optional<unsigned char> FindControlByte(std::string_view text) {
  for (unsigned char byte : text) {
    if (absl::ascii_iscntrl(byte) && byte != '\t') return byte;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Stanza::Field> Stanza::Find(std::string_view name) const {
  for (const Extent& extent : extents_) {
    const Field field = FieldAt(extent);
    if (absl::EqualsIgnoreCase(field.name, name)) return field;
  }
  return std::nullopt;
}

Stanza::Field Stanza::FieldAt(const Extent& extent) const {
  const std::string_view field =
      std::string_view(text_).substr(extent.begin, extent.end - extent.begin);
  return {.name = field.substr(0, extent.name_size),
          .value = absl::StripAsciiWhitespace(
              field.substr(extent.name_size + 1)),  // 1: the colon
          .line = extent.line};
}

absl::Status Stanza::ErrorAt(int64_t line, std::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(file_, ":", line, ": ", what));
}

ControlFileReader::ControlFileReader(std::istream& input, std::string file)
    : input_(input), stanza_(std::move(file)) {}

absl::StatusOr<const Stanza*> ControlFileReader::Next() {
  if (!failure_.ok()) return failure_;
  absl::StatusOr<const Stanza*> stanza = ReadStanza();
  failure_ = stanza.status();
  return stanza;
}

absl::StatusOr<const Stanza*> ControlFileReader::ReadStanza() {
  stanza_.text_.clear();
  stanza_.extents_.clear();
  while (true) {
    absl::StatusOr<bool> has_line = ReadLine();
    if (!has_line.ok()) return has_line.status();
    const bool is_blank = line_.find_first_not_of(kBlanks) == line_.npos;
    if (!*has_line || is_blank) {
      if (stanza_.size() > 0) return &stanza_;
      if (!*has_line) return nullptr;
      continue;
    }
    const bool is_continuation = kBlanks.find(line_[0]) != kBlanks.npos;
    absl::Status added = is_continuation ? AddContinuation() : AddField();
    if (!added.ok()) return added;
  }
}

absl::Status ControlFileReader::AddField() {
  const size_t colon = line_.find(':');
  if (colon == line_.npos) {
    return Error(absl::StrCat("expected 'Name: value', found ", Quoted(line_)));
  }
  const std::string_view name = std::string_view(line_).substr(0, colon);
  if (!IsFieldName(name)) {
    return Error(absl::StrCat(Quoted(name), " is not the name of a field"));
  }
  if (const auto first = stanza_.Find(name)) {
    return Error(absl::StrCat("the stanza has a field ", Quoted(name),
                              " already, on line ", first->line));
  }
  if (stanza_.size() == kMaxFields) {
    return Error(
        absl::StrCat("a stanza with more than ", kMaxFields, " fields"));
  }
  const size_t begin = stanza_.text_.size();
  stanza_.text_ += line_;
  stanza_.extents_.push_back({.begin = begin,
                              .name_size = colon,
                              .end = stanza_.text_.size(),
                              .line = line_number_});
  return CheckSize();
}

absl::Status ControlFileReader::AddContinuation() {
  if (stanza_.size() == 0) {
    return Error("a line that continues a field, but there is no field");
  }
  absl::StrAppend(&stanza_.text_, "\n", line_);
  stanza_.extents_.back().end = stanza_.text_.size();
  return CheckSize();
}

absl::Status ControlFileReader::CheckSize() const {
  const Stanza::Extent& last = stanza_.extents_.back();
  if (last.end - last.begin > kMaxFieldBytes) {
    return stanza_.ErrorAt(
        last.line,
        absl::StrCat("the field ", Quoted(stanza_.FieldAt(last).name),
                     " is longer than ", kMaxFieldBytes, " bytes"));
  }
  if (stanza_.text_.size() > kMaxStanzaBytes) {
    return stanza_.ErrorAt(
        stanza_.line(),
        absl::StrCat("the stanza is longer than ", kMaxStanzaBytes, " bytes"));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ControlFileReader::ReadLine() {
  line_.clear();
  ++line_number_;
  while (true) {
    if (unread_.empty()) {
      absl::StatusOr<bool> has_chunk = ReadChunk();
      if (!has_chunk.ok()) return has_chunk.status();
      if (!*has_chunk) {
        if (line_.empty()) return false;
        return Error("the file ends in the middle of this line: it was cut");
      }
    }
    const size_t newline = unread_.find('\n');
    const std::string_view part = unread_.substr(0, newline);
    // Before the line is complete: a binary file may be one line of any length.
    if (const auto byte = FindControlByte(part)) {
      return Error(absl::StrFormat(
          "the byte 0x%02x is not text: a binary or compressed file?", *byte));
    }
    if (line_.size() + part.size() > kMaxFieldBytes) {
      return Error(absl::StrCat(
          "a line of more than ", kMaxFieldBytes,
          " bytes, the most that a field may have: ", Quoted(line_)));
    }
    line_ += part;
    unread_.remove_prefix(part.size());
    if (newline != unread_.npos) {
      unread_.remove_prefix(1);
      return true;
    }
  }
}

absl::StatusOr<bool> ControlFileReader::ReadChunk() {
  chunk_.resize(kChunkBytes);
  input_.read(chunk_.data(), static_cast<std::streamsize>(chunk_.size()));
  if (input_.bad()) return Error("the file cannot be read any further");
  unread_ =
      std::string_view(chunk_).substr(0, static_cast<size_t>(input_.gcount()));
  return !unread_.empty();
}

absl::Status ControlFileReader::Error(std::string_view what) const {
  return stanza_.ErrorAt(line_number_, what);
}

}  // namespace bibop::pkgraph
