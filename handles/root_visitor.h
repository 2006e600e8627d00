// How roots are shown to those who look for live objects. Every kind of root,
// and every kind of collection, uses this one interface.

#ifndef BIBOP_HANDLES_ROOT_VISITOR_H_
#define BIBOP_HANDLES_ROOT_VISITOR_H_

namespace bibop {

class RootVisitor {
 public:
  // `object` points at or into an object that a slot keeps alive.
  virtual void VisitRoot(const void* object) = 0;

  // `object` is the start of an object that a slot keeps alive and whose
  // constructor has not returned: its Trace must not be called.
  virtual void VisitRootInConstruction(const void* object) = 0;

 protected:
  ~RootVisitor() = default;
};

}  // namespace bibop

#endif  // BIBOP_HANDLES_ROOT_VISITOR_H_
