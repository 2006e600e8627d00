// Bibop: a precise, handle-scoped garbage collector for C++. This header is all
// that most users include; the target is //:gc.
//
//   struct Node {
//     std::string name;
//     bibop::Member<Node> left, right;
//     void Trace(auto& visitor) const { visitor(left, right); }
//   };
//
//   auto heap = bibop::Heap::Create({});
//   bibop::MutatorScope mutator(**heap);
//   bibop::HandleScope scope(mutator);
//   bibop::Handle<Node> root = scope.New<Node>("root");
//   root->left = scope.New<Node>("leaf");
//
// README.md says what a thread may do; docs/handles.md is the guide to handles,
// docs/weak_references.md to references that keep nothing alive, docs/async.md
// to those of tasks and coroutines.

#ifndef BIBOP_GC_H_
#define BIBOP_GC_H_

// IWYU pragma: begin_exports
#include "bibop/async/async_any_handle.h"
#include "bibop/async/async_handle.h"
#include "bibop/async/async_handle_guard.h"
#include "bibop/async/async_handle_scope.h"
#include "bibop/async/callback_executor.h"
#include "bibop/async/gc_scope.h"
#include "bibop/async/gc_task.h"
#include "bibop/async/spawn.h"
#include "bibop/async/task_stretch.h"
#include "bibop/containers/allocator.h"
#include "bibop/containers/containers.h"
#include "bibop/handles/array.h"
#include "bibop/handles/branded_handle_scope.h"
#include "bibop/handles/escapable_handle_scope.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_cast.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/maybe_handle.h"
#include "bibop/handles/mutable_handle.h"
#include "bibop/handles/no_gc_scope.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/sealed_handle_scope.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/marker/ephemeron.h"
#include "bibop/marker/finalization_registry.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_map.h"
#include "bibop/marker/weak_member.h"
#include "bibop/runtime/heap.h"
#include "bibop/runtime/heap_options.h"
#include "bibop/runtime/heap_stats.h"
#include "bibop/runtime/mutator.h"
// IWYU pragma: end_exports

#endif  // BIBOP_GC_H_
