package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

//go:embed characters.sql
var charactersSchema string

// CharactersName is the name of the projection of users and characters.
const CharactersName = "characters"

// Characters is the projection of users and their roles, characters and their sections,
// and of skill sets, as they are now.
func Characters() runner.Projection {
	shape := newCharactersShape()
	return runner.Projection{
		Name:    CharactersName,
		Version: 7,
		Topics:  []string{event.TopicEVE, event.TopicAccess},

		Tombstones: true,
		Schema:     charactersSchema + sectionViews(),
		Tables: []runner.Table{
			{Name: "users", Key: "user_id"},
			{Name: "mains", Key: "user_id"},
			{Name: "role_definitions", Key: "role_id"},
			{Name: "role_grants", Key: "user_id, role_id"},
			{Name: "listings", Key: "user_id"},
			{Name: "listed", Key: "user_id, character_id"},
			{Name: "owners", Key: "character_id"},
			{Name: "registrations", Key: "character_id"},
			{Name: "sharings", Key: "character_id"},
			{Name: "links", Key: "link_id"},
			{Name: "departures", Key: "character_id"},
			{Name: "looks", Key: "event_id"},
			{Name: "forgettings", Key: "character_id"},
			{Name: "orphans", Key: "character_id"},
			{Name: "switches", Key: "character_id"},
			{Name: "identities", Key: "character_id"},
			{Name: "sections", Key: "character_id, section"},
			{Name: "items", Key: "character_id, section, list, key"},
			{Name: "changes", Key: "character_id, section, list, key"},
			{Name: "misfits", Key: "character_id, section"},
			{Name: "records", Key: "character_id, section, key"},
			{Name: "recorded", Key: "character_id, section"},
			{Name: "mailing_list_names", Key: "character_id, mailing_list_id"},
			{Name: "failures", Key: "character_id, section"},
			{Name: "skill_sets", Key: "skill_set_id"},
			{Name: "skill_set_skills", Key: "skill_set_id, type_id"},
			{Name: "skill_set_groups", Key: "skill_set_group_id"},
			{Name: "skill_set_memberships", Key: "skill_set_group_id, skill_set_id"},
		},
		Bare:     []event.Type{eve.TypeJournalRecorded},
		NewBatch: func() runner.Batch { return shape.empty() },
	}
}

type userRow struct {
	access.UserRegistered
	place
}

type mainRow struct {
	access.MainSet
	place
}

type sharingRow struct {
	id     int64
	shared bool
	userID string
	until  *time.Time
	place
}

type ownerRow struct {
	id           int64
	userID, hash string
	scopes       []string
	since        time.Time
	place
}

type registrationRow struct {
	id                    int64
	name                  string
	corporation, alliance int64
	place
}

// flagRow is a row of orphans or switches.
type flagRow struct {
	id     int64
	set    bool
	reason string
	since  time.Time
	place
}

type sectionKey struct {
	id      int64
	section eve.Section
}

// recordedRow tells when facts of a section were last told.
type recordedRow struct {
	sectionKey
	observedAt time.Time
	place
}

type listKey struct{ id, list int64 }

// listRow is the name of a mailing list.
type listRow struct {
	listKey
	name string
	place
}

type failureRow struct {
	sectionKey
	failing bool
	eve.SectionFailed
	place
}

// charactersBatch folds events of users and characters.
type charactersBatch struct {
	users         table[string, userRow]
	mains         table[string, mainRow]
	listings      listings
	owners        table[int64, ownerRow]
	registrations table[int64, registrationRow]
	sharings      table[int64, sharingRow]
	links         links
	looks         looks
	orphans       table[int64, flagRow]
	switches      table[int64, flagRow]
	identities    table[int64, registrationRow]
	sections      observations
	records       facts
	recorded      table[sectionKey, recordedRow]
	lists         table[listKey, listRow]
	failures      table[sectionKey, failureRow]
	skillSets     skillSets
	expired       expiries
	roles         roles
	// forgotten has, by character, the place of the event before which nothing
	// counts any more.
	forgotten map[int64]place
}

func newCharactersShape() *charactersBatch {
	byUser, byCharacter, bySection := []string{"user_id"}, []string{"character_id"}, []string{"character_id", "section"}
	flags := func(name, flag string) table[int64, flagRow] {
		return newTable[int64](name, byCharacter, func(r *flagRow) place { return r.place },
			col("character_id", "bigint[]", func(r *flagRow) int64 { return r.id }),
			col(flag, "boolean[]", func(r *flagRow) bool { return r.set }),
			col("reason", "text[]", func(r *flagRow) string { return r.reason }),
			col("since", "timestamptz[]", func(r *flagRow) time.Time { return r.since }))
	}
	identity := func(name string) table[int64, registrationRow] {
		return newTable[int64](name, byCharacter, func(r *registrationRow) place { return r.place },
			col("character_id", "bigint[]", func(r *registrationRow) int64 { return r.id }),
			col("name", "text[]", func(r *registrationRow) string { return r.name }),
			col("corporation_id", "bigint[]", func(r *registrationRow) int64 { return r.corporation }),
			col("alliance_id", "bigint[]", func(r *registrationRow) int64 { return r.alliance }))
	}
	return &charactersBatch{
		users: newTable[string]("users", byUser, func(r *userRow) place { return r.place },
			col("user_id", "text[]", func(r *userRow) string { return r.UserID }),
			col("name", "text[]", func(r *userRow) string { return r.Name }),
			col("superuser", "boolean[]", func(r *userRow) bool { return r.Superuser }),
			col("active", "boolean[]", func(r *userRow) bool { return r.Active }),
			col("state", "text[]", func(r *userRow) string { return r.State }),
			list("permissions", func(r *userRow) []string { return r.Permissions })),
		mains: newTable[string]("mains", byUser, func(r *mainRow) place { return r.place },
			col("user_id", "text[]", func(r *mainRow) string { return r.UserID }),
			col("character_id", "bigint[]", func(r *mainRow) *int64 { return r.CharacterID })),
		listings: newListings(),
		owners: newTable[int64]("owners", byCharacter, func(r *ownerRow) place { return r.place },
			col("character_id", "bigint[]", func(r *ownerRow) int64 { return r.id }),
			col("user_id", "text[]", func(r *ownerRow) string { return r.userID }),
			col("owner_hash", "text[]", func(r *ownerRow) string { return r.hash }),
			list("scopes", func(r *ownerRow) []string { return r.scopes }),
			col("since", "timestamptz[]", func(r *ownerRow) time.Time { return r.since })),
		registrations: identity("registrations"),
		identities:    identity("identities"),
		sharings: newTable[int64]("sharings", byCharacter, func(r *sharingRow) place { return r.place },
			col("character_id", "bigint[]", func(r *sharingRow) int64 { return r.id }),
			col("shared", "boolean[]", func(r *sharingRow) bool { return r.shared }),
			col("user_id", "text[]", func(r *sharingRow) string { return r.userID }),
			col("until", "timestamptz[]", func(r *sharingRow) *time.Time { return r.until })),
		links:    newLinks(),
		looks:    newLooks(),
		orphans:  flags("orphans", "orphaned"),
		switches: flags("switches", "disabled"),
		sections: newObservations(),
		recorded: newTable[sectionKey]("recorded", bySection, func(r *recordedRow) place { return r.place },
			col("character_id", "bigint[]", func(r *recordedRow) int64 { return r.id }),
			col("section", "text[]", func(r *recordedRow) string { return string(r.section) }),
			col("observed_at", "timestamptz[]", func(r *recordedRow) time.Time { return r.observedAt })),
		lists: newTable[listKey]("mailing_list_names", []string{"character_id", "mailing_list_id"}, func(r *listRow) place { return r.place },
			col("character_id", "bigint[]", func(r *listRow) int64 { return r.id }),
			col("mailing_list_id", "bigint[]", func(r *listRow) int64 { return r.list }),
			col("name", "text[]", func(r *listRow) string { return r.name })),
		failures: newTable[sectionKey]("failures", bySection, func(r *failureRow) place { return r.place },
			col("character_id", "bigint[]", func(r *failureRow) int64 { return r.id }),
			col("section", "text[]", func(r *failureRow) string { return string(r.section) }),
			col("failing", "boolean[]", func(r *failureRow) bool { return r.failing }),
			col("class", "text[]", func(r *failureRow) string { return string(r.Class) }),
			col("status", "integer[]", func(r *failureRow) int { return r.Status }),
			col("message", "text[]", func(r *failureRow) string { return r.Message }),
			col("since", "timestamptz[]", func(r *failureRow) time.Time { return r.Since })),
		skillSets: newSkillSets(),
		roles:     newRoles(),
	}
}

func (b *charactersBatch) empty() *charactersBatch {
	return &charactersBatch{
		users: b.users.empty(), mains: b.mains.empty(), listings: b.listings.empty(), sharings: b.sharings.empty(), links: b.links.empty(), looks: b.looks.empty(), owners: b.owners.empty(), registrations: b.registrations.empty(),
		orphans: b.orphans.empty(), switches: b.switches.empty(), identities: b.identities.empty(),
		sections: b.sections.empty(), records: newFacts(b.sections.shapes), recorded: b.recorded.empty(), lists: b.lists.empty(), failures: b.failures.empty(),
		skillSets: b.skillSets.empty(), roles: b.roles.empty(),
		forgotten: map[int64]place{},
	}
}

// Add implements [runner.Batch].
func (b *charactersBatch) Add(e runner.Event) error {
	at := placeOf(e)
	switch {
	case e.Expiry != nil:
		b.expire(e)
		return nil
	case e.Type == eve.TypeJournalRecorded:
		return b.readJournal(e)
	}
	switch p := e.Payload.(type) {
	case access.UserRegistered:
		b.users.put(p.UserID, userRow{p, at})
	case access.MainSet:
		b.mains.put(p.UserID, mainRow{p, at})
	case access.CharactersListed:
		b.listings.add(p, e.Time, at)
	case eve.CharacterRegistered:
		b.registrations.put(p.CharacterID, registrationRow{p.CharacterID, p.Name, p.CorporationID, p.AllianceID, at})
		b.own(p.CharacterID, p.UserID, p.OwnerHash, p.Scopes, e)
	case eve.CharacterReclaimed:
		b.own(p.CharacterID, p.UserID, p.OwnerHash, p.Scopes, e)
	case eve.CharacterOrphaned:
		b.orphans.put(p.CharacterID, flagRow{p.CharacterID, true, p.Reason, e.Time, at})
		b.sharings.put(p.CharacterID, sharingRow{p.CharacterID, false, "", nil, at})
		b.links.depart(p.CharacterID, at)
	case eve.CharacterShared:
		b.sharings.put(p.CharacterID, sharingRow{p.CharacterID, true, p.UserID, p.Until, at})
	case eve.CharacterUnshared:
		b.sharings.put(p.CharacterID, sharingRow{p.CharacterID, false, "", nil, at})
	case eve.LinkIssued:
		b.links.issue(p, e.Time, at)
	case eve.LinkRevoked:
		b.links.revoke(p, at)
	case access.DataViewed:
		b.looks.add(p, at)
	case eve.CharacterDisabled:
		b.switches.put(p.CharacterID, flagRow{p.CharacterID, true, p.Reason, e.Time, at})
	case eve.CharacterEnabled:
		b.switches.put(p.CharacterID, flagRow{p.CharacterID, false, p.Reason, e.Time, at})
	case eve.CharacterForgotten:
		b.forget(p.CharacterID, at)
		b.looks.forget(p.CharacterID, e.Time, at)
	case eve.SectionObserved:
		return b.observe(e, p)
	case eve.FactsEvent:
		return b.record(e, p.Content())
	case eve.JournalClosed:
		key := sectionKey{p.CharacterID, eve.SectionWalletJournal}
		b.recorded.put(key, recordedRow{key, p.ReadAt, at})
	case eve.SectionFailed:
		key := sectionKey{p.CharacterID, p.Section}
		b.failures.put(key, failureRow{key, true, p, at})
	case eve.SectionRecovered:
		key := sectionKey{p.CharacterID, p.Section}
		b.failures.put(key, failureRow{key, false, eve.SectionFailed{Since: p.Since}, at})
	default:
		if !b.roles.add(e) {
			b.skillSets.add(e)
		}
	}
	return nil
}

// readJournal notes that the journal was read: its entries lie in ClickHouse.
// The time of the event is when it was fetched.
func (b *charactersBatch) readJournal(e runner.Event) error {
	id, ok := e.Stream.CharacterID()
	if !ok {
		return event.Errorf(event.CodePoisoned, "%s lies in stream %q, which is no character's", e.Type, e.Stream)
	}
	key := sectionKey{id, eve.SectionWalletJournal}
	b.recorded.put(key, recordedRow{key, e.Time, placeOf(e)})
	return nil
}

func (b *charactersBatch) record(e runner.Event, f eve.Facts) error {
	at := placeOf(e)
	if err := b.records.add(f, at); err != nil {
		return err
	}
	key := sectionKey{f.CharacterID, f.Section}
	b.recorded.put(key, recordedRow{key, f.FetchedAt, at})
	return nil
}

// forget drops what was gathered of a character, and has all its rows deleted
// that came before.
func (b *charactersBatch) forget(id int64, at place) {
	of := func(key int64) bool { return key == id }
	ofSection := func(key sectionKey) bool { return key.id == id }
	b.owners.drop(of)
	b.registrations.drop(of)
	b.sharings.drop(of)
	b.links.drop(id)
	b.orphans.drop(of)
	b.switches.drop(of)
	b.identities.drop(of)
	b.sections.drop(ofSection)
	b.records.drop(ofSection)
	b.recorded.drop(ofSection)
	b.lists.drop(func(key listKey) bool { return key.id == id })
	b.failures.drop(ofSection)
	b.forgotten[id] = at
}

func (b *charactersBatch) own(id int64, userID, hash string, scopes []string, e runner.Event) {
	at := placeOf(e)
	b.owners.put(id, ownerRow{id, userID, hash, scopes, e.Time, at})
	b.orphans.put(id, flagRow{id, false, "", e.Time, at})
}

func (b *charactersBatch) observe(e runner.Event, p eve.SectionObserved) error {
	at := placeOf(e)
	if p.Section == eve.SectionDetails && p.Encoding == eve.EncodingFull {
		d, err := eve.DecodeDetails(p.Value)
		if err != nil {
			return err
		}
		b.identities.put(p.CharacterID, registrationRow{p.CharacterID, d.Name, d.CorporationID, d.AllianceID, at})
	}
	if err := b.sections.add(p, at); err != nil {
		return err
	}
	if p.Section == eve.SectionMails {
		for id, name := range eve.MailingLists(p.Value) {
			key := listKey{p.CharacterID, id}
			b.lists.put(key, listRow{key, name, at})
		}
	}
	return nil
}

// Write implements [runner.PostgresBatch].
func (b *charactersBatch) Write(ctx context.Context, tx pgx.Tx) error {
	if err := b.writeForgotten(ctx, tx); err != nil {
		return err
	}
	if err := b.skillSets.writeRemoved(ctx, tx); err != nil {
		return err
	}
	if err := b.expired.remove(ctx, tx); err != nil {
		return err
	}
	if err := b.records.load(ctx, tx); err != nil {
		return err
	}
	err := send(ctx, tx, &b.users, &b.mains, &b.listings, &b.owners, &b.registrations, &b.sharings, &b.links, &b.looks, &b.orphans, &b.switches, &b.identities,
		&b.sections, &b.records, &b.recorded, &b.lists, &b.failures, &b.skillSets, &b.roles)
	if err != nil {
		return err
	}
	return b.expired.settle(ctx, tx)
}

// writeForgotten deletes what came before characters were forgotten.
func (b *charactersBatch) writeForgotten(ctx context.Context, tx pgx.Tx) error {
	if len(b.forgotten) == 0 {
		return nil
	}
	ids, offsets := make([]int64, 0, len(b.forgotten)), make([]int64, 0, len(b.forgotten))
	for id, at := range b.forgotten {
		ids, offsets = append(ids, id), append(offsets, at.offset)
	}
	batch := &pgx.Batch{}
	for _, name := range []string{
		"owners", "registrations", "sharings", "links", "departures", "orphans", "switches", "identities", "sections", "items", "changes", "misfits", "records", "recorded", "mailing_list_names", "failures",
	} {
		batch.Queue("DELETE FROM "+name+` t USING unnest($1::bigint[], $2::bigint[]) AS f(character_id, log_offset)
			WHERE t.character_id = f.character_id AND t.log_offset < f.log_offset`, ids, offsets)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("deleting what was forgotten: %w", err)
	}
	return nil
}
