package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/domain/sealed"
	"github.com/muster-sync/muster/ingest/esi"
	"github.com/muster-sync/muster/ingest/keyring"
	"github.com/muster-sync/muster/ingest/notify"
	"github.com/muster-sync/muster/ingest/sso"
	"github.com/muster-sync/muster/ingest/universe"
	"github.com/muster-sync/muster/internal/backup"
	places "github.com/muster-sync/muster/internal/backup/place"
	"github.com/muster-sync/muster/internal/engine"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/verify"
)

// backupCommand takes the log and what cannot be made anew from it out, and looks
// at what was taken.
type backupCommand struct {
	Create backupCreate `cmd:"" default:"withargs" help:"Take a backup to a folder or a bucket (what \"muster backup DEST\" does)."`
	Verify backupVerify `cmd:"" help:"Read a backup as a whole and hold what follows from it against the live read models."`
	List   backupList   `cmd:"" help:"List the backups in a folder or a bucket."`
}

// passphrase is where the passphrase of the secret key comes from.
type passphrase struct {
	Passphrase     string `env:"MUSTER_BACKUP_PASSPHRASE" help:"Passphrase of the secret key; rather give it in the environment or in a file." placeholder:"TEXT"`
	PassphraseFile string `help:"File that holds the passphrase." placeholder:"FILE"`
}

func (p passphrase) read() (string, error) {
	text := p.Passphrase
	if p.PassphraseFile != "" {
		content, err := os.ReadFile(p.PassphraseFile)
		if err != nil {
			return "", fmt.Errorf("reading the passphrase: %w", err)
		}
		text = string(bytes.TrimRight(content, "\r\n"))
	}
	if text == "" {
		return "", event.Errorf(event.CodeInvalid, "the secret key needs a passphrase: set MUSTER_BACKUP_PASSPHRASE or --passphrase-file")
	}
	return text, nil
}

// openPlace opens a folder or, for s3://, a bucket.
func openPlace(address string) (backup.Place, error) {
	scheme, rest, found := strings.Cut(address, "://")
	switch {
	case !found:
		return places.NewFolder(address), nil
	case scheme == "file" && strings.HasPrefix(rest, "/"):
		return places.NewFolder(rest), nil
	case scheme == "s3":
		return places.NewBucket(address)
	default:
		return nil, event.Errorf(event.CodeInvalid, "the place %q: give a folder, file:///folder or s3://bucket/prefix", address)
	}
}

// reactorGroups is how the consumer groups of Muster's reactors begin.
const reactorGroups = "muster-"

// backedUp are the tables that cannot be made anew from the log. What is left out
// is made anew: tables of read models, the state of readings (the next one is in
// full), jobs, samples, reference data that CCP gives, who is signed in.
func backedUp() []backup.Table {
	return []backup.Table{
		{Schema: "command", Name: "stream_heads"},
		// What was appended after the cut is appended again.
		{Schema: "command", Name: "outbox", As: map[string]string{"appended_at": "CASE WHEN appended_at < $cut THEN appended_at END"}},
		{Schema: "runner", Name: "projections", Columns: []string{"name"}},
		{Schema: "runner", Name: "skipped"},
		// Access tokens are good for minutes; the sealed refresh tokens are the logins.
		{Schema: "ingest", Name: "token", As: map[string]string{"access_sealed": "NULL", "access_expires_at": "NULL", "access_verified": "false"}},
		{Schema: "ingest", Name: "api_token"},
		// Wrapped, like the logins; of those destroyed the ids.
		{Schema: "ingest", Name: "text_key"},
		{Schema: "ingest", Name: "compliance"},
		{Schema: "ingest", Name: "compliance_groups"},
		{Schema: "ingest", Name: "forgotten"},
		{Schema: "ingest", Name: "pause"},
		{Schema: "ingest", Name: "usage"},
		{Schema: "ingest", Name: "notice"},
		{Schema: "ingest", Name: "notice_finding"},
		{Schema: "ingest", Name: "notice_login"},
		// Looks that the log may not have yet; they keep their ids.
		{Schema: "viewlog", Name: "looks", As: map[string]string{"appended_at": "CASE WHEN appended_at < $cut THEN appended_at END"}},
		// Structures that nobody may see any more cannot be asked for again.
		{Schema: "universe", Name: "structure"},
		{Schema: "universe", Name: "structure_seen"},
	}
}

// forgets tells which records end what came before them in their stream.
func forgets(rec eventlog.Record) bool {
	e, err := rec.Event()
	return err == nil && e.Type == eve.TypeCharacterForgotten
}

// backupCreate takes a backup.
type backupCreate struct {
	passphrase
	Dest          string `arg:"" help:"Folder, or s3://bucket/prefix[?endpoint=https://host]."`
	Whole         bool   `help:"Begin a new chain instead of keeping only what is new since the newest backup."`
	WithSecretKey bool   `help:"Put the key that seals logins into the backup, encrypted with the passphrase."`
	Output        string `help:"Format: json or table." enum:"json,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *backupCreate) Help() string {
	return `Takes the log, up to where it ends now, and the tables that cannot be made anew from it. Muster
runs on meanwhile. The next backup to the same place keeps only what is new. One that was
interrupted goes on.

What a tombstone removes and what came before a character was forgotten is left out. In older
backups it stays: begin a new chain with --whole and remove them.

Examples:
  muster backup /srv/backup/muster
  muster backup s3://backups/muster?endpoint=https://minio.example.org
  MUSTER_BACKUP_PASSPHRASE=... muster backup /srv/backup/muster --with-secret-key`
}

// Run implements the subcommand.
func (c *backupCreate) Run(ctx context.Context, env *environment) error {
	at, err := openPlace(c.Dest)
	if err != nil {
		return err
	}
	var phrase string
	if c.WithSecretKey {
		if phrase, err = c.read(); err != nil {
			return err
		}
	}
	key, err := env.settings.secretKey(false)
	if err != nil && c.WithSecretKey {
		return err
	}
	if err != nil {
		env.logger.WarnContext(ctx, "the backup cannot say which secret key its logins need", "error", err)
	}
	if former, err := env.settings.formerKeys(); err == nil && len(former) > 0 {
		env.logger.WarnContext(ctx, "the secret key is being replaced, and what is sealed with the former one lies in the backup as it is: finish it with `muster secret rotate` first, or keep the former key as long as this backup")
	}
	return env.withStores(ctx, func(s *stores) error {
		if err := env.migrateAll(ctx, s); err != nil {
			return err
		}
		bar := newProgress(env.stderr, env.logger, "backup")
		started := time.Now()
		m, err := backup.Take(ctx, backup.TakeConfig{
			Place: at, Log: s.reader, Pool: s.pool, Topics: event.Topics(), Copies: event.TopicPoison, Groups: reactorGroups,
			Tables: backedUp(), Forgets: forgets, Whole: c.Whole, SecretKey: key, Passphrase: phrase, Version: version,
			Progress: bar.set, Logger: env.logger,
		})
		bar.end()
		if err != nil {
			return err
		}
		return c.print(env, at, m, time.Since(started))
	})
}

func (c *backupCreate) print(env *environment, at backup.Place, m backup.Manifest, took time.Duration) error {
	if c.Output == "json" {
		return printJSON(env.stdout, m)
	}
	var left, rows int64
	for _, p := range m.Partitions {
		left += p.LeftOut
	}
	for _, t := range m.Tables {
		rows += t.Rows
	}
	fmt.Fprintf(env.stdout, "backup %s in %s: %d records (%d left out as removed or forgotten), %d rows of %d tables, %.1f MB in %s\n",
		m.ID, at, m.Records(), left, rows, len(m.Tables), float64(m.Size())/1e6, took.Round(time.Millisecond))
	if m.Previous != nil {
		fmt.Fprintf(env.stdout, "it goes on from %s and needs it\n", m.Previous.ID)
	}
	switch {
	case m.SecretKey == nil:
		fmt.Fprintln(env.stdout, "no secret key could be read here: whoever restores sealed logins needs it")
	case m.SecretKey.Sealed == nil:
		fmt.Fprintf(env.stdout, "the secret key (fingerprint %s) is not in it: without the key neither logins nor personal texts can be used\n", m.SecretKey.Fingerprint)
	default:
		fmt.Fprintf(env.stdout, "the secret key (fingerprint %s) is in it, under the passphrase\n", m.SecretKey.Fingerprint)
	}
	return nil
}

// backupList lists backups.
type backupList struct {
	Source string `arg:"" help:"Folder or bucket."`
	Output string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Run implements the subcommand.
func (c *backupList) Run(ctx context.Context, env *environment) error {
	at, err := openPlace(c.Source)
	if err != nil {
		return err
	}
	finished, unfinished, err := backup.List(ctx, at)
	if err != nil {
		return err
	}
	t := newTable("backup", "cut at", "goes on from", "records", "bytes", "secret key")
	all := []backup.Manifest{}
	for _, id := range finished {
		b, err := backup.Open(ctx, at, id)
		if err != nil {
			return err
		}
		chain := b.Manifests()
		m := chain[len(chain)-1]
		all = append(all, m)
		from, key := "", "no"
		if m.Previous != nil {
			from = m.Previous.ID
		}
		if m.SecretKey != nil && m.SecretKey.Sealed != nil {
			key = "yes"
		}
		t.row(m.ID, m.CutAt.Format(time.RFC3339), from, strconv.FormatInt(m.Records(), 10), strconv.FormatInt(m.Size(), 10), key)
	}
	if err := t.show(env.stdout, c.Output, all); err != nil {
		return err
	}
	for _, id := range unfinished {
		env.logger.WarnContext(ctx, "unfinished: the next backup goes on with it, or remove it", "backup", id)
	}
	return nil
}

// backupVerify reads a backup and compares.
type backupVerify struct {
	Source  string `arg:"" help:"Folder or bucket."`
	At      string `help:"Id of the backup; default is the newest." placeholder:"ID"`
	Offline bool   `help:"Only read the backup; do not compare with the live read models."`
	Percent int    `help:"Compare only that share of the streams." default:"100"`
	Output  string `help:"Format: json, csv or table." enum:"json,csv,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *backupVerify) Help() string {
	return `Reads every part of the backup and of those it goes on from against its hash, and every event by
the rules of this version. Then it folds the backup's events in memory, and those of the log that came
since, and reports each row of the live read models that differs; these stand still meanwhile.

Exit status: 0 equal, 1 there are differences, 2 it could not be done or the backup is damaged.`
}

// Run implements the subcommand.
func (c *backupVerify) Run(ctx context.Context, env *environment) error {
	at, err := openPlace(c.Source)
	if err != nil {
		return err
	}
	b, err := backup.Open(ctx, at, c.At)
	if err != nil {
		return err
	}
	bar := newProgress(env.stderr, env.logger, "verify backup")
	registry := newRegistry()
	// The backup is read as it is, without keys: that a text is sealed is no damage.
	registry.OpenWith(func(e event.Event) (event.Event, error) {
		return sealed.Open(e, func(uuid.UUID) (sealed.Key, error) { return sealed.Key{}, sealed.ErrDestroyed })
	})
	var unreadable int64
	report, err := b.Check(ctx, func(rec eventlog.Record) error {
		if rec.Topic != event.TopicPoison && !readable(registry, rec) {
			unreadable++
		}
		return nil
	}, func(done, total int64) { bar.set("reading", done, total) })
	bar.end()
	if err != nil {
		return err
	}
	if c.Output == "table" {
		fmt.Fprintf(env.stdout, "%d backups with %d parts and %.1f MB are whole: %d records, %d of them tombstones, %d that no version of an event's type can read\n",
			report.Backups, report.Objects, float64(report.Bytes)/1e6, report.Records, report.Tombstones, unreadable)
	}
	if c.Offline {
		if c.Output != "table" {
			return printJSON(env.stdout, report)
		}
		return nil
	}
	return env.withStores(ctx, func(s *stores) error {
		compare := verifyCommand{Percent: c.Percent, Output: c.Output}
		return compare.compare(ctx, env, s, spliced{backup: b, log: s.reader})
	})
}

// readable tells whether a record is a tombstone or an event that can be decoded.
// What a foreign client wrote is not, and is kept all the same.
func readable(registry *event.Registry, rec eventlog.Record) bool {
	e, err := rec.Event()
	if err != nil || e.IsTombstone() || !registry.Knows(e.Type) {
		return err == nil
	}
	_, err = registry.Decode(e)
	return err == nil
}

// spliced is a backup as far as it goes, and the log from there on.
type spliced struct {
	backup *backup.Backup
	log    *eventlog.Reader
}

// Ends implements [verify.Log].
func (s spliced) Ends(ctx context.Context, topics ...string) (map[eventlog.Partition]eventlog.Span, error) {
	return s.log.Ends(ctx, topics...)
}

// ReadRange implements [verify.Log].
func (s spliced) ReadRange(ctx context.Context, at eventlog.Partition, from, to int64, fn func(eventlog.Record) error) error {
	ends, err := s.backup.Ends(ctx, at.Topic)
	if err != nil {
		return err
	}
	if err := s.backup.ReadRange(ctx, at, from, to, fn); err != nil {
		return err
	}
	return s.log.ReadRange(ctx, at, max(from, ends[at].End), to, fn)
}

var _ verify.Log = spliced{}

// restoreCommand brings a backup back.
type restoreCommand struct {
	passphrase
	Source      string   `arg:"" help:"Folder, or s3://bucket/prefix[?endpoint=https://host]."`
	At          string   `help:"Id of the backup; default is the newest." placeholder:"ID"`
	SinceLive   []string `help:"Brokers of the log that the backup was taken of, if it is still there: what was removed, forgotten and revoked since holds here, too." placeholder:"HOST:PORT"`
	SecretKeyTo string   `help:"Write the secret key that the backup holds to this file, which must not exist." placeholder:"FILE"`
	Output      string   `help:"Format: json or table." enum:"json,table" default:"table"`
}

// Help implements kong's detailed help.
func (c *restoreCommand) Help() string {
	return `Brings a backup back into an empty log and an empty database: embedded ones on a new data folder,
or engines of your own. Nothing else of Muster may run on them meanwhile. Records get the offsets
they had, so that positions go on naming the same facts. Read models are built from the log when
Muster is started afterwards. A restore that was interrupted goes on when it is called again.

Examples:
  MUSTER_DATA_DIR=/srv/muster-new muster restore /srv/backup/muster
  muster restore /srv/backup/muster --since-live old-broker:9092`
}

// Run implements the subcommand.
func (c *restoreCommand) Run(ctx context.Context, env *environment) error {
	at, err := openPlace(c.Source)
	if err != nil {
		return err
	}
	b, err := backup.Open(ctx, at, c.At)
	if err != nil {
		return err
	}
	chain := b.Manifests()
	m := chain[len(chain)-1]
	for _, t := range m.Topics {
		if t.Partitions != env.settings.KafkaPartitions {
			return event.Errorf(event.CodeInvalid, "topic %s of the backup has %d partitions and Muster is set up for %d: set MUSTER_KAFKA_PARTITIONS=%d, here and for Muster afterwards", t.Name, t.Partitions, env.settings.KafkaPartitions, t.Partitions)
		}
	}
	if err := c.secretKey(ctx, b); err != nil {
		return err
	}
	engines, err := engine.Open(ctx, engine.Config{
		DataDir: env.settings.DataDir, External: env.settings.external(), KafkaPartitions: int(env.settings.KafkaPartitions), Logger: env.logger,
	})
	if err != nil {
		return err
	}
	report, err := c.restore(ctx, env, engines.Addresses(), b)
	if stopErr := engines.Stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	return c.print(env, m, report)
}

// secretKey writes the key before anything else, so that a wrong passphrase is
// known at once.
func (c *restoreCommand) secretKey(ctx context.Context, b *backup.Backup) error {
	if c.SecretKeyTo == "" {
		return nil
	}
	phrase, err := c.read()
	if err != nil {
		return err
	}
	key, err := b.SecretKey(ctx, phrase)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.SecretKeyTo); !errors.Is(err, fs.ErrNotExist) {
		if have, readErr := os.ReadFile(c.SecretKeyTo); readErr == nil && string(bytes.TrimSpace(have)) == base64.StdEncoding.EncodeToString(key) {
			return nil // a restore that goes on
		}
		return event.Errorf(event.CodeConflict, "%s exists: name a file that does not", c.SecretKeyTo)
	}
	return writeSecret(c.SecretKeyTo, base64.StdEncoding.EncodeToString(key))
}

func (c *restoreCommand) restore(ctx context.Context, env *environment, at engine.Addresses, b *backup.Backup) (backup.RestoreReport, error) {
	s, err := env.openStores(ctx, at)
	if err != nil {
		return backup.RestoreReport{}, err
	}
	defer s.Close()
	if err := env.migrateAll(ctx, s); err != nil {
		return backup.RestoreReport{}, err
	}
	target, err := eventlog.NewRestorer(ctx, eventlog.RestorerConfig{Brokers: at.KafkaBrokers, Security: s.security, Logger: env.logger}, append(event.Topics(), event.TopicPoison)...)
	if err != nil {
		return backup.RestoreReport{}, err
	}
	defer target.Close()
	config := backup.RestoreConfig{
		Target: target, Log: s.reader, Pool: s.pool, Tables: backedUp(), Copies: event.TopicPoison, Forgets: forgets,
		Again: holdsAgain, Apply: func(ctx context.Context, tx pgx.Tx, rec eventlog.Record) error {
			return applyAgain(ctx, tx, s.registry, rec)
		},
	}
	if len(c.SinceLive) > 0 {
		live, err := eventlog.NewReader(eventlog.ReaderConfig{Brokers: c.SinceLive, Security: s.security, Logger: env.logger})
		if err != nil {
			return backup.RestoreReport{}, err
		}
		defer live.Close()
		config.Since = live
	}
	bar := newProgress(env.stderr, env.logger, "restore")
	defer bar.end()
	config.Progress = bar.set
	return b.Restore(ctx, config)
}

// holdsAgain tells which decisions made since a backup must not come undone.
func holdsAgain(rec eventlog.Record) bool {
	e, err := rec.Event()
	return err == nil && (e.Type == eve.TypeCharacterForgotten || e.Type == access.TypeTokenRevoked)
}

// applyAgain does to the tables what such a decision did.
func applyAgain(ctx context.Context, tx pgx.Tx, registry *event.Registry, rec eventlog.Record) error {
	e, err := rec.Recorded()
	if err != nil {
		return err
	}
	p, err := registry.Decode(e.Event)
	if err != nil {
		return err
	}
	// Versions are not given twice.
	if e.Version > 0 {
		_, err := tx.Exec(ctx, `INSERT INTO command.stream_heads (stream, version) VALUES ($1, $2)
			ON CONFLICT (stream) DO UPDATE SET version = greatest(stream_heads.version, excluded.version)`, string(e.Stream), e.Version)
		if err != nil {
			return fmt.Errorf("raising the version of %s: %w", e.Stream, err)
		}
	}
	switch p := p.(type) {
	case eve.CharacterForgotten:
		_, destroyed := keyring.DestroyTx(ctx, tx, p.CharacterID)
		_, again := keyring.DestroyAgain(ctx, tx, p.CharacterID, p.KeyIDs)
		return errors.Join(destroyed, again, sso.DeleteTx(ctx, tx, p.CharacterID), esi.Forget(ctx, tx, p.CharacterID), notify.Forget(ctx, tx, p.CharacterID), universe.Forget(ctx, tx, p.CharacterID))
	case access.TokenRevoked:
		_, err := tx.Exec(ctx, `UPDATE ingest.api_token SET revoked_at = $2, revoked_by = $3 WHERE token_id = $1 AND revoked_at IS NULL`, p.TokenID, e.Time, e.Actor)
		if err != nil {
			return fmt.Errorf("revoking token %s again: %w", p.TokenID, err)
		}
		return nil
	default:
		return event.Errorf(event.CodeInternal, "BUG: %s is not done again", e.Type)
	}
}

func (c *restoreCommand) print(env *environment, m backup.Manifest, r backup.RestoreReport) error {
	if c.Output == "json" {
		return printJSON(env.stdout, r)
	}
	fmt.Fprintf(env.stdout, "restored backup %s, the state of %s: %d records written, %d offsets found, %d records left out as removed later; every record has the offset it had\n",
		r.ID, r.CutAt.Format(time.RFC3339), r.Records, r.Found, r.LeftOut)
	var rows int64
	for _, n := range r.Rows {
		rows += n
	}
	if r.TablesFound {
		fmt.Fprintln(env.stdout, "the tables were filled by an earlier call")
	} else {
		fmt.Fprintf(env.stdout, "%d rows in %d tables\n", rows, len(r.Rows))
	}
	if r.Since {
		fmt.Fprintf(env.stdout, "from the log that is still there: what was removed since is left out, %d decisions (forgotten characters, revoked tokens) hold again; %d other facts came since and are not here\n", r.Again, r.Lost)
	} else {
		fmt.Fprintf(env.stdout, "not known: what was removed, forgotten or revoked after %s. Characters forgotten since are here again and tokens revoked since are good again: forget and revoke them anew, or restore with --since-live\n", r.CutAt.Format(time.RFC3339))
	}
	c.printKey(env, m)
	fmt.Fprintln(env.stdout, "logins that EVE has renewed since the backup are no longer good: their owners register again. People sign in again. The next reading of each section and the next sweep are in full. Read models are built when Muster starts; `muster verify` then compares")
	return nil
}

func (c *restoreCommand) printKey(env *environment, m backup.Manifest) {
	if m.SecretKey == nil {
		return
	}
	key, err := env.settings.secretKey(false)
	switch {
	case c.SecretKeyTo != "":
		fmt.Fprintf(env.stdout, "the secret key is in %s: give it to Muster by MUSTER_SECRET_KEY_FILE\n", c.SecretKeyTo)
	case err != nil:
		fmt.Fprintf(env.stdout, "sealed logins and personal texts need the secret key with fingerprint %s: put it in place before Muster starts, or it makes another one\n", m.SecretKey.Fingerprint)
	case backup.Fingerprint(key) != m.SecretKey.Fingerprint:
		fmt.Fprintf(env.stdout, "the configured secret key has fingerprint %s, but logins and personal texts were sealed with %s: neither can be used without it\n", backup.Fingerprint(key), m.SecretKey.Fingerprint)
	}
}
