package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/muster-sync/muster/domain/event"
)

// grantOf is a role that a user was granted.
type grantOf struct {
	user string
	role uuid.UUID
}

// memberOf is a compliance group that a user is in.
type memberOf struct {
	user  string
	group uuid.UUID
}

// roleRows compares roles. Those that were removed have rows that show nothing.
func (c characterRows) roleRows(ctx context.Context) error {
	var (
		id                            uuid.UUID
		name, description             string
		permissions, states, sections string
		groups                        string
	)
	log, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for id := range c.roles.ByID {
		log[id] = true
	}
	err := c.each(ctx, `SELECT role_id, name, description, array_to_string(permissions, ','), array_to_string(states, ','), array_to_string(groups, ','), array_to_string(sections, ',')
		FROM {schema}.role_definitions WHERE log_partition = $1 AND NOT removed`,
		[]any{&id, &name, &description, &permissions, &states, &groups, &sections}, func() {
			if !c.wanted(event.Roles) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			r := c.roles.ByID[id]
			c.report.same(c.Projection(), event.Roles, "role "+id.String(),
				fmt.Sprintln(r.Name, r.Description, strings.Join(r.Permissions, ","), strings.Join(r.States, ","), strings.Join(r.Groups, ","), strings.Join(r.Sections, ",")),
				fmt.Sprintln(name, description, permissions, states, groups, sections))
		})
	missing(c, "role", log, seen, func(uuid.UUID) event.Stream { return event.Roles })
	return err
}

// grantRows compares which roles users were granted.
func (c characterRows) grantRows(ctx context.Context) error {
	var (
		key     grantOf
		granted bool
	)
	log, seen := map[grantOf]bool{}, map[grantOf]bool{}
	for key := range c.granted {
		log[key] = true
	}
	stream := func(k grantOf) event.Stream { return event.User(k.user) }
	err := c.each(ctx, `SELECT user_id, role_id, granted FROM {schema}.role_grants WHERE log_partition = $1`,
		[]any{&key.user, &key.role, &granted}, func() {
			if !c.wanted(stream(key)) {
				return
			}
			seen[key] = true
			c.report.Rows[c.Projection()]++
			live, there := c.granted[key]
			c.report.same(c.Projection(), stream(key), "role "+key.role.String()+" granted", fmt.Sprint(live, there), fmt.Sprint(granted, true))
		})
	missing(c, "role that was granted", log, seen, stream)
	return err
}

// groupRows compares compliance groups. Those that were removed have rows that show
// nothing.
func (c characterRows) groupRows(ctx context.Context) error {
	var (
		id                        uuid.UUID
		name, description, states string
	)
	log, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for id := range c.groups.ByID {
		log[id] = true
	}
	err := c.each(ctx, `SELECT group_id, name, description, array_to_string(states, ',') FROM {schema}.compliance_groups WHERE log_partition = $1 AND NOT removed`,
		[]any{&id, &name, &description, &states}, func() {
			if !c.wanted(event.Roles) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			g := c.groups.ByID[id]
			c.report.same(c.Projection(), event.Roles, "compliance group "+id.String(), fmt.Sprintln(g.Name, g.Description, strings.Join(g.States, ",")), fmt.Sprintln(name, description, states))
		})
	missing(c, "compliance group", log, seen, func(uuid.UUID) event.Stream { return event.Roles })
	return err
}

// memberRows compares who is in which compliance group.
func (c characterRows) memberRows(ctx context.Context) error {
	var (
		key    memberOf
		member bool
	)
	log, seen := map[memberOf]bool{}, map[memberOf]bool{}
	for key := range c.members {
		log[key] = true
	}
	stream := func(k memberOf) event.Stream { return event.User(k.user) }
	err := c.each(ctx, `SELECT user_id, group_id, member FROM {schema}.compliance_memberships WHERE log_partition = $1`,
		[]any{&key.user, &key.group, &member}, func() {
			if !c.wanted(stream(key)) {
				return
			}
			seen[key] = true
			c.report.Rows[c.Projection()]++
			live, there := c.members[key]
			c.report.same(c.Projection(), stream(key), "in compliance group "+key.group.String(), fmt.Sprint(live, there), fmt.Sprint(member, true))
		})
	missing(c, "membership in a compliance group", log, seen, stream)
	return err
}
