// What a Trace must not visit: without a macro this compiles, with one it must
// not, for the reason that the BUILD file names.

#include "bibop/handles/persistent.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/marking_visitor.h"
#include "bibop/marker/member.h"

namespace bibop {

struct Node {
  void Trace(auto& visitor) const {
    visitor(member);
#ifdef VISITS_A_PERSISTENT
    visitor(persistent);
#endif
#ifdef VISITS_A_WEAK_PERSISTENT
    visitor(weak);
#endif
#ifdef VISITS_A_NUMBER
    visitor(number);
#endif
  }
  Member<Node> member;
  Persistent<int> persistent;
  WeakPersistent<int> weak;
  int number;
};

const TypeInfo& info = kTypeInfo<Node>;

}  // namespace bibop
