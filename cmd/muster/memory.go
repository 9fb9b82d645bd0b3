package main

import (
	"os"
	"runtime/debug"
)

// projectorMemory is what the heap of the projectors ought to stay below. What
// they hold is bounded by the size of batches, but left alone the collector lets
// garbage grow as large as that again.
const projectorMemory = 192 << 20

// ingestMemory is what the heap of the ingest workers ought to stay below: long lists
// come as megabytes, and leave as much garbage.
const ingestMemory = 160 << 20

// ingestGarbage is how much garbage the ingest workers may let lie, in percent of what
// they hold, before the collector runs: they hold little and make much, and
// ingestMemory bounds both.
const ingestGarbage = 400

// importMemory is what the heap of an import of a dump ought to stay below: the dump
// goes by, record by record, and leaves garbage of many times the size of what is kept.
const importMemory = 176 << 20

// limitMemory makes the collector work harder when the heap comes near a size.
// It is no hard bound, and GOMEMLIMIT goes before it.
func limitMemory(size int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(size)
	}
}

// letGarbageLie has the collector run less often as long as the heap is far from its
// limit. GOGC goes before it.
func letGarbageLie(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
