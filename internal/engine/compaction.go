package engine

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
)

// compactionSignal asks the process that runs the embedded Kafka for a compaction: it
// may be another one than the one that wants it, and needs no address for that.
const compactionSignal = syscall.SIGUSR1

// listenForCompaction runs the log cleaner whenever this process is asked to. Requests
// that come while it runs are one. The function returned ends it.
func (e *Embedded) listenForCompaction() (stop func() error) {
	asked, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(asked, compactionSignal)
	var working sync.WaitGroup
	working.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-asked:
				e.log.Info("compacting the embedded Kafka, as asked")
				e.broker.Compact()
			}
		}
	})
	return func() error {
		signal.Stop(asked)
		close(done)
		working.Wait()
		return nil
	}
}

// RequestCompaction asks the process that runs the embedded Kafka on a data folder,
// which may be this one, to run its log cleaner now. It does not wait for that. It
// fails with a *NotRunningError if nobody runs one.
func RequestCompaction(dataDir string) error {
	entries, err := readEntries(filepath.Join(dataDir, addressesName))
	if err != nil {
		return err
	}
	running, err := held(filepath.Join(dataDir, lockName(Kafka)))
	if err != nil {
		return fmt.Errorf("asking whether %s runs on %s: %w", Kafka, dataDir, err)
	}
	entry, noted := entries[Kafka]
	if !running || !noted || entry.PID <= 0 {
		return &NotRunningError{Dir: dataDir, Engine: Kafka}
	}
	process, err := os.FindProcess(entry.PID)
	if err == nil {
		err = process.Signal(compactionSignal)
	}
	if err != nil {
		return fmt.Errorf("asking process %d for a compaction of the embedded Kafka: %w", entry.PID, err)
	}
	return nil
}
