/** How often something took how long, in buckets, as benchmarks/latencies.h. */
final class Latencies {
  private final long[] counts = new long[64 * 32];
  private long count;
  private long max;

  void add(long ns) {
    int shift = 58 - Long.numberOfLeadingZeros(ns);
    int bucket = ns < 32 ? (int) ns : shift * 32 + (int) (ns >> shift);
    ++counts[bucket];
    ++count;
    if (ns > max) max = ns;
  }

  long max() {
    return max;
  }

  /** The time that so much of all did not exceed, in microseconds. */
  double quantile(double quantile) {
    long rank = (long) Math.ceil(quantile * count);
    long seen = 0;
    for (int bucket = 0; bucket < counts.length; ++bucket) {
      seen += counts[bucket];
      if (seen < rank || seen == 0) continue;
      int shift = bucket / 32 - 1;
      long end = bucket < 32 ? bucket : ((long) (bucket - shift * 32 + 1) << shift) - 1;
      return Math.min(end, max) / 1e3;
    }
    return 0;
  }
}
