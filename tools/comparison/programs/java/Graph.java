import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The graph of live nodes: operations on it, and how fast it is marked. */
final class Graph {
  private static final class Node {
    Node a;
    Node b;
    Node c;
    long number;
    long x;
    long y;
  }

  private static final class Little {
    Little next;
    long x;
    long y;
    long z;
  }

  private final Node[] table;
  private long random = 1;

  /** As std::minstd_rand. */
  private int random(int below) {
    random = random * 48271 % 2147483647;
    return (int) random % below;
  }

  private Node any() {
    return table[random(table.length)];
  }

  private Graph(int nodes) {
    table = new Node[nodes];
    for (int i = 0; i < nodes; ++i) {
      table[i] = new Node();
      table[i].number = i;
    }
    for (Node node : table) {
      node.a = any();
      node.b = any();
      node.c = any();
    }
  }

  private static Little last;

  private void operate() {
    Little list = null;
    for (int i = 0; i < 32; ++i) {
      Little next = new Little();
      next.next = list;
      list = next;
    }
    // It escapes, and dies.
    last = list;
    last = null;
    for (int i = 0; i < 4; ++i) {
      Node target = any();
      Node from = any();
      switch (random(3)) {
        case 0:
          from.a = target;
          break;
        case 1:
          from.b = target;
          break;
        default:
          from.c = target;
      }
    }
  }

  private long checksum() {
    long checksum = 0;
    for (Node node : table) {
      checksum = (checksum * 31 + node.a.number) & 0x7fffffff;
      checksum = (checksum * 31 + node.b.number) & 0x7fffffff;
      checksum = (checksum * 31 + node.c.number) & 0x7fffffff;
    }
    return checksum;
  }

  /** Times operations, each of them, after those to warm up. */
  static Peer.Result latency(int nodes, long operations, long warmUp) {
    Graph graph = new Graph(nodes);
    Latencies unused = new Latencies();
    time(graph, warmUp, unused);
    Latencies latencies = new Latencies();
    long took = time(graph, operations, latencies);
    return new Peer.Result(operations)
        .with("p50_us", latencies.quantile(0.5))
        .with("p99_us", latencies.quantile(0.99))
        .with("p999_us", latencies.quantile(0.999))
        .with("p9999_us", latencies.quantile(0.9999))
        .with("max_us", latencies.max() / 1e3)
        .with("operations_s", took / 1e9)
        .with("checksum", graph.checksum());
  }

  private static long time(Graph graph, long operations, Latencies latencies) {
    long start = System.nanoTime();
    long before = start;
    for (long i = 0; i < operations; ++i) {
      graph.operate();
      long now = System.nanoTime();
      latencies.add(now - before);
      before = now;
    }
    return before - start;
  }

  // ---- marking ----

  /** What is reachable from node 0; node.x is a mark. */
  private long countReachable() {
    Node[] stack = new Node[table.length];
    int top = 0;
    stack[top++] = table[0];
    table[0].x = 1;
    long reached = 0;
    while (top > 0) {
      Node node = stack[--top];
      ++reached;
      for (Node to : new Node[] {node.a, node.b, node.c}) {
        if (to.x != 0) continue;
        to.x = 1;
        stack[top++] = to;
      }
    }
    return reached;
  }

  private static Node root;

  /**
   * Collects so often and takes the time of each mark from the collector's log, which -Xlog has
   * written to the file that the property gc.log names. The expression gc.mark finds the mark's
   * milliseconds there.
   */
  static Peer.Result markRate(int objects, int marks) throws Exception {
    Graph graph = new Graph(objects);
    long reached = graph.countReachable();
    root = graph.table[0];
    graph = null;
    System.gc();
    Path log = Path.of(System.getProperty("gc.log"));
    long before = Files.size(log);
    for (int i = 0; i < marks; ++i) System.gc();
    // The log is written by another thread where -Xlog:async; here it is complete.
    String text = Files.readString(log).substring((int) before);
    Matcher matcher =
        Pattern.compile(System.getProperty("gc.mark"), Pattern.MULTILINE).matcher(text);
    double[] times = matcher.results().mapToDouble(m -> Double.parseDouble(m.group(1))).toArray();
    if (times.length != marks || root == null) {
      System.err.println(times.length + " of " + marks + " marks are in the log:\n" + text);
      System.exit(1);
    }
    Arrays.sort(times);
    double perObject = times[times.length / 2] * 1e6 / reached;
    return new Peer.Result(reached)
        .with("ns_per_object", perObject)
        .with("mobjects_per_s", 1000 / perObject);
  }
}
