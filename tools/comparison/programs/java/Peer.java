import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.StringJoiner;
import java.util.function.LongSupplier;

/**
 * The Java peer: {@code java Peer WORKLOAD [NUMBER...]} does one run of a workload and prints
 * {@code {"units": N, "figures": {...}}}. The collector is chosen on the command line.
 */
public final class Peer {
  private Peer() {}

  /** What a run comes to. */
  static final class Result {
    final long units;
    final Map<String, Double> figures = new LinkedHashMap<>();

    Result(long units) {
      this.units = units;
    }

    Result with(String name, double value) {
      figures.put(name, value);
      return this;
    }

    String json() {
      StringJoiner joiner = new StringJoiner(", ");
      figures.forEach((name, value) -> joiner.add("\"" + name + "\": " + value));
      return "{\"units\": " + units + ", \"figures\": {" + joiner + "}}";
    }
  }

  /** Processor time of the process, collector and compiler included, in nanoseconds. */
  static long cpuTime() {
    return ((com.sun.management.OperatingSystemMXBean)
            ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }

  /** Processor time of this thread, in nanoseconds. */
  static long threadTime() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
  }

  /** Times work that returns units; {@code warmUp} is done before, to have it compiled. */
  static Result timed(LongSupplier warmUp, LongSupplier work) {
    for (int i = 0; i < 20; ++i) warmUp.getAsLong();
    System.gc();
    long cpu = cpuTime();
    long start = System.nanoTime();
    long units = work.getAsLong();
    long wall = System.nanoTime() - start;
    return new Result(units)
        .with("wall_s", wall / 1e9)
        .with("cpu_s", (cpuTime() - cpu) / 1e9);
  }

  /**
   * Times operations that batch does, size at a time, after an eighth as many to warm up, by a
   * clock: System::nanoTime, or Peer::threadTime where nobody waits for anything.
   */
  static Result timedBatches(
      LongSupplier clock, long operations, int size, String figure, Runnable batch) {
    long batches = operations / size;
    for (long i = batches / 8; i >= 0; --i) batch.run();
    long start = clock.getAsLong();
    for (long i = 0; i < batches; ++i) batch.run();
    double took = clock.getAsLong() - start;
    return new Result(batches * size).with(figure, took / (batches * size));
  }

  /** What the process has resident; a page that it maps several times is counted once. */
  private static double proportionalMib() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
      if (line.startsWith("Pss:")) return Double.parseDouble(line.split("\\s+")[1]) / 1024;
    }
    throw new IOException("there is no Pss in smaps_rollup");
  }

  public static void main(String[] arguments) throws Exception {
    long[] numbers = new long[arguments.length];
    for (int i = 1; i < arguments.length; ++i) numbers[i - 1] = Long.parseLong(arguments[i]);
    int first = (int) numbers[0];
    Result result;
    switch (arguments[0]) {
      case "binary_trees":
        result = timed(() -> Trees.binaryTrees(10), () -> Trees.binaryTrees(first));
        break;
      case "gcbench":
        result = timed(() -> Trees.gcBench(10), () -> Trees.gcBench(first));
        break;
      case "alloc":
        result =
            timedBatches(
                System::nanoTime, numbers[0], 64, "ns_per_object", Small::allocateBatch);
        break;
      case "barrier":
        result =
            timedBatches(
                Peer::threadTime, numbers[0], 1000, "ns_per_operation", Small::storeBatch);
        break;
      case "latency":
        result = Graph.latency(first, numbers[1], numbers[2]);
        break;
      case "mark_rate":
        result = Graph.markRate(first, (int) numbers[1]);
        break;
      default:
        System.exit(2);
        return;
    }
    if (Boolean.getBoolean("peer.pss")) result.with("peak_mib", proportionalMib());
    System.out.println(result.json());
  }
}
