// Allocator<T>: the allocator of standard and Abseil containers that are fields
// of garbage-collected classes. Their elements are in the heap, and Members
// among them are found.
//
//   struct Node {
//     Vector<Member<Node>> children;      // std::vector with an Allocator
//     void Trace(auto& visitor) const { visitor(children); }
//   };
//
// containers.h has the aliases; docs/containers.md says what may be done with
// them.
//
// A container's memory lives as long as the object that the container is a
// field of, or an element of a container of. What it has just allocated also
// lives until the innermost open HandleScope closes, so there has to be one
// open where a container grows. A container that is in no object keeps nothing
// alive by itself.
//
// Used by running mutators. Like any container, one may be changed by one
// thread at a time, while no other reads it; the collector may look at it at
// any time. Destructors of objects may destroy their containers on any thread.

#ifndef BIBOP_CONTAINERS_ALLOCATOR_H_
#define BIBOP_CONTAINERS_ALLOCATOR_H_

#include <algorithm>
#include <cstddef>
#include <forward_list>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "bibop/containers/backing_store.h"
#include "bibop/containers/container_barrier.h"
#include "bibop/handles/coroutine_ban.h"
#include "bibop/handles/object_reference.h"
#include "bibop/heap/card_table.h"
#include "bibop/heap/object_heap.h"
#include "bibop/heap/size_classes.h"
#include "bibop/heap/type_info.h"

namespace bibop {

template <class T>
class Allocator;
template <class T>
class WeakMember;
template <class K, class V>
class Ephemeron;

namespace internal {

// Whether a T follows objects without keeping them, which the words of an
// element do not say.
template <class T>
inline constexpr bool kIsWeak = false;
template <class T>
inline constexpr bool kIsWeak<WeakMember<T>> = true;
template <class K, class V>
inline constexpr bool kIsWeak<Ephemeron<K, V>> = true;
template <class A, class B>
inline constexpr bool kIsWeak<std::pair<A, B>> =
    kIsWeak<std::remove_const_t<A>> || kIsWeak<B>;

// Whether a T can refer to nothing.
template <class T>
inline constexpr bool kIsLeaf = std::is_arithmetic_v<T> || std::is_enum_v<T>;

// Whether copying a T allocates nothing, for sure.
template <class T>
inline constexpr bool kCopiesAsIs =
    std::is_trivially_copyable_v<T> || ObjectReference<T>;
template <class A, class B>
inline constexpr bool kCopiesAsIs<std::pair<A, B>> =
    kCopiesAsIs<std::remove_const_t<A>> && kCopiesAsIs<B>;

// What a container's T is to it.
template <class T>
struct StoreUse {
  // Whether containers relink Ts without a word to the allocator.
  static constexpr bool kRelinksInSilence = false;
  // Whether a T is a node: no container has a pointer at the end of one.
  static constexpr bool kIsNode = false;
  // Whether containers move by copying such an allocator: Abseil's hash tables.
  static constexpr bool kIsMovedByCopy = std::is_same_v<T, char>;
  // Whether an assignment to the container uses its Ts again, and nothing else
  // refers to them meanwhile.
  static constexpr bool kIsTree = false;
  // Whether no collection may run in an allocation, since the container has
  // other stores in its hands, and relinks them without a word.
  static constexpr bool kInMidChange = false;
};

// What is known of libstdc++, 12 to 15.
#ifdef __GLIBCXX__
template <class T>
struct StoreUse<std::_List_node<T>> : StoreUse<void> {
  static constexpr bool kRelinksInSilence = true;
};
template <class T>
struct StoreUse<std::_Fwd_list_node<T>> : StoreUse<void> {
  static constexpr bool kRelinksInSilence = true;
};
template <class T>
struct StoreUse<std::_Rb_tree_node<T>> : StoreUse<void> {
  static constexpr bool kIsNode = true;
  static constexpr bool kIsTree = true;
};
template <class T, bool cached>
struct StoreUse<std::__detail::_Hash_node<T, cached>> : StoreUse<void> {
  static constexpr bool kIsNode = true;
};
// The buckets of a hash table.
template <>
struct StoreUse<std::__detail::_Hash_node_base*> : StoreUse<void> {
  static constexpr bool kInMidChange = true;
};
#endif

}  // namespace internal

template <class T>
class Allocator : private internal::ContainerBarrier {
  using Use = internal::StoreUse<T>;

 public:
  // For MarkingVisitor.
  static constexpr bool kAllocatesInHeap = true;

  using value_type = T;
  using size_type = size_t;
  using difference_type = ptrdiff_t;
  using is_always_equal = std::true_type;
  // So that the allocator is told.
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  // Each is like every other.
  constexpr Allocator() = default;
  // A container copies its allocator where it is about to change in ways that
  // the allocator is not told of otherwise.
  Allocator(const Allocator& other) noexcept {
    other.Changing();
    // Hash tables copy it when they are moved.
    if constexpr (Use::kIsMovedByCopy) MovingFrom(other, kLargestLink);
  }
  Allocator(Allocator&& other) noexcept {
    other.Changing();
    MovingFrom(other, kLargestLink);
  }
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): as the standard asks for
  Allocator(const Allocator<U>& other) noexcept {
    other.Changing();
  }
  // Some containers assign their allocators when they have moved the elements,
  // and some copy them even then.
  Allocator& operator=(const Allocator& other) noexcept {
    Taking();
    other.Taking();
    if constexpr (Use::kIsMovedByCopy) MovedFrom(other, kLargestLink);
    // A hash table puts its buckets aside.
    if constexpr (Use::kIsNode) KeepStores();
    return *this;
  }
  Allocator& operator=(Allocator&& other) noexcept {
    Taking();
    other.Taking();
    MovingFrom(other, kLargestLink);
    MovedFrom(other, kLargestLink);
    return *this;
  }
  ~Allocator() = default;

  friend void swap(Allocator& a, Allocator& b) noexcept {
    a.Taking();
    b.Taking();
    // Before, or after: that is not the same for all.
    a.MovingFrom(b, kLargestLink);
    b.MovingFrom(a, kLargestLink);
    a.MovedFrom(b, kLargestLink);
    b.MovedFrom(a, kLargestLink);
  }

  // A copied container does not change.
  Allocator select_on_container_copy_construction() const { return {}; }

  // Returns room for `count` Ts, uninitialized. It is alive as long as the
  // container in an object refers to it, and until the innermost open scope
  // closes. May collect. Throws std::bad_array_new_length for more than
  // max_size(). If the heap stays full HeapOptions::on_out_of_memory is called,
  // or the program aborts, as for HandleScope::New.
  [[nodiscard]] T* allocate(size_t count) {
    static_assert(alignof(T) <= kMaxAlignment,
                  "an element is aligned to 4,096 bytes at most");
    if (count > max_size()) internal::ThrowBadArrayNewLength();
    Changing();
    if constexpr (Use::kIsNode) NotKeepingNode();
    // A pointer at the end of an array is still one into its store.
    const size_t size = count * sizeof(T) + (Use::kIsNode ? 0 : 1);
    const bool may_collect =
        !Use::kInMidChange && internal::copying_elements == 0;
    void* store = internal::AllocateStore(
        this, kType, internal::kStoreTypeId<kAlignment, kIsLeaf>,
        std::max(size, kMinCellSize),
        static_cast<internal::MayCollect>(may_collect));
    Changing();
    return static_cast<T*>(store);
  }

  // Takes it back.
  void deallocate(T* store, size_t /*count*/) {
    Releasing(store);
    if constexpr (Use::kIsNode) NotKeepingNode();
    internal::ReleaseStore(store);
  }

  static constexpr size_type max_size() {
    return (std::numeric_limits<ptrdiff_t>::max() - 1) / sizeof(T);
  }

  // Construct and destroy an element.
  template <class U, class... Args>
  void construct(U* element, Args&&... args) {
    static_assert(!IsScoped<U>,
                  "a handle is for the stack: make it a Member, in a container "
                  "of an object");
    Changing();
    if constexpr (Use::kIsNode) {
      if (keeps_node()) {
        NotKeepingNode();
        if constexpr (Use::kIsTree) internal::RootStoreOf(element);
        const internal::CopyingScope copying;
        ::new (static_cast<void*>(element)) U(std::forward<Args>(args)...);
        Changing();
        DirtyCards(element, sizeof(U));
        return;
      }
    }
    if constexpr (sizeof...(Args) == 1 && !internal::kCopiesAsIs<U> &&
                  (std::is_same_v<std::remove_cvref_t<Args>, U> && ...)) {
      const internal::CopyingScope copying;
      ::new (static_cast<void*>(element)) U(std::forward<Args>(args)...);
    } else {
      ::new (static_cast<void*>(element)) U(std::forward<Args>(args)...);
    }
    // The constructor may have been at a safepoint.
    Changing();
    // For what has references that are no Members.
    if constexpr (!internal::kIsLeaf<U>) DirtyCards(element, sizeof(U));
  }
  template <class U>
  void destroy(U* element) {
    // Of a dead object the elements' destructors run, and that is all.
    if (internal::kIsLeaf<U> || internal::IsBeingSwept(element)) {
      std::destroy_at(element);
      return;
    }
    Destroying(element, sizeof(U), Use::kIsNode ? In::kNode : In::kArray);
    if constexpr (Use::kIsNode) KeepingNode();
    std::destroy_at(element);
    internal::Clear(element, sizeof(U));
  }

  template <class U>
  bool operator==(const Allocator<U>& /*other*/) const {
    return true;
  }

 private:
  template <class U>
  friend class Allocator;

  static_assert(!internal::kIsWeak<T>,
                "a container keeps what its elements refer to, so a weak "
                "reference in it is none: use a WeakMap, or make the element "
                "an object that has the weak reference");
  static_assert(
      !Use::kRelinksInSilence,
      "std::list and std::forward_list do not tell their allocator when they "
      "relink elements (splice, sort, merge), so the collector could miss "
      "some: "
      "use bibop::Deque, bibop::Vector, or objects that refer to each other");

  // The largest node of a tree or chain. Others' nodes are Abseil's, of about
  // 256 bytes or at most 4 elements; arrays may be large, and refer to nothing
  // that the container has not rooted otherwise.
  static constexpr size_t kLargestLink =
      Use::kIsNode ? std::numeric_limits<size_t>::max() : 1024 + 8 * sizeof(T);
  static constexpr bool kIsLeaf = internal::kIsLeaf<T>;
  static constexpr size_t kAlignment = std::max(alignof(T), size_t{8});
  static constexpr const TypeInfo& kType =
      internal::kStoreType<kAlignment, kIsLeaf>;
};

}  // namespace bibop

// Nodes that wander from one container to another, through a node handle or by
// merge, are not told of to the allocator of the container that they come to.
// So these do not compile.
#ifdef __GLIBCXX__
namespace bibop::internal {

class NoNodeHandle {
 public:
  NoNodeHandle() = default;
  template <class Pointer, class Node>
  NoNodeHandle(Pointer /*node*/, const Allocator<Node>& /*allocator*/) {
    static_assert(sizeof(Pointer) == 0,
                  "extract and node handles are not for containers in the "
                  "heap, whose allocator is not told of an insertion: move the "
                  "element and erase it");
  }
};

}  // namespace bibop::internal

namespace std {

template <class Key, class Value, class Node>
class _Node_handle<Key, Value, bibop::Allocator<Node>>
    : public bibop::internal::NoNodeHandle {
  using NoNodeHandle::NoNodeHandle;
};
template <class Value, class Node>
class _Node_handle<Value, Value, bibop::Allocator<Node>>
    : public bibop::internal::NoNodeHandle {
  using NoNodeHandle::NoNodeHandle;
};

template <class Key, class Value, class Compare, class Element, class Compare2>
struct _Rb_tree_merge_helper<
    map<Key, Value, Compare, bibop::Allocator<Element>>, Compare2> {
  template <class Source>
  static auto& _S_get_tree(Source& source) {
    static_assert(sizeof(Source) == 0,
                  "merge is not for containers in the heap, whose allocator is "
                  "not told of it: insert the elements and clear the source");
    return source;
  }
};
template <class Key, class Value, class Compare, class Element, class Compare2>
struct _Rb_tree_merge_helper<
    multimap<Key, Value, Compare, bibop::Allocator<Element>>, Compare2>
    : _Rb_tree_merge_helper<map<Key, Value, Compare, bibop::Allocator<Element>>,
                            Compare2> {};
template <class Key, class Compare, class Element, class Compare2>
struct _Rb_tree_merge_helper<set<Key, Compare, bibop::Allocator<Element>>,
                             Compare2>
    : _Rb_tree_merge_helper<map<Key, Key, Compare, bibop::Allocator<Element>>,
                            Compare2> {};
template <class Key, class Compare, class Element, class Compare2>
struct _Rb_tree_merge_helper<multiset<Key, Compare, bibop::Allocator<Element>>,
                             Compare2>
    : _Rb_tree_merge_helper<map<Key, Key, Compare, bibop::Allocator<Element>>,
                            Compare2> {};

}  // namespace std
#endif

#endif  // BIBOP_CONTAINERS_ALLOCATOR_H_
