// What weak_references.md shows.

#include <iostream>
#include <string>
#include <utility>

#include "bibop/gc.h"

struct Window {
  explicit Window(std::string t) : title(std::move(t)) {}
  std::string title;
  bibop::Member<Window> child;
  bibop::WeakMember<Window> parent;  // a window does not keep its parent
  void Trace(auto& visitor) const { visitor(child, parent); }
};

struct Notes {
  explicit Notes(std::string t) : text(std::move(t)) {}
  std::string text;
};

void ShowParent(bibop::Mutator& mutator, bibop::Handle<Window> window) {
  bibop::HandleScope scope(mutator);
  bibop::MaybeHandle<Window> parent = window->parent.Lock(scope);
  if (!parent.IsEmpty()) std::cout << parent.ToHandleChecked()->title << "\n";
}

void UseMap(bibop::Mutator& mutator, bibop::Handle<Window> window) {
  bibop::HandleScope scope(mutator);
  bibop::Handle<bibop::WeakMap<Window, Notes>> notes =
      scope.New<bibop::WeakMap<Window, Notes>>();
  notes->Set(mutator, window, scope.New<Notes>("asked twice"));
  std::cout << notes->Get(scope, window).ToHandleChecked()->text << "\n";
}

int main() {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  bibop::FinalizationRegistry<std::string> closed(
      [](const std::string& title) { std::cout << title << " is gone\n"; });
  {
    bibop::HandleScope scope(mutator);
    bibop::Handle<Window> window = scope.New<Window>("dialog");
    closed.Register(mutator, window, window->title);
    {
      bibop::HandleScope inner(mutator);
      bibop::Handle<Window> parent = inner.New<Window>("main window");
      parent->child = window;
      window->parent = parent;
      ShowParent(mutator, window);
    }
    heap->Collect();
    ShowParent(mutator, window);  // there is none any more
    UseMap(mutator, window);
  }
  heap->Collect();
  closed.RunPending(mutator);  // now and then: here the function is called
}
