package main

import "runtime/cgo"

// ---- allocation ----

type object struct {
	next *object
	rest [24]byte
}

// Elements of a package's variable: what they refer to is on no stack.
var objects [64]*object

func allocateBatch() {
	for i := range objects {
		objects[i] = new(object)
	}
}

// ---- the barrier ----

var row [1000]*node
var stored *node

//go:noinline
func storeBatch() {
	for i := range row {
		row[i] = stored
	}
}

func barrier(operations int64) result {
	stored = new(node)
	return timedBatches(cpuTime, operations, 1000, "ns_per_operation", storeBatch)
}

// ---- references from outside ----

// A cgo.Handle is what Go has for references that C code keeps.
func persistentOneByOne(operations int64) result {
	object := new(node)
	return timedBatches(cpuTime, operations, 1000, "ns_per_operation", func() {
		for i := 0; i < 1000; i++ {
			cgo.NewHandle(object).Delete()
		}
	})
}

func persistentThousand(operations int64) result {
	object := new(node)
	handles := make([]cgo.Handle, 1000)
	return timedBatches(cpuTime, operations, 1000, "ns_per_operation", func() {
		for i := range handles {
			handles[i] = cgo.NewHandle(object)
		}
		for i := range handles {
			handles[i*389%1000].Delete()
		}
	})
}
