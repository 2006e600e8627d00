/** Allocation and stores of references. */
final class Small {
  private Small() {}

  /** 32 bytes with a header of 12 and references of 4, as with compressed pointers. */
  private static final class Cell {
    Cell next;
    long a;
    long b;
  }

  // A field: what is referred to from here does escape.
  private static final Cell[] cells = new Cell[64];

  static void allocateBatch() {
    for (int i = 0; i < cells.length; ++i) cells[i] = new Cell();
  }

  private static final Cell[] row = new Cell[1000];
  private static Cell stored = new Cell();

  static void storeBatch() {
    Cell cell = stored;
    for (int i = 0; i < row.length; ++i) row[i] = cell;
  }
}
