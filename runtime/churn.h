// Churn: nodes of which as many die as are made, for tests of when collections
// come.

#ifndef BIBOP_RUNTIME_CHURN_H_
#define BIBOP_RUNTIME_CHURN_H_

#include <cstddef>
#include <cstdint>

#include "bibop/handles/array.h"
#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/marker/member.h"
#include "bibop/runtime/mutator.h"

namespace bibop {

struct ChurnNode {
  void Trace(auto& visitor) const { visitor(next); }
  Member<ChurnNode> next;
  int64_t words[5] = {};
};

// Keeps `count` nodes alive and replaces them one after the other.
class Churn {
 public:
  Churn(Mutator& mutator, HandleScope& scope, size_t count)
      : mutator_(mutator), nodes_(scope.NewArray<Member<ChurnNode>>(count)) {
    Replace(count);
  }

  void Replace(size_t count) {
    for (; count > 0; --count) {
      HandleScope scope(mutator_);
      (*nodes_)[next_] = scope.New<ChurnNode>();
      next_ = (next_ + 1) % nodes_->size();
    }
  }

 private:
  Mutator& mutator_;
  Handle<Array<Member<ChurnNode>>> nodes_;
  size_t next_ = 0;
};

}  // namespace bibop

#endif  // BIBOP_RUNTIME_CHURN_H_
