// What the mark bytes of a heap's objects say.
//
//   bits   what
//   3..7   the epoch: the number of the major mark that found the object last,
//          or that was the last when a minor one did, 1 to 31
//   2, 0   in a young object's byte: whether the number of the mark that it is
//          of is odd (4) or even (1)
//   1      fresh: no mark has found the object
//
//   byte                  whose
//   epoch                 an old object's: the marks of two cycles have found
//                         it, or the heap has no generations
//   epoch, 4 or 1         a young one's, which that mark was the first to find
//   epoch, 4 or 1, fresh  that of one that was born during that mark
//   fresh                 that of one that was allocated between two marks
//
// An object is alive after a mark, and needs no look during it, if its byte has
// the mark's epoch and is an old object's or the mark's own. A minor mark keeps
// the epoch of the last, so what is old is alive (sticky mark bits), and what
// is young is not: all change sides by the number alone, and no byte is written
// but those of the objects that are found. Objects become old in the second
// mark that finds them, for much of what is half built when the first comes
// dies before the second.
//
// In a heap without generations every object is old at once.
//
// Values; the heap writes its Marks while no mutator runs.

#ifndef BIBOP_HEAP_MARKS_H_
#define BIBOP_HEAP_MARKS_H_

#include <cstdint>

#include "bibop/heap/heap_phase.h"

namespace bibop {

// A mark byte.
using MarkByte = uint8_t;
// The byte of an old object that was marked in that epoch; 0 is 'never'. It may
// wrap around: when a major mark begins every object carries the epoch before
// it or none, because blocks in which something may have died are swept in
// between.
using Epoch = MarkByte;

inline constexpr MarkByte kFreshMark = 2;
inline constexpr Epoch kFirstEpoch = 8;

// The epoch of a mark byte, and the one after an epoch.
constexpr Epoch EpochOf(MarkByte mark) { return mark & 0xf8; }
constexpr Epoch NextEpoch(Epoch epoch) {
  return epoch == 0xf8 ? kFirstEpoch : static_cast<Epoch>(epoch + kFirstEpoch);
}

class Marks {
 public:
  // Those before the first mark.
  explicit constexpr Marks(bool generations) : generations_(generations) {}

  // Those of a mark of that kind after these.
  constexpr Marks Next(CollectionKind kind) const {
    Marks next = *this;
    if (kind == CollectionKind::kMajor) next.old_ = NextEpoch(old_);
    next.found_ = next.born_ = next.old_;
    if (generations_) {
      const MarkByte young = differs_ == kEvenDiffers ? 4 : 1;
      next.found_ |= young;
      next.born_ |= young | kFreshMark;
      next.differs_ = kEvenDiffers ^ kOddDiffers ^ differs_;
    }
    return next;
  }

  constexpr bool generations() const { return generations_; }

  // What old objects carry: the epoch.
  constexpr Epoch old() const { return old_; }
  // What objects carry that are born while the mark runs.
  constexpr MarkByte born() const { return born_; }
  // What an object is to carry that the mark finds with `mark`, not alive yet.
  constexpr MarkByte Found(MarkByte mark) const {
    return (mark & kFreshMark) != 0 ? found_ : old_;
  }
  // Whether an object with `mark` is alive.
  constexpr bool IsAlive(MarkByte mark) const {
    return ((mark ^ old_) & differs_) == 0;
  }
  // The bits of a byte that differ from old() only if the object is not alive.
  constexpr MarkByte differs() const { return differs_; }

 private:
  // Not the fresh bit and the young one of that parity.
  static constexpr MarkByte kEvenDiffers = 0xfc;
  static constexpr MarkByte kOddDiffers = 0xf9;

  bool generations_;
  Epoch old_ = kFirstEpoch;
  MarkByte found_ = kFirstEpoch;
  MarkByte born_ = kFirstEpoch;
  MarkByte differs_ = kEvenDiffers;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_MARKS_H_
