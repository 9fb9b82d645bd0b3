package schedule

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/esi/transport"
)

const (
	// slack is how long after a cache's end a section is asked for at least, so that
	// two clocks that differ a little do not matter.
	slack = 2 * time.Second
	// moreSlack is what characters add to it, each always the same, so that those
	// whose caches end at one moment do not ask at one.
	moreSlack = 3 * time.Second
)

// defaultInterval is how often a section is read if nothing else is set: Member
// Audit's rings of 55, 235 and 475 minutes (1.9.4; the sections of 5.1.0 by their
// stale minutes, less the same five).
func defaultInterval(section eve.Section) time.Duration {
	switch section {
	case eve.SectionLocation, eve.SectionOnline, eve.SectionShip, eve.SectionSkillQueue:
		return 55 * time.Minute
	case eve.SectionAssets, eve.SectionAttributes, eve.SectionCorporationHistory, eve.SectionFWStats, eve.SectionLoyalty, eve.SectionTitles:
		return 475 * time.Minute
	default:
		return 235 * time.Minute
	}
}

// plan says when a section is read next. Its rules: the next run is the last
// validation plus the interval plus a phase of the character's own; never in
// the past, which would starve all others, and never before the cache expires.
type plan struct {
	intervals map[eve.Section]time.Duration
}

func (p plan) interval(section eve.Section) time.Duration {
	if d, ok := p.intervals[section]; ok {
		return d
	}
	return defaultInterval(section)
}

// phase spreads characters over the tenth of the interval that follows it, so
// that those who were registered together do not stay together. It is always
// the same for one section of one character.
func (p plan) phase(character int64, section eve.Section) time.Duration {
	spread := p.interval(section) / 10
	if spread <= 0 {
		return 0
	}
	h := fnv.New64a()
	// A hash never fails to write.
	_, _ = h.Write(strconv.AppendInt(nil, character, 10))
	_, _ = h.Write([]byte(section))
	return time.Duration(h.Sum64() % uint64(spread))
}

// slackOf is the part of [moreSlack] that is a character's own.
func (p plan) slackOf(character int64) time.Duration {
	h := fnv.New64a()
	// A hash never fails to write.
	_, _ = h.Write(strconv.AppendInt(nil, character, 10))
	return time.Duration(h.Sum64() % uint64(moreSlack))
}

// due is when a section is read that was last validated at a moment (zero =
// never) and must not be asked for before another.
func (p plan) due(character int64, section eve.Section, validated, notBefore, now time.Time) time.Time {
	at := now
	if !validated.IsZero() {
		at = validated.Add(p.interval(section) + p.phase(character, section))
	}
	if !notBefore.IsZero() {
		at = later(at, notBefore.Add(slack+p.slackOf(character)))
	}
	return later(at, now)
}

// after is when a section is read again after a sync; false if not before its
// owner has registered the character again.
func (p plan) after(character int64, section eve.Section, o esi.Outcome, now time.Time) (time.Time, bool) {
	switch o.Result {
	case esi.Deferred:
		return later(o.NotBefore, now).Add(comeBack(o.Failure)), true
	case esi.Spared:
		return later(o.NotBefore.Add(p.phase(character, section)), now.Add(time.Second)), true
	case esi.Failed:
		if o.Failure.Class == eve.FailureToken {
			return time.Time{}, false
		}
		at := now.Add(p.patience(section, o.Failure.Class, o.Failures))
		if o.NotBefore.After(at) {
			return o.NotBefore.Add(comeBack(o.Failure)), true
		}
		return at.Add(jitter(slack)), true
	default:
		at := p.due(character, section, o.ValidatedAt, o.NotBefore, now)
		return later(at, now.Add(time.Second)), true
	}
}

// comeBack is how long after its moment something is tried again that was held back:
// all that one limit or the downtime held back should not come back at the same
// moment.
func comeBack(f *transport.Failure) time.Duration {
	over := 5 * time.Second
	if f != nil {
		over = max(over, f.Spread)
	}
	return jitter(over)
}

// refusalPatience is how long a first refusal is waited out: it may be a fault that
// passes, and must not cost a character half a day.
const refusalPatience = 15 * time.Minute

// patience is how long to wait after a number of failures in a row. What passes
// by itself is tried again soon, what does not ever more seldom.
func (p plan) patience(section eve.Section, class eve.FailureClass, failures int) time.Duration {
	interval := p.interval(section)
	var first, most time.Duration
	switch class {
	case eve.FailureTorn:
		first, most = 5*time.Second, interval
	case eve.FailureServer, eve.FailureNetwork:
		first, most = 15*time.Second, interval
	case eve.FailureRateLimited:
		first, most = time.Minute, interval
	case eve.FailureMalformed:
		first, most = interval/8, interval
	default:
		first, most = min(interval, refusalPatience), 8*interval
	}
	wait := first
	for range min(failures-1, 20) {
		wait = min(2*wait, most)
	}
	return max(min(wait, most), time.Second)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func jitter(most time.Duration) time.Duration {
	return rand.N(most) //nolint:gosec // Jitter needs no secrecy.
}

// DefaultIntervals are how often each section is read if nothing else is set.
func DefaultIntervals() map[eve.Section]time.Duration { return Intervals(nil) }

// Intervals are how often each section is read where some are set.
func Intervals(set map[eve.Section]time.Duration) map[eve.Section]time.Duration {
	intervals := map[eve.Section]time.Duration{}
	for _, section := range esi.Sections(esi.Options{}) {
		intervals[section.Name] = plan{intervals: set}.interval(section.Name)
	}
	return intervals
}
