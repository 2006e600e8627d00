// Classes that cannot be garbage-collected: without a macro this compiles, with
// any of them it must not, for the reason that the BUILD file names.

#include "bibop/heap/type_info.h"

namespace bibop {

class MarkingVisitor {};

class Traced {
#ifndef HIDES_TRACE
 public:
#endif
#ifdef FORGETS_CONST
  void Trace(auto& visitor) { (void)visitor; }
#else
  void Trace(auto& visitor) const { (void)visitor; }
#endif

#ifdef HIDES_DESTRUCTOR
 private:
  ~Traced() = default;
#endif
};

class
#ifdef ALIGNS_TO_TWO_PAGES
    alignas(8192)
#else
    alignas(4096)
#endif
        Aligned {
};

#ifdef MAKES_A_CONST_OBJECT
using Collected = const Traced;
#else
using Collected = Traced;
#endif

TypeId Use() { return kTypeId<Collected> + kTypeId<Aligned>; }

}  // namespace bibop
