// V8: a small embedder, which runs javascript/peer.js, and does itself what
// concerns handles of C++ code.
//
//   v8 [--V8FLAG...] PEER.JS WORKLOAD [NUMBER...]

#include <libplatform/libplatform.h>
#include <unistd.h>
#include <v8-context.h>
#include <v8-function.h>
#include <v8-initialization.h>
#include <v8-isolate.h>
#include <v8-local-handle.h>
#include <v8-object.h>
#include <v8-persistent-handle.h>
#include <v8-primitive.h>
#include <v8-script.h>
#include <v8-template.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bibop/benchmarks/observe.h"
#include "bibop/tools/comparison/programs/peer.h"
#include "bibop/tools/comparison/programs/workloads.h"

namespace bibop::compare {
namespace {

using benchmarks::Observe;

constexpr char kFigure[] = "ns_per_operation";

// ---- handles ----

[[gnu::noinline]] void Scopes(v8::Isolate* isolate,
                              const v8::Global<v8::Object>& object) {
  for (int i = 0; i < 1000; ++i) {
    const v8::HandleScope scope(isolate);
    const v8::Local<v8::Object> local = object.Get(isolate);
    Observe(*local);
  }
}

[[gnu::noinline]] void Handles(v8::Isolate* isolate,
                               const v8::Global<v8::Object>& object) {
  const v8::HandleScope scope(isolate);
  for (int i = 0; i < 1000; ++i) {
    const v8::Local<v8::Object> local = object.Get(isolate);
    Observe(*local);
  }
}

[[gnu::noinline]] void Escapes(v8::Isolate* isolate,
                               const v8::Global<v8::Object>& object) {
  const v8::HandleScope around(isolate);
  for (int i = 0; i < 1000; ++i) {
    const v8::Local<v8::Object> escaped = [&] {
      v8::EscapableHandleScope scope(isolate);
      const v8::Local<v8::Object> inner = object.Get(isolate);
      Observe(*inner);
      return scope.Escape(inner);
    }();
    Observe(*escaped);
  }
}

[[gnu::noinline]] void OneByOne(v8::Isolate* isolate,
                                v8::Local<v8::Object> object) {
  for (int i = 0; i < 1000; ++i) {
    const v8::Global<v8::Object> global(isolate, object);
    Observe(&global);
  }
}

Result Thousand(v8::Isolate* isolate, v8::Local<v8::Object> object,
                int64_t operations) {
  std::vector<v8::Global<v8::Object>> all(1000);
  return TimedBatches(operations, kFigure, [&] {
    for (auto& global : all) {
      global.Reset(isolate, object);
      Observe(&global);
    }
    for (int i = 0; i < 1000; ++i) all[i * 389 % 1000].Reset();
  });
}

// ---- marking ----

// Collects with --trace-gc-nvp, which writes to the standard output, and takes
// the milliseconds of marking from there.
std::vector<int64_t> MarkTimes(v8::Isolate* isolate, int64_t marks) {
  v8::V8::SetFlagsFromString("--trace-gc-nvp");
  std::FILE* const trace = std::tmpfile();
  std::fflush(stdout);
  const int output = dup(1);
  dup2(fileno(trace), 1);
  for (int64_t i = 0; i < marks; ++i) {
    isolate->RequestGarbageCollectionForTesting(
        v8::Isolate::kFullGarbageCollection);
  }
  std::fflush(stdout);
  dup2(output, 1);
  close(output);
  std::rewind(trace);
  std::vector<int64_t> times;
  std::vector<char> line(1 << 16);
  while (std::fgets(line.data(), static_cast<int>(line.size()), trace)) {
    const char* const mark = std::strstr(line.data(), " mark=");
    if (mark == nullptr) continue;
    times.push_back(static_cast<int64_t>(std::strtod(mark + 6, nullptr) * 1e6));
  }
  std::fclose(trace);
  if (static_cast<int64_t>(times.size()) != marks) {
    std::fprintf(stderr, "%zu marks are in the trace\n", times.size());
    std::exit(1);
  }
  return times;
}

// ---- the script ----

void NowFunction(const v8::FunctionCallbackInfo<v8::Value>& info) {
  info.GetReturnValue().Set(static_cast<double>(Read(CLOCK_MONOTONIC)));
}

void CpuFunction(const v8::FunctionCallbackInfo<v8::Value>& info) {
  info.GetReturnValue().Set(
      static_cast<double>(Read(CLOCK_PROCESS_CPUTIME_ID)));
}

v8::Local<v8::String> Text(v8::Isolate* isolate, const std::string& text) {
  return v8::String::NewFromUtf8(isolate, text.c_str()).ToLocalChecked();
}

v8::Local<v8::Context> MakeContext(v8::Isolate* isolate, const char* file) {
  const auto global = v8::ObjectTemplate::New(isolate);
  global->Set(isolate, "now", v8::FunctionTemplate::New(isolate, NowFunction));
  global->Set(isolate, "cpu", v8::FunctionTemplate::New(isolate, CpuFunction));
  const auto context = v8::Context::New(isolate, nullptr, global);
  const v8::Context::Scope scope(context);
  std::ifstream script(file);
  const std::string source{std::istreambuf_iterator<char>(script), {}};
  v8::Script::Compile(context, Text(isolate, source))
      .ToLocalChecked()
      ->Run(context)
      .ToLocalChecked();
  return context;
}

// Calls a function of the script with a text and numbers.
v8::Local<v8::Value> Call(v8::Isolate* isolate, v8::Local<v8::Context> context,
                          const char* function,
                          std::vector<v8::Local<v8::Value>> arguments) {
  const v8::Local<v8::Value> found =
      context->Global()->Get(context, Text(isolate, function)).ToLocalChecked();
  return found.As<v8::Function>()
      ->Call(context, context->Global(), static_cast<int>(arguments.size()),
             arguments.data())
      .ToLocalChecked();
}

int RunScript(v8::Isolate* isolate, v8::Local<v8::Context> context, int argc,
              char** argv) {
  std::vector<v8::Local<v8::Value>> arguments;
  for (int i = 1; i < argc; ++i) {
    if (i == 1) {
      arguments.push_back(Text(isolate, argv[i]));
    } else {
      arguments.push_back(v8::Number::New(isolate, std::atof(argv[i])));
    }
  }
  const v8::String::Utf8Value result(isolate,
                                     Call(isolate, context, "main", arguments));
  if (result.length() == 0) return 2;
  std::printf("%s\n", *result);
  return 0;
}

int Run(v8::Isolate* isolate, const char* file, int argc, char** argv) {
  const v8::Isolate::Scope isolate_scope(isolate);
  const v8::HandleScope scope(isolate);
  const v8::Local<v8::Context> context = MakeContext(isolate, file);
  const v8::Context::Scope context_scope(context);
  const Arguments arguments(argc, argv);
  const std::string& workload = arguments.workload();
  const v8::Local<v8::Object> object = v8::Object::New(isolate);
  const v8::Global<v8::Object> global(isolate, object);
  const auto timed = [&](auto batch) {
    Print(TimedBatches(arguments.number(0), kFigure, batch));
  };
  if (workload == "handles_scope") {
    timed([&] { Scopes(isolate, global); });
  } else if (workload == "handles_handle") {
    timed([&] { Handles(isolate, global); });
  } else if (workload == "handles_escape") {
    timed([&] { Escapes(isolate, global); });
  } else if (workload == "persistent") {
    timed([&] { OneByOne(isolate, object); });
  } else if (workload == "persistent_thousand") {
    Print(Thousand(isolate, object, arguments.number(0)));
  } else if (workload == "mark_rate") {
    const v8::Local<v8::Value> reached = Call(
        isolate, context, "makeRandomGraph",
        {v8::Number::New(isolate, static_cast<double>(arguments.number(0)))});
    MarkTimes(isolate, 2);  // what is young becomes old
    Print(MarkResult(static_cast<int64_t>(reached.As<v8::Number>()->Value()),
                     MarkTimes(isolate, arguments.number(1))));
  } else {
    return RunScript(isolate, context, argc, argv);
  }
  return 0;
}

int Main(int argc, char** argv) {
  // Flags come first, the script's file and the run's command line after them.
  v8::V8::SetFlagsFromString("--expose-gc");
  int first = 1;
  for (; first < argc && argv[first][0] == '-'; ++first) {
    v8::V8::SetFlagsFromString(argv[first]);
  }
  if (first >= argc) return 2;
  const std::unique_ptr<v8::Platform> platform =
      v8::platform::NewDefaultPlatform();
  v8::V8::InitializePlatform(platform.get());
  v8::V8::Initialize();
  v8::Isolate::CreateParams parameters;
  parameters.array_buffer_allocator =
      v8::ArrayBuffer::Allocator::NewDefaultAllocator();
  v8::Isolate* const isolate = v8::Isolate::New(parameters);
  const int status = Run(isolate, argv[first], argc - first, argv + first);
  std::fflush(stdout);
  // The heap is the system's to free.
  std::_Exit(status);
}

}  // namespace
}  // namespace bibop::compare

int main(int argc, char** argv) { return bibop::compare::Main(argc, argv); }
