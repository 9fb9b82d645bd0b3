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
	began  time.Time
}

// logEvery is the pause between two lines where there is no terminal.
const logEvery = 5 * time.Second

func newProgress(w io.Writer, logger *slog.Logger, name string) *progress {
	p := &progress{name: name, logger: logger, began: time.Now()}
	if file, ok := w.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		p.bar = progressbar.NewOptions64(1,
			progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	return p
}

// set shows that done of total is done.
func (p *progress) set(phase string, done, total int64) {
	if p.bar != nil {
		if phase != p.phase {
			p.bar.Describe(p.name + ": " + phase)
		}
		p.phase = phase
		if total > 0 {
			p.bar.ChangeMax64(total)
			_ = p.bar.Set64(done)
		}
		return
	}
	if phase == p.phase && time.Since(p.shown) < logEvery {
		return
	}
	p.phase, p.shown = phase, time.Now()
	attrs := []any{"phase", phase}
	if total > 0 {
		rate := float64(done) / time.Since(p.began).Seconds()
		attrs = append(attrs, "done", done, "total", total, "per_second", int64(rate))
		if rate > 0 {
			attrs = append(attrs, "left", (time.Duration(float64(total-done)/rate) * time.Second).String())
		}
	}
	p.logger.Info("progress", append([]any{"of", p.name}, attrs...)...)
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
