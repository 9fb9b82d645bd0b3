package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/ingest/schema"
	"github.com/muster-sync/muster/ingest/sealing"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/internal/engine"
)

// secretCommand is about the secret key.
type secretCommand struct {
	Rotate secretRotate `cmd:"" help:"Seal with the new key what the former one has sealed, and prove that nothing is left under it."`
}

// Help implements kong's detailed help.
func (c *secretCommand) Help() string {
	return `The new key is MUSTER_SECRET_KEY (or its file), and the one before is MUSTER_SECRET_KEY_PREVIOUS (or its file).
Start every process with both first. Nothing stands still meanwhile, and what was interrupted goes on when it is called again.

Examples:
  muster secret rotate --dry-run
  muster secret rotate`
}

// secretRotate replaces the key.
type secretRotate struct {
	DryRun bool   `help:"Only count what is under which key."`
	Batch  int    `help:"Rows of a statement." default:"500"`
	Output string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// rotationResult is what is printed as JSON.
type rotationResult struct {
	Key    string          `json:"key"`
	Former []string        `json:"former"`
	DryRun bool            `json:"dry_run"`
	Items  []sealing.Tally `json:"items"`
}

// Run implements the subcommand.
func (c *secretRotate) Run(ctx context.Context, env *environment) error {
	if c.Batch < 1 || c.Batch > 10_000 {
		return event.Errorf(event.CodeInvalid, "--batch %d: must be between 1 and 10000", c.Batch)
	}
	keys, err := env.settings.sealingKeys()
	if err != nil {
		return err
	}
	if len(keys.Fingerprints()) == 1 && !c.DryRun {
		return event.Errorf(event.CodeInvalid, "there is no former key: set MUSTER_SECRET_KEY to the new key and MUSTER_SECRET_KEY_PREVIOUS to the one before, for every process")
	}
	at, err := engine.Running(env.settings.DataDir, env.settings.external(), []engine.Name{engine.Postgres})
	if err != nil {
		return err
	}
	pool, err := openPostgres(ctx, at.PostgresDSN)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := schema.Migrate(ctx, pool); err != nil {
		return err
	}
	r := sealing.Rotation{Pool: pool, Keys: keys, Columns: append(sso.SealedColumns(), keyring.SealedColumns()...), Batch: c.Batch, DryRun: c.DryRun}
	r.Progress = func(column string, looked int64) {
		env.logger.InfoContext(ctx, "secret: rows looked at", "column", column, "rows", looked)
	}
	tallies, err := r.Run(ctx)
	if tallies == nil {
		return err
	}
	if shown := c.show(env.stdout, keys, tallies); shown != nil {
		return shown
	}
	return err
}

// show prints what was found; the status is another than 0 if something opens with no key.
func (c *secretRotate) show(w io.Writer, keys sealing.Keys, tallies []sealing.Tally) error {
	ids := keys.Fingerprints()
	result := rotationResult{Key: ids[0], Former: ids[1:], DryRun: c.DryRun, Items: tallies}
	t := newTable("column", "under the key", "under a former key", "sealed anew", "opened by none", "such as")
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	var former, unopened int64
	for _, tally := range tallies {
		t.row(tally.Column, number(tally.Current), number(tally.Former), number(tally.Resealed), number(tally.Unopened), strings.Join(tally.Examples, " "))
		former, unopened = former+tally.Former, unopened+tally.Unopened
	}
	if err := t.show(w, c.Output, result); err != nil {
		return err
	}
	if c.Output == "table" {
		switch {
		case former > 0:
			fmt.Fprintf(w, "%d rows need a former key (%s)\n", former, strings.Join(ids[1:], ", "))
		case len(ids) > 1:
			fmt.Fprintf(w, "no row is under a former key (%s): it can be taken out of MUSTER_SECRET_KEY_PREVIOUS; backups from before still need it\n", strings.Join(ids[1:], ", "))
		}
	}
	if unopened > 0 {
		return event.Errorf(event.CodeConflict, "%d rows open with none of the keys: add the key that sealed them to MUSTER_SECRET_KEY_PREVIOUS and call this again, or have the characters registered again; begun sign-ins end by themselves", unopened)
	}
	return nil
}

// sealingKeys are the secret key and those before it.
func (s *settings) sealingKeys() (sealing.Keys, error) {
	key, err := s.secretKey(false)
	if err != nil {
		return sealing.Keys{}, err
	}
	former, err := s.formerKeys()
	if err != nil {
		return sealing.Keys{}, err
	}
	return sealing.NewKeys(key, former...)
}
