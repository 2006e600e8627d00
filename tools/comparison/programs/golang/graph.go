package main

import (
	"fmt"
	"math/bits"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type node struct {
	edges  [3]*node
	values [3]int64
}

type small struct {
	next   *small
	values [3]int64
}

// ---- latency ----

// latencies counts times in buckets, as benchmarks/latencies.h does.
type latencies struct {
	counts [64 * 32]int64
	count  int64
	max    int64
}

func (l *latencies) add(ns int64) {
	bucket := ns
	if ns >= 32 {
		shift := bits.Len64(uint64(ns)) - 6
		bucket = int64(shift)*32 + ns>>shift
	}
	l.counts[bucket]++
	l.count++
	if ns > l.max {
		l.max = ns
	}
}

// The end of the bucket that so much of all does not exceed, in microseconds.
func (l *latencies) quantile(quantile float64) float64 {
	rank := int64(quantile*float64(l.count) + 0.999999)
	seen := int64(0)
	for bucket, count := range l.counts {
		seen += count
		if seen < rank || seen == 0 {
			continue
		}
		end := int64(bucket)
		if bucket >= 32 {
			shift := bucket/32 - 1
			end = int64(bucket-shift*32+1)<<shift - 1
		}
		if end > l.max {
			end = l.max
		}
		return float64(end) / 1000
	}
	return 0
}

type graph struct {
	table  []*node
	random minstd
}

func makeGraph(nodes int64) *graph {
	g := &graph{make([]*node, nodes), 1}
	for i := range g.table {
		g.table[i] = new(node)
		g.table[i].values[0] = int64(i)
	}
	for _, from := range g.table {
		for edge := range from.edges {
			from.edges[edge] = g.any()
		}
	}
	return g
}

func (g *graph) any() *node {
	return g.table[g.random.next()%int64(len(g.table))]
}

var lastSmall *small

func (g *graph) operate() {
	var last *small
	for i := 0; i < 32; i++ {
		last = &small{next: last}
	}
	lastSmall = last
	lastSmall = nil
	for i := 0; i < 4; i++ {
		target := g.any()
		from := g.any()
		from.edges[g.random.next()%3] = target
	}
}

func latency(nodes, operations, warmUp int64) result {
	g := makeGraph(nodes)
	for i := int64(0); i < warmUp; i++ {
		g.operate()
	}
	var times latencies
	start := time.Now()
	before := int64(0)
	for i := int64(0); i < operations; i++ {
		g.operate()
		now := int64(time.Since(start))
		times.add(now - before)
		before = now
	}
	checksum := int64(0)
	for _, from := range g.table {
		for _, edge := range from.edges {
			checksum = (checksum*31 + edge.values[0]) & 0x7fffffff
		}
	}
	return result{operations, figures{
		"p50_us":       times.quantile(0.5),
		"p99_us":       times.quantile(0.99),
		"p999_us":      times.quantile(0.999),
		"p9999_us":     times.quantile(0.9999),
		"max_us":       float64(times.max) / 1000,
		"operations_s": float64(before) / 1e9,
		"checksum":     float64(checksum),
	}}
}

// ---- marking ----

// makeRandomGraph returns object 0 of a graph in which every edge leads anywhere.
func makeRandomGraph(objects int64) *node {
	table := make([]*node, objects)
	for i := range table {
		table[i] = new(node)
	}
	random := minstd(1)
	for _, from := range table {
		for edge := range from.edges {
			from.edges[edge] = table[random.next()%objects]
		}
	}
	return table[0]
}

func countReachable(root *node) int64 {
	stack := []*node{root}
	root.values[0] = 1
	reached := int64(0)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		reached++
		for _, to := range at.edges {
			if to.values[0] == 0 {
				to.values[0] = 1
				stack = append(stack, to)
			}
		}
	}
	return reached
}

// In a line of GODEBUG=gctrace=1: processor time of the sweep's end, of assists,
// dedicated and idle marking, and of the mark's end, in ms.
var traceLine = regexp.MustCompile(
	`ms clock, [0-9.]+\+([0-9.]+)/([0-9.]+)/([0-9.]+)\+[0-9.]+ ms cpu.*\(forced\)`)

// markRate collects, with GODEBUG=gctrace=1, and takes from the trace the
// processor time that was spent on marking.
func markRate(objects int64, marks int) result {
	root := makeRandomGraph(objects)
	runtime.GC()
	trace, err := os.CreateTemp("", "gctrace")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.Remove(trace.Name())
	errors, _ := syscall.Dup(2)
	syscall.Dup2(int(trace.Fd()), 2)
	for i := 0; i < marks; i++ {
		runtime.GC()
	}
	syscall.Dup2(errors, 2)
	text, _ := os.ReadFile(trace.Name())
	var times []float64
	for _, line := range strings.Split(string(text), "\n") {
		if match := traceLine.FindStringSubmatch(line); match != nil {
			total := 0.0
			for _, word := range match[1:] {
				ms, _ := strconv.ParseFloat(word, 64)
				total += ms
			}
			times = append(times, total*1e6)
		}
	}
	if len(times) != marks {
		fmt.Fprintf(os.Stderr, "%d of %d marks are in the trace:\n%s", len(times), marks, text)
		os.Exit(1)
	}
	reached := countReachable(root)
	perObject := median(times) / float64(reached)
	return result{reached, figures{
		"ns_per_object":  perObject,
		"mobjects_per_s": 1000 / perObject,
	}}
}
