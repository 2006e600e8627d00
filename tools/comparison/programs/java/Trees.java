/** Binary trees and GCBench, as //benchmarks:binary_trees and gcbench. */
final class Trees {
  private Trees() {}

  private static final int MIN_DEPTH = 4;

  // ---- binary trees ----

  private static final class Pair {
    Pair left;
    Pair right;

    long count() {
      return left == null ? 1 : 1 + left.count() + right.count();
    }

    void grow(int depth) {
      left = new Pair();
      if (depth > 1) left.grow(depth - 1);
      right = new Pair();
      if (depth > 1) right.grow(depth - 1);
    }

    static Pair tree(int depth) {
      Pair root = new Pair();
      root.grow(depth);
      return root;
    }
  }

  static long binaryTrees(int maxDepth) {
    long nodes = Pair.tree(maxDepth + 1).count();
    Pair longLived = Pair.tree(maxDepth);
    for (int depth = MIN_DEPTH; depth <= maxDepth; depth += 2) {
      for (int i = 1 << (maxDepth - depth + MIN_DEPTH); i > 0; --i) {
        nodes += Pair.tree(depth).count();
      }
    }
    return nodes + longLived.count();
  }

  // ---- GCBench ----

  private static final class Quad {
    Quad left;
    Quad right;
    int i;
    int j;

    long count() {
      return left == null ? 1 : 1 + left.count() + right.count();
    }

    void populate(int depth) {
      left = new Quad();
      right = new Quad();
      if (depth == 1) return;
      left.populate(depth - 1);
      right.populate(depth - 1);
    }

    static Quad tree(int depth) {
      Quad left = depth == 1 ? new Quad() : tree(depth - 1);
      Quad right = depth == 1 ? new Quad() : tree(depth - 1);
      Quad node = new Quad();
      node.left = left;
      node.right = right;
      return node;
    }
  }

  private static long treeSize(int depth) {
    return (1L << (depth + 1)) - 1;
  }

  static long gcBench(int largest) {
    long nodes = Quad.tree(largest).count();
    Quad longLived = new Quad();
    longLived.populate(largest - 2);
    double[] array = new double[500000];
    for (int i = 0; i < array.length; ++i) array[i] = 1.0 / (i + 1);
    for (int depth = MIN_DEPTH; depth <= largest - 2; depth += 2) {
      long trees = 2 * treeSize(largest) / treeSize(depth);
      for (long i = 0; i < trees; ++i) {
        Quad topDown = new Quad();
        topDown.populate(depth);
        nodes += topDown.count();
      }
      for (long i = 0; i < trees; ++i) nodes += Quad.tree(depth).count();
    }
    return nodes + longLived.count() + (array[0] > 0 ? 1 : 0);
  }
}
