// A streaming reader of Debian control files: /var/lib/dpkg/status, the
// Packages files of apt, and whatever else has the same form (deb822(5)):
//
//   Package: apt                 a field: its name, a colon, its value
//   Depends: libc6 (>= 2.34),
//    gpgv                        goes on with the value, for it starts blank
//                                ends the stanza
//   Package: ...
//
// The reader borrows the stream and owns the stanza that it returns, of which
// there is one at a time: a file of any size is read in constant memory.
//
// Bad input is never an abort and never skipped: it is an absl::Status that
// says 'FILE:LINE: what is wrong'. What is wrong may be:
//   - a line that is neither a field, nor a continuation of one, nor empty;
//   - a field that a stanza has twice;
//   - a control byte, which text has none of, and a binary file has many;
//   - a field or a stanza that exceeds the limits below;
//   - a last line without its newline: the file was cut.
//
// A file that was cut exactly between two lines has the form of a complete one:
// whether its last stanza lacks something is for whoever knows what a stanza
// needs to say. Text need not be valid UTF-8; old indexes are not.
//
// Not synchronized: one thread at a time.

#ifndef BIBOP_EXAMPLES_PKGRAPH_CONTROL_FILE_H_
#define BIBOP_EXAMPLES_PKGRAPH_CONTROL_FILE_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bibop::pkgraph {

// The longest field that is read, name and value, in bytes. The longest one in
// Debian's own index has 76 kB.
inline constexpr size_t kMaxFieldBytes = size_t{1} << 20;
// The longest stanza, in bytes.
inline constexpr size_t kMaxStanzaBytes = size_t{1} << 23;
// The most fields that a stanza may have.
inline constexpr size_t kMaxFields = 1000;

// The fields of one package, with the lines that they are on.
class Stanza {
 public:
  struct Field {
    std::string_view name;
    // Without the blanks around it. Has newlines where the file has them.
    std::string_view value;
    // Where the field starts. The first line is 1.
    int64_t line;
  };

  Stanza(const Stanza&) = delete;
  Stanza& operator=(const Stanza&) = delete;

  // The field called `name`, in upper or lower case, if there is one. It is
  // valid as long as the stanza.
  std::optional<Field> Find(std::string_view name) const;

  // The number of fields: at least one.
  size_t size() const { return extents_.size(); }

  // The line of the first field.
  int64_t line() const { return extents_.front().line; }

  // An error about `line` of the file that the stanza is from.
  absl::Status ErrorAt(int64_t line, std::string_view what) const;

 private:
  friend class ControlFileReader;

  // Where in `text_` a field is; `text_` moves while it grows.
  struct Extent {
    size_t begin;
    size_t name_size;
    size_t end;
    int64_t line;
  };

  explicit Stanza(std::string file) : file_(std::move(file)) {}
  Field FieldAt(const Extent& extent) const;

  std::string file_;
  std::string text_;
  std::vector<Extent> extents_;
};

// Reads the stanzas of one file, in order.
class ControlFileReader {
 public:
  // `file` is what errors call the input, which has to outlive the reader.
  ControlFileReader(std::istream& input, std::string file);

  // The next stanza, valid until the next call; null at the end of the file.
  // Once this has returned an error, it returns the same one again.
  absl::StatusOr<const Stanza*> Next();

 private:
  absl::StatusOr<const Stanza*> ReadStanza();
  // Reads a line into `line_`, without its newline. False at the end of the
  // file.
  absl::StatusOr<bool> ReadLine();
  // Refills `unread_`. False at the end of the file.
  absl::StatusOr<bool> ReadChunk();
  absl::Status AddField();
  absl::Status AddContinuation();
  absl::Status CheckSize() const;
  // An error about the line that was read last.
  absl::Status Error(std::string_view what) const;

  std::istream& input_;
  std::string chunk_;
  std::string_view unread_;  // the part of `chunk_` that no line has taken
  std::string line_;
  int64_t line_number_ = 0;
  Stanza stanza_;
  absl::Status failure_;
};

}  // namespace bibop::pkgraph

#endif  // BIBOP_EXAMPLES_PKGRAPH_CONTROL_FILE_H_
