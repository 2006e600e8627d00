// How garbage-collected classes go wrong; misuses.bzl says what comes of it.
// Without a macro this is right.

#include <array>
#include <list>
#include <vector>

#include "bibop/gc.h"
#include "bibop/handles/misuses/node.h"

namespace bibop::misuses {

class alignas(4096) Aligned {};

class Base {
 public:
  void Trace(auto& visitor) const { visitor(left_); }

 private:
  Member<Node> left_;
};

class Derived : public Base {
 public:
  void Trace(auto& visitor) const {
    Base::Trace(visitor);
    visitor(right_);
  }

 private:
  Member<Node> right_;
};

struct Containers {
  void Trace(auto& visitor) const { visitor(set, map, unordered); }
  Set<int> set;
  Map<int, Member<Node>> map;
  UnorderedMap<int, Member<Node>> unordered;
};

void Right(HandleScope& scope) {
  scope.New<Containers>();
  scope.New<Derived>();
  scope.New<Aligned>();
  scope.NewArray<Member<Node>>(3);
  scope.NewArray<Base>(3);
}

#ifdef HIDES_TRACE
class Misuse {
  void Trace(auto& visitor) const { visitor(next_); }
  Member<Node> next_;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef FORGETS_CONST
struct Misuse {
  void Trace(auto& visitor) { visitor(next); }
  Member<Node> next;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef MAKES_AN_ARRAY_THAT_CANNOT_BE_TRACED
struct Misuse {
  void Trace(auto& visitor) { visitor(next); }
  Member<Node> next;
};
void Use(HandleScope& scope) { scope.NewArray<Misuse>(3); }
#endif

#ifdef VISITS_WHAT_IS_NO_REFERENCE
struct Misuse {
  void Trace(auto& visitor) const { visitor(next); }
  Node* next = nullptr;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef VISITS_A_HANDLE
struct Misuse {
  explicit Misuse(Handle<Node> node) : next(node) {}
  void Trace(auto& visitor) const { visitor(next); }
  Handle<Node> next;
};
void Use(HandleScope& scope) { scope.New<Misuse>(scope.New<Node>()); }
#endif

#ifdef VISITS_A_PERSISTENT
struct Misuse {
  void Trace(auto& visitor) const { visitor(next); }
  Persistent<Node> next;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef HIDES_A_DESTRUCTOR
class Misuse {
  ~Misuse() = default;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef ALIGNS_TO_TWO_PAGES
class alignas(8192) Misuse {};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef MAKES_A_CONST_OBJECT
void Use(HandleScope& scope) { scope.New<const Node>(); }
#endif

#ifdef FORGETS_A_MEMBER
struct Misuse {
  void Trace(auto& visitor) const { visitor(left); }
  Member<Node> left, right;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef FORGETS_A_BASE
struct Misuse : Base {
  void Trace(auto& visitor) const { visitor(right); }
  Member<Node> right;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef FORGETS_TRACE
struct Misuse {
  Member<Node> next;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef KEEPS_MEMBERS_IN_A_VECTOR
struct Misuse {
  void Trace(auto& visitor) const { visitor(nodes); }
  std::vector<Member<Node>> nodes;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef KEEPS_HANDLES_IN_A_CONTAINER
struct Misuse {
  void Trace(auto& visitor) const { visitor(nodes); }
  Vector<Handle<Node>> nodes;
};
void Use(HandleScope& scope, Handle<Node> node) {
  scope.New<Misuse>()->nodes.push_back(node);
}
#endif

#ifdef KEEPS_WEAK_MEMBERS_IN_A_CONTAINER
struct Misuse {
  void Trace(auto& visitor) const { visitor(nodes); }
  Vector<WeakMember<Node>> nodes;
};
void Use(HandleScope& scope, Handle<Node> node) {
  scope.New<Misuse>()->nodes.push_back(node);
}
#endif

#ifdef KEEPS_MEMBERS_IN_A_LIST
struct Misuse {
  void Trace(auto& visitor) const { visitor(nodes); }
  std::list<Member<Node>, Allocator<Member<Node>>> nodes;
};
void Use(HandleScope& scope, Handle<Node> node) {
  scope.New<Misuse>()->nodes.push_back(node);
}
#endif

#ifdef EXTRACTS_A_NODE_OF_A_MAP
void Use(Handle<Containers> containers) { containers->map.extract(1); }
#endif

#ifdef MERGES_SETS
void Use(Handle<Containers> a, Handle<Containers> b) { a->set.merge(b->set); }
#endif

#ifdef MERGES_UNORDERED_MAPS
void Use(Handle<Containers> a, Handle<Containers> b) {
  a->unordered.merge(b->unordered);
}
#endif

#ifdef HAS_A_LARGE_COMPARISON
struct Larger {
  bool operator()(int a, int b) const { return a > b; }
  std::array<int, 100> numbers;
};
struct Misuse {
  void Trace(auto& visitor) const { visitor(set); }
  Set<int, Larger> set;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef FORGETS_A_CONTAINER
struct Misuse {
  void Trace(auto& visitor) const { visitor(left); }
  Vector<Member<Node>> left, right;
};
void Use(HandleScope& scope) { scope.New<Misuse>(); }
#endif

#ifdef USES_A_CONTAINER_AFTER_ITS_SCOPE
void Use(Mutator& mutator) {
  Vector<Member<Node>> nodes;
  for (int i = 0; i < 10; ++i) {
    HandleScope scope(mutator);
    nodes.push_back(scope.New<Node>());
  }
}
#endif

}  // namespace bibop::misuses
