package esi

import (
	"fmt"
	"slices"
	"time"

	"github.com/muster-sync/muster/internal/simulate/statefile"
)

// routeKillmail is the name of the route of a killmail's details.
const routeKillmail = "killmail"

// loadCharacter takes over one line about a character, or about a killmail.
func (s *Simulator) loadCharacter(r record) error {
	if r.Detail == routeKillmail {
		s.killmails[r.ID] = struct{}{}
		return nil
	}
	c := s.character(r.Character)
	if c == nil {
		return fmt.Errorf("there is no character %d in this world", r.Character)
	}
	c.transfers = max(c.transfers, r.Transfers)
	c.revoked = c.revoked || r.Revoked
	if r.Logins != nil {
		c.logins = c.logins[:0]
		for _, l := range r.Logins {
			c.logins = append(c.logins, login{scopes: l.Scopes, refresh: l.Refresh, ended: l.Ended})
		}
	}
	switch {
	case r.Detail != "":
		return s.loadDetail(c, r)
	case r.Names != nil:
		c.serveNames(r.Names, r.At)
	case r.Section != "":
		return loadSection(c, r)
	}
	return nil
}

func (s *Simulator) loadDetail(c *character, r record) error {
	i := slices.IndexFunc(s.routes, func(rt *route) bool { return rt.name == r.Detail })
	if i < 0 {
		return fmt.Errorf("there is no route %s", r.Detail)
	}
	c.serveDetail(s.routes[i].detail, r.ID, time.UnixMilli(r.At), 0)
	return nil
}

func loadSection(c *character, r record) error {
	i := slices.Index(sectionNames[:], r.Section)
	if i < 0 {
		return fmt.Errorf("there is no section %s", r.Section)
	}
	if r.Lo != nil && r.Hi != nil {
		c.journal, _ = c.journal.add(*r.Lo, *r.Hi)
		return nil
	}
	c.served[i] = max(c.served[i], r.At)
	if r.Records != nil {
		c.records[i] = unpack(r.Records)
	}
	return nil
}

func (s *Simulator) dumpCharacter(l *statefile.Log[record], id int64, c *character) error {
	var lines []record
	if len(c.logins) > 0 || c.revoked || c.transfers > 0 {
		lines = append(lines, c.loginLine(id))
	}
	for i, at := range c.served {
		if at != 0 {
			lines = append(lines, record{Character: id, Section: sectionNames[i], At: at, Records: pack(c.records[i])})
		}
	}
	for _, x := range c.journal {
		lines = append(lines, record{Character: id, Section: sectionNames[sectionJournal], Lo: &x.lo, Hi: &x.hi})
	}
	for _, d := range c.details {
		lines = append(lines, record{Character: id, Detail: s.detailRoute(d.kind()), ID: d.id(), At: d.world().UnixMilli()})
	}
	byTime := map[int64][]int64{}
	for _, n := range c.names {
		byTime[n.world] = append(byTime[n.world], n.item)
	}
	for world, items := range byTime {
		lines = append(lines, record{Character: id, Names: items, At: world})
	}
	for _, line := range lines {
		if err := l.Append(line); err != nil {
			return err
		}
	}
	return nil
}

// detailRoute is the name of the route of a kind of details.
func (s *Simulator) detailRoute(k detailKind) string {
	i := slices.IndexFunc(s.routes, func(rt *route) bool { return rt.detail == k })
	return s.routes[i].name
}

// loginLine is what has to be remembered of a character's logins.
func (c *character) loginLine(id int64) record {
	r := record{Character: id, Revoked: c.revoked, Transfers: c.transfers}
	for _, l := range c.logins {
		r.Logins = append(r.Logins, loginRecord{Scopes: l.scopes, Refresh: l.refresh, Ended: l.ended})
	}
	return r
}
