package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/muster-sync/muster/domain/retention"
	worker "github.com/muster-sync/muster/projections/retention"
)

// certificates is the data folder, in which the certificates of retention lie. One is saved
// among those that are pending before it is recorded in the log, for the next one names it:
// whatever ends the process in between, it can still be had.
type certificates string

// path is where a certificate lies in the end, if nothing else is said.
func (c certificates) path(made retention.Certificate) string {
	return filepath.Join(string(c), "certificates", made.Hash[:16]+".json")
}

func (c certificates) pending() string { return filepath.Join(string(c), "certificates", "pending") }

func (c certificates) save(made retention.Certificate) error {
	return writeCertificate(filepath.Join(c.pending(), made.Hash+".json"), made)
}

// written says that a certificate lies where it should.
func (c certificates) written(made retention.Certificate) error {
	if err := os.Remove(filepath.Join(c.pending(), made.Hash+".json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the copy of the certificate that was pending: %w", err)
	}
	return nil
}

// settle finishes what was interrupted: a certificate that is pending and recorded is put
// where it belongs, and one that never was recorded is none.
func (c certificates) settle(records []worker.Record) error {
	recorded := map[string]bool{}
	for _, r := range records {
		if told, is := r.Payload.(retention.Certified); is {
			recorded[told.Hash] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(c.pending(), "*.json"))
	if err != nil {
		return fmt.Errorf("looking for certificates that are pending: %w", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a certificate that is pending: %w", err)
		}
		made, err := retention.ReadCertificate(text)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if recorded[made.Hash] {
			if err := writeCertificate(c.path(made), made); err != nil {
				return err
			}
		}
		if err := c.written(made); err != nil {
			return err
		}
	}
	return nil
}

// writeCertificate writes a certificate so that it is there as a whole or not at all.
func writeCertificate(path string, made retention.Certificate) error {
	text, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the certificate: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the certificate: %w", err)
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.part")
	if err != nil {
		return fmt.Errorf("writing the certificate: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the certificate: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}
