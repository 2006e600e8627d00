// Classes that cannot be garbage-collected: without a macro this compiles, with
// any of them it must not, for the reason that the BUILD file names.

#include "bibop/heap/type_info.h"

namespace bibop {

class Collected {
 public:
  void Trace(auto& visitor) const { (void)visitor; }
};
TypeId UseCollected() { return kTypeId<Collected>; }

class alignas(4096) Aligned {};
TypeId UseAligned() { return kTypeId<Aligned>; }

#ifdef HIDES_TRACE
class Misuse {
  void Trace(auto& visitor) const { (void)visitor; }
};
TypeId UseMisuse() { return kTypeId<Misuse>; }
#endif

#ifdef FORGETS_CONST
class Misuse {
 public:
  void Trace(auto& visitor) { (void)visitor; }
};
TypeId UseMisuse() { return kTypeId<Misuse>; }
#endif

#ifdef HIDES_DESTRUCTOR
class Misuse {
  ~Misuse() = default;
};
TypeId UseMisuse() { return kTypeId<Misuse>; }
#endif

#ifdef ALIGNS_TO_TWO_PAGES
class alignas(8192) Misuse {};
TypeId UseMisuse() { return kTypeId<Misuse>; }
#endif

#ifdef MAKES_A_CONST_OBJECT
TypeId UseMisuse() { return kTypeId<const Collected>; }
#endif

}  // namespace bibop
