// HeapModel: which objects a heap holds, kept beside it in a map, for tests.
//
// It is told what was allocated, abandoned, and marked, fills the objects with
// patterns, and is called by their destructors. It aborts when the heap says
// something else, when objects overlap or were written to, and when a
// destructor runs twice, too early, or not at all.
//
// Used by one thread.

#ifndef BIBOP_HEAP_HEAP_MODEL_H_
#define BIBOP_HEAP_HEAP_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "bibop/heap/local_allocator.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/type_info.h"

namespace bibop {

// Told by the destructors of objects.
class DeathRecorder {
 public:
  virtual void Destroyed(uint32_t id) = 0;

 protected:
  ~DeathRecorder() = default;
};

// Types of objects, without a destructor and with one.
template <size_t kBytes, size_t alignment = 1>
struct alignas(alignment) ModelLeaf {
  static constexpr size_t kHeader = 0;
  std::byte bytes[kBytes];
};

template <size_t kBytes>
struct ModelTracked {
  static constexpr size_t kHeader = 16;
  ~ModelTracked() { recorder->Destroyed(id); }

  DeathRecorder* recorder;
  uint32_t id;
  std::byte bytes[kBytes - 12];
};

// One of these types.
struct ModelKind {
  const TypeInfo* type;
  TypeId id;
  void* (*try_allocate)(LocalAllocator& allocator);
  // The bytes at an object's start that are not its contents.
  size_t header;
};

template <class T>
ModelKind ModelKindOf() {
  return {&kTypeInfo<T>, kTypeId<T>,
          [](LocalAllocator& allocator) { return allocator.TryAllocate<T>(); },
          T::kHeader};
}

class HeapModel : private DeathRecorder {
 public:
  struct Object {
    const ModelKind* kind;
    size_t size;
    uint32_t id;
  };
  using Objects = std::map<std::byte*, Object>;

  // The objects that live as far as their program knows.
  const Objects& live() const { return live_; }

  // ---- what happens to objects ----

  // Makes an object of `size` bytes in a cell that was just allocated.
  void Add(std::byte* start, const ModelKind& kind, size_t size);

  // Says that the object was given up: no destructor may run for it.
  void Abandon(std::byte* start);

  // Says that a mark begins. Calls is_live(start, object) for each object;
  // those for which it returns false are dead.
  template <class F>
  void Mark(F is_live) {
    for (auto at = live_.begin(); at != live_.end();) {
      if (is_live(at->first, at->second)) {
        CheckContents(at->first, at->second);
        ++at;
      } else {
        Kill(*at);
        at = live_.erase(at);
      }
    }
  }

  // Says that every block was swept.
  void Swept();

  // Says that the heap will be destroyed, and that it was.
  void HeapEnds();
  void HeapEnded() const;

  // ---- checks ----

  // What the heap takes for an object is one, or was and is not swept yet.
  void CheckIsKnown(const ObjectRef& found) const;

  // Nobody wrote to the object.
  static void CheckContents(std::byte* start, const Object& object);

  // The heap holds these objects and counted them.
  //
  // REQUIRES: every LocalAllocator has retired.
  void Check(const ObjectHeap& heap) const;

 private:
  enum class State : uint8_t { kNoDestructor, kLive, kDead, kDestroyed };

  void Destroyed(uint32_t id) override;
  void Kill(const Objects::value_type& object);
  void CheckIsFree(std::byte* start, size_t size);
  void CheckIsGone(const Object& object) const;

  Objects live_;
  // Those that died and may not be swept yet.
  Objects dead_;
  std::vector<State> states_;  // by id
  bool is_ending_ = false;
  // Since the heap was made, as it should say.
  int64_t allocated_ = 0;
  int64_t allocated_bytes_ = 0;
  int64_t freed_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_HEAP_HEAP_MODEL_H_
