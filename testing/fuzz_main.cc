// main() of a fuzz target in builds without libFuzzer: runs it over
// pseudo-random inputs, or over the files that are given.
//
//   object_heap_fuzz [--runs=N] [--seed=S] [FILE...]
//
// Input number i is made from seed S + i alone. When a run dies, the last line
// says with which --seed that input comes again.

#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <vector>

#include "absl/log/absl_check.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Of the sanitizers, which end a program without a signal.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(
    void (*callback)());

namespace {

// What makes the input that is being run; read by a signal handler.
volatile uint64_t current_seed = 0;

void SayHowToRepeat() {
  char line[100];
  const int size = std::snprintf(
      line, sizeof(line), "\nfuzz_main: again with --runs=1 --seed=%llu\n",
      static_cast<unsigned long long>(current_seed));
  static_cast<void>(write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0);
}

void OnSignal(int signal) {
  SayHowToRepeat();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// Many are short, some are long; in some most bytes are small numbers.
std::vector<uint8_t> MakeInput(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> input(random() % (random() % 4 == 0 ? 2000 : 200));
  const uint64_t small = random() % 4;
  for (uint8_t& byte : input) {
    byte = static_cast<uint8_t>(random() % (random() % 4 < small ? 16 : 256));
  }
  return input;
}

void RunFile(const char* path) {
  std::ifstream file(path, std::ios::binary);
  ABSL_CHECK(file.is_open()) << "cannot read " << path;
  const std::vector<char> input{std::istreambuf_iterator<char>(file), {}};
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()),
                         input.size());
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 1000;
  uint64_t seed = 1;
  bool replays = false;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--runs=")) {
      ABSL_CHECK(absl::SimpleAtoi(argument, &runs)) << argv[i];
    } else if (absl::ConsumePrefix(&argument, "--seed=")) {
      ABSL_CHECK(absl::SimpleAtoi(argument, &seed)) << argv[i];
    } else {
      RunFile(argv[i]);
      replays = true;
    }
  }
  if (replays) return 0;
  std::cout << "fuzz_main: --runs=" << runs << " --seed=" << seed << std::endl;
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    std::signal(signal, OnSignal);
  }
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(SayHowToRepeat);
  }
  for (uint64_t run = 0; run < runs; ++run) {
    current_seed = seed + run;
    const std::vector<uint8_t> input = MakeInput(seed + run);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
