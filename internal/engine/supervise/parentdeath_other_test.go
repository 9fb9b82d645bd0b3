//go:build unix && !linux

package supervise_test

const parentDeathSignal = false
