#include "bibop/marker/verifier.h"

#include <cstddef>
#include <vector>

#include "bibop/handles/handle.h"
#include "bibop/handles/handle_scope.h"
#include "bibop/handles/mutator_base.h"
#include "bibop/handles/persistent.h"
#include "bibop/handles/weak_persistent.h"
#include "bibop/heap/block.h"
#include "bibop/heap/cage.h"
#include "bibop/heap/type_info.h"
#include "bibop/marker/ephemeron.h"
#include "bibop/marker/marking_fixture.h"
#include "bibop/marker/member.h"
#include "bibop/marker/weak_member.h"
#include "bibop/marker/weak_word.h"
#include "gtest/gtest.h"

namespace bibop {
namespace {

struct Node {
  Member<Node> next;
  WeakMember<Node> weak;
  Ephemeron<Node, Node> pair;
  void Trace(auto& visitor) const { visitor(next, weak, pair); }
};

class VerifierTest : public MarkingTest {
 protected:
  std::vector<const internal::WeakWord*> Verify(VerifiedMark mark = {}) {
    MutatorBase* mutators[] = {&mutator_};
    return VerifyMark(*heap_, mutators, roots_, mark);
  }

  // Has the mark end as if it had found nothing but `marked`.
  void EndMarkWith(const std::vector<const void*>& marked) {
    heap_->FinishSweep();
    mutator_.allocator().Retire();
    heap_->BeginMark();
    for (const void* object : marked) {
      BlockDescriptor* block = Cage::DescriptorOf(object);
      block->Mark(
          block->CellIndex(block->OffsetInRun(Cage::OffsetInBlock(object))),
          heap_->marks().old());
    }
    heap_->FinishMark();
  }
};

using VerifierDeathTest = VerifierTest;

TEST_F(VerifierTest, AMarkThatFoundEverythingPasses) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>();
  node->next = scope.New<Node>();
  {
    HandleScope inner(mutator_);
    node->weak = inner.New<Node>();
    inner.New<Node>();
  }
  const Persistent<Node> persistent(mutator_, scope.New<Node>());
  BeginMark();
  FinishMark();
  const auto weak = Verify({.in_one_pause = true, .exact = true});
  ClearWeak();
  VerifyCleared(*heap_, roots_, weak);
  EndCycle();
  EXPECT_TRUE(node->weak.Lock(scope).IsEmpty());
}

TEST_F(VerifierDeathTest, WhatTheMarkMissedIsNamedWithTheWayToIt) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>();
  {
    HandleScope inner(mutator_);
    node->next = inner.New<Node>();
    node->next->next = inner.New<Node>();
  }
  EndMarkWith({node.get(), node->next.get()});
  EXPECT_DEATH(Verify(),
               "the .*Node at 0x[0-9a-f]+ is reached, and the mark has missed "
               "it:.*\n.*  from the .*Node at 0x.*\n.*  from the .*Node at "
               "0x.*\n.*  from a handle of mutator 0 of 1");
}

TEST_F(VerifierDeathTest, APersistentIsARoot) {
  HandleScope inner(mutator_);
  const Persistent<Node> persistent(mutator_, inner.New<Node>());
  EndMarkWith({});
  EXPECT_DEATH(Verify(), "missed it");
}

TEST_F(VerifierDeathTest, AReferenceToNoObjectIsToldWithWhatHasIt) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>();
  void* gone =
      mutator_.AllocateSlow(kTypeInfo<Node>, kTypeId<Node>, sizeof(Node))
          .value();
  node->next = Member<Node>(static_cast<Node*>(gone));
  mutator_.allocator().Abandon(gone);
  EndMarkWith({node.get()});
  EXPECT_DEATH(Verify(), "no object is there.*\n  from the .*Node at 0x");
}

TEST_F(VerifierDeathTest, InAStoppedWorldNothingElseIsMarked) {
  const void* garbage = nullptr;
  {
    HandleScope inner(mutator_);
    garbage = inner.New<Node>().get();
  }
  EndMarkWith({garbage});
  Verify({.in_one_pause = true});
  EXPECT_DEATH(Verify({.in_one_pause = true, .exact = true}),
               "is marked, but nothing that is alive refers to it");
}

TEST_F(VerifierDeathTest, TheValueOfALivingKeyHasToBeMarked) {
  HandleScope scope(mutator_);
  const Handle<Node> holder = scope.New<Node>();
  const Handle<Node> key = scope.New<Node>();
  const Node* value = nullptr;
  {
    HandleScope inner(mutator_);
    const Handle<Node> made = inner.New<Node>();
    holder->pair.Set(key, made);
    value = made.get();
  }
  EndMarkWith({holder.get(), key.get(), value});
  Verify({.in_one_pause = true, .exact = true});
  heap_->EndClearing();
  heap_->StartSweep();
  EndMarkWith({holder.get(), key.get()});
  EXPECT_DEATH(Verify(), "missed it");
}

TEST_F(VerifierDeathTest, AWeakReferenceThatIsLeftIsTold) {
  HandleScope scope(mutator_);
  const Handle<Node> node = scope.New<Node>();
  {
    HandleScope inner(mutator_);
    node->weak = inner.New<Node>();
  }
  BeginMark();
  FinishMark();
  const auto weak = Verify();
  EXPECT_DEATH(VerifyCleared(*heap_, roots_, weak),
               "a weak reference at .* still refers to the object");
}

TEST_F(VerifierDeathTest, AWeakSlotThatIsLeftIsTold) {
  HandleScope inner(mutator_);
  const WeakPersistent<Node> weak(mutator_, inner.New<Node>());
  EndMarkWith({});
  EXPECT_DEATH(VerifyCleared(*heap_, roots_, {}), "a WeakPersistent still");
}

}  // namespace
}  // namespace bibop
