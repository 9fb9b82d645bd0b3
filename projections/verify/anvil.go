package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/eventlog"
	"github.com/muster-sync/muster/projections/runner"
)

// Load reads the state of a consortium from a generation of the AnVIL
// projection.
type Load func(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, registry *event.Registry, stream event.Stream) (*anvil.State, error)

// AnVIL is the oracle of the projection of consortia: it compares the state
// folded from the stream with the state loaded from the rows.
type AnVIL struct {
	pool     *pgxpool.Pool
	registry *event.Registry
	load     Load
	states   map[event.Stream]*anvil.State
}

// NewAnVIL is an oracle for the rows behind pool, read by load.
func NewAnVIL(pool *pgxpool.Pool, registry *event.Registry, load Load) *AnVIL {
	return &AnVIL{pool: pool, registry: registry, load: load}
}

// Projection implements [Oracle].
func (o *AnVIL) Projection() string { return "anvil" }

// Topics implements [Oracle].
func (o *AnVIL) Topics() []string { return []string{event.TopicAnVIL} }

// Begin implements [Oracle].
func (o *AnVIL) Begin() { o.states = map[event.Stream]*anvil.State{} }

// Apply implements [Oracle].
func (o *AnVIL) Apply(e event.Recorded, p event.Payload) error {
	state := o.states[e.Stream]
	if state == nil {
		state = anvil.NewState(e.Stream)
		o.states[e.Stream] = state
	}
	return state.Apply(e.Event, p)
}

// Compare implements [Oracle].
func (o *AnVIL) Compare(ctx context.Context, g runner.Generation, _ eventlog.Partition, _ func(event.Stream) bool, r *Report) error {
	for stream, want := range o.states {
		live, err := o.load(ctx, o.pool, g, o.registry, stream)
		if err != nil {
			return err
		}
		if err := o.compare(r, stream, want, live); err != nil {
			return err
		}
	}
	return nil
}

func (o *AnVIL) compare(r *Report, stream event.Stream, want, live *anvil.State) error {
	wantSweep, _ := want.LastSweep()
	liveSweep, _ := live.LastSweep()
	parts := []struct {
		name      string
		log, live any
	}{
		{"declared", inOrder(want.Declared()), inOrder(live.Declared())},
		{"observed", want.Observed(), live.Observed()},
		{"open findings", want.OpenFindings(), live.OpenFindings()},
		{"last sweep", wantSweep, liveSweep},
	}
	for _, p := range parts {
		a, err := json.Marshal(p.log)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", p.name, err)
		}
		b, err := json.Marshal(p.live)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", p.name, err)
		}
		r.Rows[o.Projection()]++
		r.same(o.Projection(), stream, p.name, string(a), string(b))
	}
	return nil
}

// inOrder sorts the declared lists: the rows keep no order of declaration.
func inOrder(d anvil.Declared) map[string][]string {
	lists := map[string][]string{"service_account": {d.ServiceAccount}}
	add := func(name string, n int, record func(int) any) {
		for i := range n {
			text, err := json.Marshal(record(i))
			if err != nil {
				panic("BUG: a declared record is no JSON: " + err.Error())
			}
			lists[name] = append(lists[name], string(text))
		}
		slices.Sort(lists[name])
	}
	add("billing_projects", len(d.BillingProjects), func(i int) any { return d.BillingProjects[i] })
	add("accounts", len(d.Accounts), func(i int) any { return d.Accounts[i] })
	add("managed_groups", len(d.ManagedGroups), func(i int) any { return d.ManagedGroups[i] })
	add("group_group_memberships", len(d.GroupGroupMemberships), func(i int) any { return d.GroupGroupMemberships[i] })
	add("group_account_memberships", len(d.GroupAccountMemberships), func(i int) any { return d.GroupAccountMemberships[i] })
	add("workspaces", len(d.Workspaces), func(i int) any { return d.Workspaces[i] })
	add("workspace_group_sharing", len(d.WorkspaceGroupSharing), func(i int) any { return d.WorkspaceGroupSharing[i] })
	add("ignored_group_memberships", len(d.IgnoredGroupMemberships), func(i int) any { return d.IgnoredGroupMemberships[i] })
	add("ignored_workspace_sharing", len(d.IgnoredWorkspaceSharing), func(i int) any { return d.IgnoredWorkspaceSharing[i] })
	return lists
}
