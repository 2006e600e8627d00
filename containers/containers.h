// Containers whose elements are in the heap: names for those of the standard
// library and of Abseil, with an Allocator.
//
//   struct Node {
//     FlatHashMap<std::string, Member<Node>> children;
//     void Trace(auto& visitor) const { visitor(children); }
//   };
//
// A container is a field of a garbage-collected class, whose Trace visits it,
// or an object itself, scope.New<Vector<Member<Node>>>(), or an element of
// another container. allocator.h says what may be done with it.

#ifndef BIBOP_CONTAINERS_CONTAINERS_H_
#define BIBOP_CONTAINERS_CONTAINERS_H_

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/hash_container_defaults.h"
#include "bibop/containers/allocator.h"

namespace bibop {

template <class T>
using Vector = std::vector<T, Allocator<T>>;
template <class T>
using Deque = std::deque<T, Allocator<T>>;

template <class K, class Compare = std::less<K>>
using Set = std::set<K, Compare, Allocator<K>>;
template <class K, class Compare = std::less<K>>
using Multiset = std::multiset<K, Compare, Allocator<K>>;
template <class K, class V, class Compare = std::less<K>>
using Map = std::map<K, V, Compare, Allocator<std::pair<const K, V>>>;
template <class K, class V, class Compare = std::less<K>>
using Multimap = std::multimap<K, V, Compare, Allocator<std::pair<const K, V>>>;

template <class K, class Hash = std::hash<K>, class Eq = std::equal_to<K>>
using UnorderedSet = std::unordered_set<K, Hash, Eq, Allocator<K>>;
template <class K, class Hash = std::hash<K>, class Eq = std::equal_to<K>>
using UnorderedMultiset = std::unordered_multiset<K, Hash, Eq, Allocator<K>>;
template <class K, class V, class Hash = std::hash<K>,
          class Eq = std::equal_to<K>>
using UnorderedMap =
    std::unordered_map<K, V, Hash, Eq, Allocator<std::pair<const K, V>>>;
template <class K, class V, class Hash = std::hash<K>,
          class Eq = std::equal_to<K>>
using UnorderedMultimap =
    std::unordered_multimap<K, V, Hash, Eq, Allocator<std::pair<const K, V>>>;

template <class K, class Hash = absl::DefaultHashContainerHash<K>,
          class Eq = absl::DefaultHashContainerEq<K>>
using FlatHashSet = absl::flat_hash_set<K, Hash, Eq, Allocator<K>>;
template <class K, class V, class Hash = absl::DefaultHashContainerHash<K>,
          class Eq = absl::DefaultHashContainerEq<K>>
using FlatHashMap =
    absl::flat_hash_map<K, V, Hash, Eq, Allocator<std::pair<const K, V>>>;

template <class K, class Compare = std::less<K>>
using BtreeSet = absl::btree_set<K, Compare, Allocator<K>>;
template <class K, class V, class Compare = std::less<K>>
using BtreeMap =
    absl::btree_map<K, V, Compare, Allocator<std::pair<const K, V>>>;

}  // namespace bibop

#endif  // BIBOP_CONTAINERS_CONTAINERS_H_
