#include <iostream>
#include <string>
#include <utility>

#include "bibop/gc.h"

struct Directory {
  explicit Directory(std::string n) : name(std::move(n)) {}
  std::string name;
  bibop::Map<std::string, bibop::Member<Directory>> entries;
  bibop::Vector<bibop::Member<Directory>> recent;
  void Trace(auto& visitor) const { visitor(entries, recent); }
};

int main() {
  auto heap = bibop::Heap::Create({}).value();
  bibop::MutatorScope mutator(*heap);
  bibop::HandleScope scope(mutator);
  bibop::Handle<Directory> root = scope.New<Directory>("/");
  for (const char* name : {"usr", "etc", "bin"}) {
    bibop::HandleScope inner(mutator);
    bibop::Handle<Directory> entry = inner.New<Directory>(name);
    entry->entries[".."] = root;
    root->entries[name] = entry;
    root->recent.push_back(entry);
  }
  {
    // Whatever is in it lives until the innermost scope closes.
    bibop::HandleScope inner(mutator);
    bibop::Vector<bibop::Member<Directory>> work = std::move(root->recent);
    while (work.size() > 1) work.pop_back();
    root->recent = std::move(work);
  }
  heap->Collect();  // whatever the mode, while other threads go on
  for (const auto& [name, entry] : root->entries) std::cout << name << " ";
  std::cout << root->recent.back()->name << "\n";
}
