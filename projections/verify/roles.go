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

// roleRows compares roles. Those that were removed have rows that show nothing.
func (c characterRows) roleRows(ctx context.Context) error {
	var (
		id                            uuid.UUID
		name, description             string
		permissions, states, sections string
	)
	log, seen := map[uuid.UUID]bool{}, map[uuid.UUID]bool{}
	for id := range c.roles.ByID {
		log[id] = true
	}
	err := c.each(ctx, `SELECT role_id, name, description, array_to_string(permissions, ','), array_to_string(states, ','), array_to_string(sections, ',')
		FROM {schema}.role_definitions WHERE log_partition = $1 AND NOT removed`,
		[]any{&id, &name, &description, &permissions, &states, &sections}, func() {
			if !c.wanted(event.Roles) {
				return
			}
			seen[id] = true
			c.report.Rows[c.Projection()]++
			r := c.roles.ByID[id]
			c.report.same(c.Projection(), event.Roles, "role "+id.String(),
				fmt.Sprintln(r.Name, r.Description, strings.Join(r.Permissions, ","), strings.Join(r.States, ","), strings.Join(r.Sections, ",")),
				fmt.Sprintln(name, description, permissions, states, sections))
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
