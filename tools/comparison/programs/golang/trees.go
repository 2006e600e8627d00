package main

const minDepth = 4

// ---- binary trees ----

type pair struct{ left, right *pair }

func (node *pair) count() int64 {
	if node.left == nil {
		return 1
	}
	return 1 + node.left.count() + node.right.count()
}

func (node *pair) grow(depth int) {
	node.left = new(pair)
	if depth > 1 {
		node.left.grow(depth - 1)
	}
	node.right = new(pair)
	if depth > 1 {
		node.right.grow(depth - 1)
	}
}

func makePairs(depth int) *pair {
	root := new(pair)
	root.grow(depth)
	return root
}

func binaryTrees(maxDepth int) int64 {
	nodes := makePairs(maxDepth + 1).count()
	longLived := makePairs(maxDepth)
	for depth := minDepth; depth <= maxDepth; depth += 2 {
		for i := 1 << (maxDepth - depth + minDepth); i > 0; i-- {
			nodes += makePairs(depth).count()
		}
	}
	return nodes + longLived.count()
}

// ---- GCBench ----

type quad struct {
	left, right *quad
	i, j        int32
}

func (node *quad) count() int64 {
	if node.left == nil {
		return 1
	}
	return 1 + node.left.count() + node.right.count()
}

func (node *quad) populate(depth int) {
	node.left = new(quad)
	node.right = new(quad)
	if depth == 1 {
		return
	}
	node.left.populate(depth - 1)
	node.right.populate(depth - 1)
}

func makeQuads(depth int) *quad {
	if depth == 1 {
		return &quad{left: new(quad), right: new(quad)}
	}
	left := makeQuads(depth - 1)
	right := makeQuads(depth - 1)
	return &quad{left: left, right: right}
}

func treeSize(depth int) int64 { return 1<<(depth+1) - 1 }

func gcBench(largest int) int64 {
	const doubles = 500000
	nodes := makeQuads(largest).count()
	longLived := new(quad)
	longLived.populate(largest - 2)
	array := make([]float64, doubles)
	for i := range array {
		array[i] = 1.0 / float64(i+1)
	}
	for depth := minDepth; depth <= largest-2; depth += 2 {
		trees := 2 * treeSize(largest) / treeSize(depth)
		for i := int64(0); i < trees; i++ {
			topDown := new(quad)
			topDown.populate(depth)
			nodes += topDown.count()
		}
		for i := int64(0); i < trees; i++ {
			nodes += makeQuads(depth).count()
		}
	}
	nodes += longLived.count()
	if array[0] > 0 {
		nodes++
	}
	return nodes
}
