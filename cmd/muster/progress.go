package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far long work is: a bar on a terminal, log lines elsewhere.
type progress struct {
	name   string
	bar    *progressbar.ProgressBar
	logger *slog.Logger
	phase  string
	shown  time.Time
	pace   pace
}

// logEvery is the pause between two lines where there is no terminal.
const logEvery = 5 * time.Second

func newProgress(w io.Writer, logger *slog.Logger, name string) *progress {
	p := &progress{name: name, logger: logger}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"), progressbar.OptionSetPredictTime(false),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	return p
}

// set shows that done of total is done.
func (p *progress) set(phase string, done, total int64) {
	now := time.Now()
	begins := phase != p.phase
	if begins {
		p.pace = pace{}
	}
	p.phase = phase
	p.pace.note(now, done)
	rate := p.pace.rate()
	var left time.Duration
	if rate > 0 && total > done {
		left = time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second)
	}
	if p.bar != nil {
		said := p.name + ": " + phase
		if left > 0 {
			said += ", " + left.String() + " left"
		}
		p.bar.Describe(said)
		if total > 0 {
			p.bar.ChangeMax64(total)
			_ = p.bar.Set64(done)
		}
		return
	}
	if !begins && now.Sub(p.shown) < logEvery {
		return
	}
	p.shown = now
	attrs := []any{"phase", phase}
	if total > 0 {
		attrs = append(attrs, "done", done, "total", total, "per_second", int64(rate))
		if rate > 0 {
			attrs = append(attrs, "left", left.String())
		}
	}
	p.logger.Info("progress", append([]any{"of", p.name}, attrs...)...)
}

// pace is how fast work goes. What was done before it was first noted, such as by a run
// that was interrupted, counts for nothing, and neither does the first half of the time:
// work that becomes slower shows that soon.
type pace struct{ notes []paced }

type paced struct {
	at   time.Time
	done int64
}

// pacedNotes bounds how many notes are kept.
const pacedNotes = 512

// note notes how much is done.
func (p *pace) note(at time.Time, done int64) {
	p.notes = append(p.notes, paced{at, done})
	if len(p.notes) < pacedNotes {
		return
	}
	// Each second one is enough.
	kept := p.notes[:0]
	for i := 0; i < pacedNotes; i += 2 {
		kept = append(kept, p.notes[i])
	}
	kept = append(kept, paced{at, done})
	p.notes = kept
}

// rate is how much is done a second; zero if that is not known yet.
func (p *pace) rate() float64 {
	if len(p.notes) == 0 {
		return 0
	}
	first, last := p.notes[0], p.notes[len(p.notes)-1]
	half := first.at.Add(last.at.Sub(first.at) / 2)
	from := first
	for _, n := range p.notes {
		if n.at.After(half) {
			break
		}
		from = n
	}
	seconds := last.at.Sub(from.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(last.done-from.done) / seconds
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
