// What the JavaScript engines run: main(WORKLOAD, NUMBER...) does one run and
// returns {"units": N, "figures": {...}} as text, or "" for a workload that is
// not here. The engine's program has these functions for it:
//
//   now()   monotonic time, in nanoseconds
//   cpu()   processor time of the process, in nanoseconds
//
'use strict';

const minDepth = 4;

function result(units, figures) {
  return JSON.stringify({units, figures});
}

// Times work, which returns units; warmUp is done before, to have it compiled.
function timed(warmUp, work) {
  for (let i = 0; i < 20; ++i) warmUp();
  const cpuStart = cpu();
  const start = now();
  const units = work();
  const wall = now() - start;
  return result(units, {wall_s: wall / 1e9, cpu_s: (cpu() - cpuStart) / 1e9});
}

// By a clock: now, or cpu where nobody waits for anything.
function timedBatches(clock, operations, size, figure, batch) {
  const batches = Math.floor(operations / size);
  for (let i = Math.floor(batches / 8); i >= 0; --i) batch();
  const start = clock();
  for (let i = 0; i < batches; ++i) batch();
  const figures = {};
  figures[figure] = (clock() - start) / (batches * size);
  return result(batches * size, figures);
}

// ---- binary trees ----

class Pair {
  constructor() {
    this.left = null;
    this.right = null;
  }
}

class Quad {
  constructor() {
    this.left = null;
    this.right = null;
    this.i = 0;
    this.j = 0;
  }
}

function countPairs(node) {
  return node.left === null ?
      1 : 1 + countPairs(node.left) + countPairs(node.right);
}

function grow(node, depth) {
  node.left = new Pair();
  if (depth > 1) grow(node.left, depth - 1);
  node.right = new Pair();
  if (depth > 1) grow(node.right, depth - 1);
}

function makePairs(depth) {
  const root = new Pair();
  grow(root, depth);
  return root;
}

function binaryTrees(maxDepth) {
  let nodes = countPairs(makePairs(maxDepth + 1));
  const longLived = makePairs(maxDepth);
  for (let depth = minDepth; depth <= maxDepth; depth += 2) {
    for (let i = 1 << (maxDepth - depth + minDepth); i > 0; --i) {
      nodes += countPairs(makePairs(depth));
    }
  }
  return nodes + countPairs(longLived);
}

// ---- GCBench ----

function countQuads(node) {
  return node.left === null ?
      1 : 1 + countQuads(node.left) + countQuads(node.right);
}

function populate(node, depth) {
  node.left = new Quad();
  node.right = new Quad();
  if (depth === 1) return;
  populate(node.left, depth - 1);
  populate(node.right, depth - 1);
}

function makeQuads(depth) {
  const left = depth === 1 ? new Quad() : makeQuads(depth - 1);
  const right = depth === 1 ? new Quad() : makeQuads(depth - 1);
  const node = new Quad();
  node.left = left;
  node.right = right;
  return node;
}

function treeSize(depth) {
  return 2 ** (depth + 1) - 1;
}

function gcBench(largest) {
  let nodes = countQuads(makeQuads(largest));
  const longLived = new Quad();
  populate(longLived, largest - 2);
  const array = new Float64Array(500000);
  for (let i = 0; i < array.length; ++i) array[i] = 1 / (i + 1);
  for (let depth = minDepth; depth <= largest - 2; depth += 2) {
    const trees = Math.floor(2 * treeSize(largest) / treeSize(depth));
    for (let i = 0; i < trees; ++i) {
      const topDown = new Quad();
      populate(topDown, depth);
      nodes += countQuads(topDown);
    }
    for (let i = 0; i < trees; ++i) nodes += countQuads(makeQuads(depth));
  }
  return nodes + countQuads(longLived) + (array[0] > 0 ? 1 : 0);
}

// ---- allocation, and stores of references ----

class Cell {
  constructor() {
    this.next = null;
  }
}

const cells = new Array(64).fill(null);

function allocateBatch() {
  for (let i = 0; i < 64; ++i) cells[i] = new Cell();
}

const row = new Array(1000).fill(null);
const stored = [new Cell(), new Cell()];
let turn = 0;

function storeBatch() {
  const cell = stored[turn ^= 1];
  for (let i = 0; i < 1000; ++i) row[i] = cell;
}

// ---- a graph of live nodes ----

class Node {
  constructor(number) {
    this.a = null;
    this.b = null;
    this.c = null;
    this.number = number;
    this.x = 0;
    this.y = 0;
  }
}

class Small {
  constructor(next) {
    this.next = next;
    this.x = 0;
    this.y = 0;
    this.z = 0;
  }
}

// std::minstd_rand, by Schrage's way, which needs no more than 31 bits.
let state = 1;
function random() {
  const high = (state / 44488) | 0;
  const low = state - Math.imul(high, 44488);
  state = (Math.imul(48271, low) - Math.imul(3399, high)) | 0;
  if (state < 0) state = (state + 2147483647) | 0;
  return state;
}

function makeTable(nodes) {
  const table = new Array(nodes);
  for (let i = 0; i < nodes; ++i) table[i] = new Node(i);
  for (let i = 0; i < nodes; ++i) {
    const node = table[i];
    node.a = table[random() % nodes];
    node.b = table[random() % nodes];
    node.c = table[random() % nodes];
  }
  return table;
}

let last = null;

function operate(table) {
  let list = null;
  for (let i = 0; i < 32; ++i) list = new Small(list);
  // It escapes, and dies.
  last = list;
  last = null;
  for (let i = 0; i < 4; ++i) {
    const target = table[random() % table.length];
    const from = table[random() % table.length];
    const edge = random() % 3;
    if (edge === 0) {
      from.a = target;
    } else if (edge === 1) {
      from.b = target;
    } else {
      from.c = target;
    }
  }
}

// ---- latency; buckets as in benchmarks/latencies.h ----

const counts = new Float64Array(64 * 32);
let longest = 0;

function addTime(ns) {
  let bucket = ns;
  if (ns >= 32) {
    const shift = (ns < 2147483648 ? 31 - Math.clz32(ns) :
                                     Math.floor(Math.log2(ns))) - 5;
    bucket = shift * 32 + Math.floor(ns / 2 ** shift);
  }
  ++counts[bucket];
  if (ns > longest) longest = ns;
}

function quantile(quantile, count) {
  const rank = Math.ceil(quantile * count);
  let seen = 0;
  for (let bucket = 0; bucket < counts.length; ++bucket) {
    seen += counts[bucket];
    if (seen < rank || seen === 0) continue;
    const shift = Math.floor(bucket / 32) - 1;
    const end = bucket < 32 ? bucket :
                              (bucket - shift * 32 + 1) * 2 ** shift - 1;
    return Math.min(end, longest) / 1e3;
  }
  return 0;
}

function latency(nodes, operations, warmUp) {
  const table = makeTable(nodes);
  for (let i = 0; i < warmUp; ++i) operate(table);
  const start = now();
  let before = start;
  const run = (count) => {
    for (let i = 0; i < count; ++i) {
      operate(table);
      const time = now();
      addTime(time - before);
      before = time;
    }
  };
  run(operations);
  const took = before - start;
  let checksum = 0;
  for (const node of table) {
    checksum = (checksum * 31 + node.a.number) % 2147483648;
    checksum = (checksum * 31 + node.b.number) % 2147483648;
    checksum = (checksum * 31 + node.c.number) % 2147483648;
  }
  return result(operations, {
    p50_us: quantile(0.5, operations),
    p99_us: quantile(0.99, operations),
    p999_us: quantile(0.999, operations),
    p9999_us: quantile(0.9999, operations),
    max_us: longest / 1e3,
    operations_s: took / 1e9,
    checksum,
  });
}

// ---- marking ----

let root = null;

// Makes a graph that only `root` keeps; returns how much of it can be reached.
function makeRandomGraph(objects) {
  const table = makeTable(objects);
  root = table[0];
  const stack = [root];
  root.x = 1;
  let reached = 0;
  while (stack.length > 0) {
    const node = stack.pop();
    ++reached;
    for (const to of [node.a, node.b, node.c]) {
      if (to.x !== 0) continue;
      to.x = 1;
      stack.push(to);
    }
  }
  return reached;
}

function main(workload, first, second, third) {
  switch (workload) {
    case 'binary_trees':
      return timed(() => binaryTrees(10), () => binaryTrees(first));
    case 'gcbench':
      return timed(() => gcBench(10), () => gcBench(first));
    case 'alloc':
      return timedBatches(now, first, 64, 'ns_per_object', allocateBatch);
    case 'barrier':
      return timedBatches(cpu, first, 1000, 'ns_per_operation', storeBatch);
    case 'latency':
      return latency(first, second, third);
    default:
      return '';
  }
}
