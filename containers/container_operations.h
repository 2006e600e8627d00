// What containers can do, for tests: lists of operations that are done alike to
// a container in the heap and to an ordinary one, its model.
//
// An element has a key; in the heap also a reference to a Thing that has the
// same value, so that one sees whether it is alive. Elements of elements have
// keys that follow from their container's.

#ifndef BIBOP_CONTAINERS_CONTAINER_OPERATIONS_H_
#define BIBOP_CONTAINERS_CONTAINER_OPERATIONS_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <deque>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "bibop/containers/containers.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/member.h"
#include "gtest/gtest.h"

namespace bibop::testing {

struct Thing {
  explicit Thing(int v) : value(v), memory(50, static_cast<char>(v)) {}
  int value;
  std::string memory;
};

// An element, in the heap and in a model.
struct Ref {
  int key = 0;
  Member<Thing> thing;
  auto operator<=>(const Ref& other) const { return key <=> other.key; }
  bool operator==(const Ref& other) const { return key == other.key; }
  template <class H>
  friend H AbslHashValue(H h, const Ref& ref) {
    return H::combine(std::move(h), ref.key);
  }
};
struct PlainRef {
  int key = 0;
  auto operator<=>(const PlainRef&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const PlainRef& ref) {
    return H::combine(std::move(h), ref.key);
  }
};

struct HashByKey {
  size_t operator()(const auto& ref) const { return std::hash<int>()(ref.key); }
};

// Makes an element with a key, in a scope if it is for the heap.
template <class T>
struct Make {
  static T Do(HandleScope* scope, int key) {
    T made;
    for (int i = 0; i < key % 4; ++i) {
      made.push_back(
          Make<typename T::value_type>::Do(scope, 10 * (key % 1000) + i));
    }
    return made;
  }
};
template <>
struct Make<PlainRef> {
  static PlainRef Do(HandleScope* /*scope*/, int key) { return {key}; }
};
template <>
struct Make<Ref> {
  static Ref Do(HandleScope* scope, int key) {
    return {key, scope->New<Thing>(key)};
  }
};
template <>
struct Make<int> {
  static int Do(HandleScope* /*scope*/, int key) { return key; }
};
template <class K, class V>
struct Make<std::pair<const K, V>> {
  static std::pair<const K, V> Do(HandleScope* scope, int key) {
    return {Make<K>::Do(scope, key), Make<V>::Do(scope, key)};
  }
};

// Writes the keys of an element. In the heap, also says where something is
// wrong.
inline void Describe(int key, std::string& out) {
  out += std::to_string(key) + " ";
}
inline void Describe(const PlainRef& ref, std::string& out) {
  Describe(ref.key, out);
}
inline void Describe(const Ref& ref, std::string& out) {
  Describe(ref.key, out);
  // A default element.
  if (ref.key == 0 && ref.thing == nullptr) return;
  if (ref.thing->value != ref.key || ref.thing->memory.size() != 50 ||
      ref.thing->memory[49] != static_cast<char>(ref.key)) {
    out += "IS WRONG ";
  }
}
template <class K, class V>
void Describe(const std::pair<K, V>& pair, std::string& out) {
  Describe(pair.first, out);
  Describe(pair.second, out);
}
template <class C>
  requires requires(const C& c) { c.begin(); }
void Describe(const C& container, std::string& out) {
  // Hash tables have orders of their own.
  std::vector<std::string> elements;
  for (const auto& element : container) {
    Describe(element, elements.emplace_back());
  }
  if constexpr (requires { typename C::hasher; }) {
    std::sort(elements.begin(), elements.end());
  }
  out += "[";
  for (const std::string& element : elements) out += element;
  out += "]";
}
template <class C>
std::string Described(const C& container) {
  std::string out;
  Describe(container, out);
  return out;
}

inline int KeyOf(int key) { return key; }
inline int KeyOf(const Ref& ref) { return ref.key; }
inline int KeyOf(const PlainRef& ref) { return ref.key; }
template <class C>
  requires requires(const C& c) { c.begin(); }
int KeyOf(const C& c) {
  return c.empty() ? 0 : KeyOf(*c.begin());
}
template <class K, class V>
int KeyOf(const std::pair<K, V>& pair) {
  return KeyOf(pair.first);
}

// What an operation may use: two containers, a number, and in the heap the
// innermost scope.
template <class C>
struct Operands {
  HandleScope* scope;
  C& a;
  C& b;
  int n;

  using Element = typename C::value_type;
  Element New(int key) { return Make<Element>::Do(scope, key); }
  // A place in `c`, which depends on the keys only: hash tables have orders of
  // their own.
  auto At(C& c) {
    if (c.empty()) return c.begin();
    if constexpr (requires { typename C::hasher; }) {
      auto found = c.begin();
      for (auto at = c.begin(); at != c.end(); ++at) {
        if (KeyOf(*at) % (n % 7 + 2) < KeyOf(*found) % (n % 7 + 2) ||
            (KeyOf(*at) % (n % 7 + 2) == KeyOf(*found) % (n % 7 + 2) &&
             KeyOf(*at) < KeyOf(*found))) {
          found = at;
        }
      }
      return found;
    } else {
      return std::next(c.begin(), n % static_cast<int>(c.size()));
    }
  }
};

template <class C>
struct Operation {
  const char* name;
  void (*run)(Operands<C>& o);
};

template <class C>
void AddCommon(std::vector<Operation<C>>& all) {
  using O = Operands<C>;
  all.insert(
      all.end(),
      {
          {"clear", [](O& o) { o.a.clear(); }},
          {"clear other", [](O& o) { o.b.clear(); }},
          {"copy assign", [](O& o) { o.a = o.b; }},
          {"copy assign back", [](O& o) { o.b = o.a; }},
          {"move assign",
           [](O& o) {
             o.a = std::move(o.b);
             o.b = C();
           }},
          {"move assign temporary", [](O& o) { o.a = C(o.b); }},
          {"move there and back",
           [](O& o) {
             C local(std::move(o.a));
             o.a = std::move(o.b);
             o.b = std::move(local);
           }},
          {"swap", [](O& o) { o.a.swap(o.b); }},
          {"std::swap", [](O& o) { std::swap(o.a, o.b); }},
          {"swap with local",
           [](O& o) {
             C local;
             o.a.swap(local);
             o.b.swap(local);
             o.a.swap(local);
           }},
          {"assign list",
           [](O& o) { o.a = {o.New(o.n), o.New(o.n + 1), o.New(o.n + 2)}; }},
          {"erase",
           [](O& o) {
             if (!o.a.empty()) o.a.erase(o.At(o.a));
           }},
          {"erase some",
           [](O& o) {
             if constexpr (!requires { typename C::hasher; }) {
               o.a.erase(o.At(o.a), o.a.end());
             }
           }},
          {"erase all", [](O& o) { o.a.erase(o.a.begin(), o.a.end()); }},
          {"erase_if",
           [](O& o) {
             using std::erase_if;
             erase_if(o.a, [](const auto& e) { return KeyOf(e) % 3 == 0; });
           }},
      });
}

template <class C>
std::vector<Operation<C>> SequenceOperations() {
  using O = Operands<C>;
  std::vector<Operation<C>> all = {
      {"push_back", [](O& o) { o.a.push_back(o.New(o.n)); }},
      {"push_back many",
       [](O& o) {
         for (int i = 0; i < 40; ++i) o.a.push_back(o.New(o.n + i));
       }},
      {"push_back own element",
       [](O& o) {
         if (!o.a.empty()) o.a.push_back(o.a.front());
       }},
      {"push_back to other", [](O& o) { o.b.push_back(o.New(o.n)); }},
      {"emplace_back", [](O& o) { o.a.emplace_back(); }},
      {"pop_back",
       [](O& o) {
         if (!o.a.empty()) o.a.pop_back();
       }},
      {"insert", [](O& o) { o.a.insert(o.At(o.a), o.New(o.n)); }},
      {"insert many",
       [](O& o) { o.a.insert(o.At(o.a), o.n % 50, o.New(o.n)); }},
      {"insert from other",
       [](O& o) { o.a.insert(o.At(o.a), o.b.begin(), o.b.end()); }},
      {"move from other",
       [](O& o) {
         o.a.insert(o.At(o.a), std::make_move_iterator(o.b.begin()),
                    std::make_move_iterator(o.b.end()));
         o.b.clear();
       }},
      {"resize", [](O& o) { o.a.resize(o.n % 60); }},
      {"assign", [](O& o) { o.a.assign(o.n % 30, o.New(o.n)); }},
      {"shrink_to_fit", [](O& o) { o.a.shrink_to_fit(); }},
      {"rotate", [](O& o) { std::rotate(o.a.begin(), o.At(o.a), o.a.end()); }},
      {"reverse", [](O& o) { std::reverse(o.a.begin(), o.a.end()); }},
      {"sort in a buffer",
       [](O& o) {
         // As std::stable_sort does.
         std::vector<typename C::value_type> buffer(
             std::make_move_iterator(o.a.begin()),
             std::make_move_iterator(o.a.end()));
         std::sort(
             buffer.begin(), buffer.end(),
             [](const auto& x, const auto& y) { return KeyOf(x) < KeyOf(y); });
         std::move(buffer.begin(), buffer.end(), o.a.begin());
       }},
      {"sort",
       [](O& o) {
         std::sort(o.a.begin(), o.a.end(), [](const auto& x, const auto& y) {
           return KeyOf(x) < KeyOf(y);
         });
       }},
      {"swap elements",
       [](O& o) {
         if (!o.a.empty() && !o.b.empty()) std::swap(*o.At(o.a), *o.At(o.b));
       }},
      {"assign element",
       [](O& o) {
         if (!o.a.empty()) *o.At(o.a) = o.New(o.n);
       }},
  };
  AddCommon(all);
  if constexpr (requires(C& c) { c.pop_front(); }) {
    all.insert(all.end(), {
                              {"push_front",
                               [](O& o) {
                                 for (int i = 0; i < 40; ++i)
                                   o.a.push_front(o.New(i));
                               }},
                              {"pop_front",
                               [](O& o) {
                                 for (int i = 0; i < o.n % 30 && !o.a.empty();
                                      ++i) {
                                   o.a.pop_front();
                                 }
                               }},
                              {"queue",
                               [](O& o) {
                                 for (int i = 0; i < 100; ++i) {
                                   o.a.push_back(o.New(i));
                                   o.a.pop_front();
                                 }
                               }},
                          });
  } else {
    all.push_back({"reserve", [](O& o) { o.a.reserve(o.n % 200); }});
  }
  return all;
}

template <class C>
std::vector<Operation<C>> AssociativeOperations() {
  using O = Operands<C>;
  std::vector<Operation<C>> all = {
      {"insert", [](O& o) { o.a.insert(o.New(o.n)); }},
      {"insert many",
       [](O& o) {
         for (int i = 0; i < 40; ++i) o.a.insert(o.New(o.n * 7 + i));
       }},
      {"insert into other", [](O& o) { o.b.insert(o.New(o.n)); }},
      {"insert with hint", [](O& o) { o.a.insert(o.a.end(), o.New(o.n)); }},
      {"emplace", [](O& o) { o.a.emplace(o.New(o.n)); }},
      {"insert from other", [](O& o) { o.a.insert(o.b.begin(), o.b.end()); }},
      {"erase key",
       [](O& o) {
         if (o.a.empty()) return;
         const auto key = [&] {
           if constexpr (requires { typename C::mapped_type; }) {
             return o.At(o.a)->first;
           } else {
             return *o.At(o.a);
           }
         }();
         o.a.erase(key);
       }},
      {"erase first half",
       [](O& o) {
         for (size_t n = o.a.size() / 2; n > 0; --n) o.a.erase(o.At(o.a));
       }},
  };
  AddCommon(all);
  if constexpr (requires(C& c) { c.try_emplace(1); }) {
    all.insert(
        all.end(),
        {
            {"operator[]", [](O& o) { o.a[o.n]; }},
            {"assign by key", [](O& o) { o.a[o.n] = o.New(o.n).second; }},
            {"try_emplace",
             [](O& o) { o.a.try_emplace(o.n, o.New(o.n).second); }},
            {"insert_or_assign",
             [](O& o) { o.a.insert_or_assign(o.n, o.New(o.n).second); }},
        });
  }
  if constexpr (requires(C& c) { c.rehash(1); }) {
    all.insert(all.end(), {
                              {"rehash", [](O& o) { o.a.rehash(o.n % 300); }},
                              {"reserve", [](O& o) { o.a.reserve(o.n % 99); }},
                          });
  }
  if constexpr (requires(C& c) { c.max_load_factor(9); }) {
    all.push_back({"max_load_factor", [](O& o) {
                     o.a.max_load_factor(static_cast<float>(1 + o.n % 20));
                   }});
  }
  return all;
}

template <class C>
std::vector<Operation<C>> Operations() {
  if constexpr (requires { typename C::key_type; }) {
    return AssociativeOperations<C>();
  } else {
    return SequenceOperations<C>();
  }
}

// A container in the heap and its model.
template <class InHeap, class Plain>
struct Pair {
  using Real = InHeap;
  using Model = Plain;
};

// Of each container one, with elements of each kind; not all combinations, for
// they take minutes to compile.
using AllPairs =
    std::tuple<Pair<Vector<Ref>, std::vector<PlainRef>>,
               Pair<Vector<Vector<Ref>>, std::vector<std::vector<PlainRef>>>,
               Pair<Vector<Deque<Ref>>, std::vector<std::deque<PlainRef>>>,
               Pair<Deque<Ref>, std::deque<PlainRef>>,
               Pair<Set<Ref>, std::set<PlainRef>>,
               Pair<Map<int, Deque<Ref>>, std::map<int, std::deque<PlainRef>>>,
               Pair<Multimap<int, Ref>, std::multimap<int, PlainRef>>,
               Pair<UnorderedMap<int, Vector<Ref>>,
                    std::unordered_map<int, std::vector<PlainRef>>>,
               Pair<UnorderedMultiset<Ref, HashByKey>,
                    std::unordered_multiset<PlainRef, HashByKey>>,
               Pair<FlatHashSet<Ref>, absl::flat_hash_set<PlainRef>>,
               Pair<FlatHashMap<int, Deque<Ref>>,
                    absl::flat_hash_map<int, std::deque<PlainRef>>>,
               Pair<BtreeMap<int, Vector<Ref>>,
                    absl::btree_map<int, std::vector<PlainRef>>>>;

// The same as types of a typed test.
template <class Tuple>
struct AsTestTypes;
template <class... P>
struct AsTestTypes<std::tuple<P...>> {
  using Types = ::testing::Types<P...>;
};

}  // namespace bibop::testing

#endif  // BIBOP_CONTAINERS_CONTAINER_OPERATIONS_H_
