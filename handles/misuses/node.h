// The garbage-collected class of the misuses.

#ifndef BIBOP_HANDLES_MISUSES_NODE_H_
#define BIBOP_HANDLES_MISUSES_NODE_H_

#include "bibop/gc.h"

namespace bibop::misuses {

struct Node {
  Member<Node> next;
  int value = 0;

  void Trace(auto& visitor) const { visitor(next); }
};

struct Leaf : Node {};

}  // namespace bibop::misuses

#endif  // BIBOP_HANDLES_MISUSES_NODE_H_
