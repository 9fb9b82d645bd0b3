package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// lookedAt is a look at data of others, and the stream that it was told in.
type lookedAt struct {
	stream event.Stream
	access.DataViewed
}

func (l lookedAt) text() string {
	return fmt.Sprintln(l.ViewerID, l.ViewerUserID, l.OwnerID, l.CharacterID, l.Section, l.Way, linkText(l.LinkID), momentText(&l.FirstAt), momentText(&l.LastAt), l.Count, l.Rows)
}

func linkText(id *uuid.UUID) string {
	if id == nil {
		return "none"
	}
	return id.String()
}

// momentText is a moment as Postgres keeps it.
func momentText(t *time.Time) string {
	if t == nil {
		return "none"
	}
	return t.UTC().Round(time.Microsecond).Format(time.RFC3339Nano)
}

// lookRows compares looks at data of others. Those from before a character was
// forgotten are gone.
func (c characterRows) lookRows(ctx context.Context) error {
	log, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for id, l := range c.looks {
		if forgotten, is := c.forgotten[l.CharacterID]; !is || l.LastAt.After(forgotten) {
			log[id] = true
		}
	}
	var id uuid.UUID
	var l lookedAt
	err := c.each(ctx, `SELECT event_id, viewer_id, viewer_user_id, owner_id, character_id, section, way, link_id, first_at, last_at, count, rows FROM {schema}.looks WHERE log_partition = $1`,
		[]any{&id, &l.ViewerID, &l.ViewerUserID, &l.OwnerID, &l.CharacterID, &l.Section, &l.Way, &l.LinkID, &l.FirstAt, &l.LastAt, &l.Count, &l.Rows}, func() {
			stream := l.Stream()
			if !c.wanted(stream) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			want := "missing"
			if log[id] {
				want = c.looks[id].text()
			}
			c.report.same(c.Projection(), stream, "look "+id.String(), want, l.text())
		})
	missing(c, "look", log, seen, func(id uuid.UUID) event.Stream { return c.looks[id].stream })
	return err
}

// linkRows compares the links that were neither revoked nor ended with an ownership.
func (c characterRows) linkRows(ctx context.Context) error {
	text := func(l eve.LinkIssued) string {
		names := make([]string, len(l.Sections))
		for i, s := range l.Sections {
			names[i] = string(s)
		}
		return fmt.Sprintln(l.CharacterID, l.UserID, l.SecretHash, strings.Join(names, ","), l.Note, momentText(&l.ExpiresAt))
	}
	log, seen, links := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}, map[uuid.UUID]eve.LinkIssued{}
	for _, id := range c.model.IDs() {
		for link, l := range c.model.Character(id).Links {
			log[link], links[link] = true, l
		}
	}
	var id uuid.UUID
	var l eve.LinkIssued
	var sections string
	err := c.each(ctx, `SELECT l.link_id, l.character_id, l.user_id, l.secret_hash, array_to_string(l.sections, ','), l.note, l.expires_at
		FROM {schema}.links l LEFT JOIN {schema}.departures d USING (character_id)
		WHERE l.log_partition = $1 AND NOT l.revoked AND l.log_offset > coalesce(d.log_offset, -1)`,
		[]any{&id, &l.CharacterID, &l.UserID, &l.SecretHash, &sections, &l.Note, &l.ExpiresAt}, func() {
			stream := event.Character(l.CharacterID)
			if !c.wanted(stream) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			l.Sections = nil
			for name := range strings.SplitSeq(sections, ",") {
				if name != "" {
					l.Sections = append(l.Sections, eve.Section(name))
				}
			}
			c.report.same(c.Projection(), stream, "link "+id.String(), text(links[id]), text(l))
		})
	missing(c, "link", log, seen, func(id uuid.UUID) event.Stream { return event.Character(links[id].CharacterID) })
	return err
}
