// The Go peer: `peer WORKLOAD [NUMBER...]` does one run of a workload and prints
// {"units": N, "figures": {...}}. GOGC, GOMAXPROCS and GODEBUG come from the
// environment.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"syscall"
	"time"
)

type figures map[string]float64

type result struct {
	Units   int64   `json:"units"`
	Figures figures `json:"figures"`
}

// The processor time of the process, in seconds.
func cpuTime() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// timed times work, which returns units.
func timed(work func() int64) result {
	start, cpu := time.Now(), cpuTime()
	units := work()
	return result{units, figures{
		"wall_s": time.Since(start).Seconds(),
		"cpu_s":  cpuTime() - cpu,
	}}
}

// wallTime is monotonic, in seconds.
func wallTime() float64 { return time.Since(started).Seconds() }

var started = time.Now()

// timedBatches times operations that batch does, size at a time, after an eighth
// as many to warm up, by a clock: wallTime, or cpuTime where nobody waits for
// anything.
func timedBatches(clock func() float64, operations, size int64, figure string, batch func()) result {
	batches := operations / size
	for i := batches / 8; i >= 0; i-- {
		batch()
	}
	start := clock()
	for i := int64(0); i < batches; i++ {
		batch()
	}
	ns := (clock() - start) * 1e9
	return result{batches * size, figures{figure: ns / float64(batches*size)}}
}

// The number-th argument of the workload, from 0 on.
func number(n int) int64 {
	if len(os.Args) <= 2+n {
		fmt.Fprintln(os.Stderr, "the workload takes more numbers")
		os.Exit(2)
	}
	value, err := strconv.ParseInt(os.Args[2+n], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return value
}

// minstd is the generator that C++ calls std::minstd_rand.
type minstd uint64

func (state *minstd) next() int64 {
	*state = *state * 48271 % 2147483647
	return int64(*state)
}

func median(values []float64) float64 {
	sort.Float64s(values)
	return values[len(values)/2]
}

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	var done result
	switch os.Args[1] {
	case "binary_trees":
		done = timed(func() int64 { return binaryTrees(int(number(0))) })
	case "gcbench":
		done = timed(func() int64 { return gcBench(int(number(0))) })
	case "alloc":
		done = timedBatches(wallTime, number(0), 64, "ns_per_object", allocateBatch)
	case "barrier":
		done = barrier(number(0))
	case "persistent":
		done = persistentOneByOne(number(0))
	case "persistent_thousand":
		done = persistentThousand(number(0))
	case "latency":
		done = latency(number(0), number(1), number(2))
	case "mark_rate":
		done = markRate(number(0), int(number(1)))
	default:
		os.Exit(2)
	}
	json.NewEncoder(os.Stdout).Encode(done)
}
