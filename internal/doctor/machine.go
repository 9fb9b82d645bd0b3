package doctor

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// Clock is what another clock showed.
type Clock struct {
	Name string
	// Ahead is how far it is before this machine's; below zero it is behind.
	Ahead time.Duration
	// Within is how exactly that is known.
	Within time.Duration
}

// NewClock compares the time that was told with the moments before and after it was
// asked. Grain is the unit in which it tells the time.
func NewClock(name string, told, before, after time.Time, grain time.Duration) Clock {
	half := after.Sub(before) / 2
	// A clock that tells whole seconds leaves out half a second on average.
	return Clock{Name: name, Ahead: told.Add(grain / 2).Sub(before.Add(half)), Within: half + grain/2}
}

// clockTolerance is how far clocks may be apart: tokens and sessions end by the clock.
const clockTolerance = 3 * time.Second

// Clocks judges whether clocks agree with this machine's.
func Clocks(all []Clock) (o Outcome) {
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
		if off := c.Ahead.Abs(); off > clockTolerance+c.Within {
			o.fail("let all machines set their clocks by the network (NTP)", "the clock of %s is %s %s this machine's", c.Name, off.Round(100*time.Millisecond), direction(c.Ahead))
		}
	}
	o.Seen = fmt.Sprintf("within %s of %s", clockTolerance, strings.Join(names, ", "))
	return o
}

func direction(ahead time.Duration) string {
	if ahead < 0 {
		return "behind"
	}
	return "before"
}

// Disk is the room on a disk, in bytes.
type Disk struct {
	Name        string
	Free, Total uint64
}

const (
	gib           = 1 << 30
	leastFree     = 1 * gib
	enoughFree    = 5 * gib
	leastPercent  = 3
	enoughPercent = 10
)

// Disks judges whether there is room left.
func Disks(all []Disk) (o Outcome) {
	var lines []string
	for _, d := range all {
		line := fmt.Sprintf("%s: %s of %s free", d.Name, size(d.Free), size(d.Total))
		lines = append(lines, line)
		remedy := "make room or a larger disk; muster retention plan says what policies would remove"
		switch {
		case d.Total == 0:
		case d.Free < leastFree || d.Free < d.Total/100*leastPercent:
			o.fail(remedy, "%s", line)
		case d.Free < enoughFree && d.Free < d.Total/100*enoughPercent:
			o.warn(remedy, "%s", line)
		}
	}
	o.Seen = strings.Join(lines, "; ")
	return o
}

func size(bytes uint64) string {
	if bytes < 10*gib {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d GiB", bytes>>30)
}

// Memory is what the process may use, in bytes; zero is not bounded or not known.
type Memory struct {
	// Machine is what there is, Available what is free of it, Group what the control
	// group allows, and Limit what GOMEMLIMIT says.
	Machine, Available, Group, Limit uint64
	// Embedded says that ClickHouse and Postgres run on this machine, too.
	Embedded bool
}

const (
	// leastMemory is what one role needs, by what is measured with ten thousand
	// characters; leastTogether what the engines need beside.
	leastMemory   = 256 << 20
	leastTogether = 2 * gib
)

// Memories judges whether memory suffices.
func Memories(m Memory) (o Outcome) {
	bound := m.Machine
	if m.Group > 0 && (bound == 0 || m.Group < bound) {
		bound = m.Group
	}
	o.Seen = fmt.Sprintf("%s, of which %s are available", size(bound), size(min(m.Available, bound)))
	need := uint64(leastMemory)
	if m.Embedded {
		need = leastTogether
	}
	if bound < need {
		o.warn("give it more memory, or run the engines elsewhere", "%s are less than the %s that it takes", size(bound), size(need))
	}
	if m.Limit > bound {
		o.warn("set GOMEMLIMIT some tenths below what there is", "GOMEMLIMIT is %s, and there are %s: the system ends the process before the collector works harder", size(m.Limit), size(bound))
	}
	if m.Available > 0 && m.Available < leastMemory {
		o.warn("end what else uses memory, or add some", "only %s are available", size(m.Available))
	}
	return o
}

// File is a file that holds secrets.
type File struct {
	Path string
	// What it holds, such as "the key that seals logins".
	What string
	Mode fs.FileMode
	// Missing says that a setting names it and it is not there; Unreadable that this
	// user may not read it.
	Missing, Unreadable bool
}

// Files judges who may read secrets.
func Files(all []File) (o Outcome) {
	o.Seen = fmt.Sprintf("%d files with secrets, readable by their owner alone", len(all))
	for _, f := range all {
		remedy := "chmod 600 " + f.Path
		switch {
		case f.Missing:
			o.fail("put it there, or correct the setting that names it", "%s, which holds %s, is not there", f.Path, f.What)
		case f.Unreadable:
			o.fail("run Muster as the user that the file belongs to", "%s, which holds %s, cannot be read", f.Path, f.What)
		case f.Mode&0o007 != 0:
			o.fail(remedy, "%s, which holds %s, is open to everybody (mode %04o)", f.Path, f.What, f.Mode.Perm())
		case f.Mode&0o020 != 0:
			o.fail(remedy, "%s, which holds %s, can be written by its group (mode %04o)", f.Path, f.What, f.Mode.Perm())
		case f.Mode&0o050 != 0:
			o.warn(remedy+", unless the group is meant to read it", "%s, which holds %s, can be read by its group (mode %04o)", f.Path, f.What, f.Mode.Perm())
		}
	}
	return o
}

// Service is how a service of an outside world answered.
type Service struct {
	// Name is what it is called, Setting the variable that says where it is.
	Name, Setting string
	// Status is the status of its answer; 0 without one, and Reason says why.
	Status int
	Reason string
}

// Services judges whether the outside worlds answer. Any answer below 500 is one: the
// route need not exist.
func Services(all []Service) (o Outcome) {
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
		switch {
		case s.Status == 0:
			o.fail("look at "+s.Setting+", at the network and at a proxy between", "%s does not answer: %s", s.Name, s.Reason)
		case s.Status >= 500:
			o.warn("wait: ESI is down each day from 11:00 UTC; else look at the service's own status page", "%s answers with status %d", s.Name, s.Status)
		}
	}
	o.Seen = strings.Join(names, ", ") + " answer"
	return o
}
