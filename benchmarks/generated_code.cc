// Functions whose machine code generated_code_test.sh compares. Compiled with
// BIBOP_WITH_HANDLES they use handles, without it pointers.
//
// The two differ where a function begins with `control_`, to see that the
// comparison notices it, and nowhere else. What is not here is equal only in
// cost, or not quite: of two registers gcc may compare the other one first, and
// gcc 12 keeps two handles in memory to choose between them with `? :`, as it
// does with all classes; with `if` it does not.

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bibop/gc.h"

namespace {

using bibop::Array;
using bibop::Mutator;

#ifdef BIBOP_WITH_HANDLES

template <class T>
using Local = bibop::Handle<T>;
template <class T>
using MaybeLocal = bibop::MaybeHandle<T>;
template <class T>
using Field = bibop::Member<T>;
#define BIBOP_SEAL(mutator) const bibop::SealedHandleScope sealed(mutator)

template <class T>
bool IsNull(bibop::MaybeHandle<T> maybe) {
  return maybe.IsEmpty();
}
template <class T>
bibop::Handle<T> NotNull(bibop::MaybeHandle<T> maybe) {
  return maybe.ToHandleChecked();
}

// Passing a handle by reference costs a read that passing a pointer does not.
template <class T>
using ControlParameter = const bibop::Handle<T>&;

#else

template <class T>
using Local = T*;
template <class T>
using MaybeLocal = T*;
// A Member is an atomic word.
template <class T>
class Field {
 public:
  explicit(false) Field(T* object) : object_(object) {}
  Field& operator=(T* object) {
    object_.store(object, std::memory_order_release);
    return *this;
  }
  T* operator->() const { return get(); }
  explicit operator bool() const { return get() != nullptr; }
  friend bool operator==(T* object, const Field& field) {
    return object == field.get();
  }

 private:
  T* get() const { return object_.load(std::memory_order_acquire); }

  std::atomic<T*> object_;
};
#define BIBOP_SEAL(mutator) static_cast<void>(mutator)

template <class T>
bool IsNull(T* maybe) {
  return maybe == nullptr;
}
template <class T>
T* NotNull(T* maybe) {
  return maybe;
}

template <class T>
using ControlParameter = T*;

#endif

struct Shape {
  int64_t sides = 0;
};

struct Node : Shape {
  void Trace(auto& visitor) const { visitor(next, previous); }

  Field<Node> next = nullptr;
  Field<Node> previous = nullptr;
  int64_t value = 0;
};

}  // namespace

// C linkage, so that the functions have the same names in both objects.
extern "C" {

// Defined nowhere: the objects are not linked.
void bibop_opaque(Local<Node> node);
void bibop_opaque_maybe(MaybeLocal<Node> node);

int64_t read_field(Local<Node> node) { return node->value; }

void write_field(Local<Node> node, int64_t value) { node->value = value; }

int64_t chase_two_members(Local<Node> node) {
  return node->next->previous->value;
}

// It asks whether a heap is being collected.
void control_store_in_member(Local<Node> node, Local<Node> other) {
  node->next = other;
}

bool test_member(Local<Node> node) { return node->next ? true : false; }

int64_t* address_of_field(Local<Node> node) { return &(*node).value; }

bool compare(Local<Node> node) { return node == node->next; }

int64_t read_base(Local<Node> node) {
  const Local<Shape> shape = node;
  return shape->sides;
}

int64_t sum_array(Local<Array<int64_t>> array) {
  int64_t sum = 0;
  for (const int64_t element : *array) sum += element;
  return sum;
}

void fill_array(Local<Array<int64_t>> array, int64_t value) {
  for (size_t i = 0; i < array->size(); ++i) array->data()[i] = value;
}

void pass_by_value(Local<Node> node) {
  bibop_opaque(node);
  bibop_opaque(node);
  ++node->value;
}

void pass_as_maybe(Local<Node> node) { bibop_opaque_maybe(node); }

int64_t test_maybe_and_use(MaybeLocal<Node> maybe) {
  return IsNull<Node>(maybe) ? 0 : NotNull<Node>(maybe)->value;
}

void seal(Mutator& mutator, Local<Node> node) {
  BIBOP_SEAL(mutator);
  ++node->value;
  bibop_opaque(node);
  ++node->value;
}

void seal_in_loop(Mutator& mutator, Local<Array<int64_t>> array) {
  for (int64_t& element : *array) {
    BIBOP_SEAL(mutator);
    ++element;
  }
}

int64_t control_by_reference(ControlParameter<Node> node) {
  return node->value;
}

}  // extern "C"
