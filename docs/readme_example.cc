#include <iostream>
#include <string>
#include <utility>

#include "bibop/gc.h"

struct Person {  // any class: no base class, no header, no macro
  explicit Person(std::string n) : name(std::move(n)) {}
  std::string name;
  bibop::Member<Person> friend_of;  // a reference to another object
  void Trace(auto& visitor) const { visitor(friend_of); }
};

int main() {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);  // this thread may now use the heap
  bibop::HandleScope scope(mutator);   // what is made here lives to its end
  bibop::Handle<Person> ada = scope.New<Person>("Ada");
  ada->friend_of = scope.New<Person>("Charles");
  ada->friend_of->friend_of = ada;  // a cycle: shared_ptr would leak it
  heap->Collect();                  // both are still here
  std::cout << ada->friend_of->friend_of->name << "\n";
}
