package reports

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/muster-sync/muster/domain/event"
)

func quoteClickHouse(identifier string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(identifier) + "`"
}

func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// on is the clause that has a statement run on all servers.
func (v *Views) on() string {
	if !v.config.Cluster.Spread() {
		return ""
	}
	return " ON CLUSTER " + quoteClickHouse(v.config.Cluster.Name)
}

func (v *Views) freeInClickHouse(ctx context.Context, o Options) error {
	var tables uint64
	if err := v.config.ClickHouse.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = "+literal(o.Namespace)).Scan(&tables); err != nil {
		return fmt.Errorf("looking for the database %s of ClickHouse: %w", o.Namespace, err)
	}
	if tables > 0 {
		return event.Errorf(event.CodeConflict, "ClickHouse has a database %q with tables already: choose another name with --schema", o.Namespace)
	}
	return nil
}

// makeClickHouseRole makes the database, and the role if the server lets Muster's user.
// The embedded engine does not: it has one user, and nothing to grant. It tells whether
// the role is there.
func (v *Views) makeClickHouseRole(ctx context.Context, o Options) (bool, error) {
	if err := v.config.ClickHouse.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteClickHouse(o.Namespace)+v.on()); err != nil {
		return false, fmt.Errorf("making the database %s of ClickHouse: %w", o.Namespace, err)
	}
	role := quoteClickHouse(o.Role)
	for _, statement := range []string{
		"CREATE ROLE IF NOT EXISTS " + role + v.on(),
		"GRANT" + v.on() + " SELECT ON " + quoteClickHouse(o.Namespace) + ".* TO " + role,
	} {
		if err := v.config.ClickHouse.Exec(ctx, statement); err != nil {
			if forbidden(err) {
				return false, nil
			}
			return false, fmt.Errorf("making the role %s of ClickHouse: %w", o.Role, err)
		}
	}
	return true, nil
}

// forbidden tells whether ClickHouse lets the user keep no roles, or has nowhere to keep
// them.
func forbidden(err error) bool {
	const accessDenied, noStorage, readOnlyStorage = 497, 514, 495
	refused, is := errors.AsType[*clickhouse.Exception](err)
	if !is {
		return false
	}
	switch refused.Code {
	case accessDenied, noStorage, readOnlyStorage:
		return true
	default:
		return false
	}
}

// createInClickHouse makes a view in place of the one that is there. It reads with the
// rights of Muster's user, so that its readers need none on the tables behind it.
func (v *Views) createInClickHouse(ctx context.Context, s Standing, view View, sql string) error {
	return v.config.ClickHouse.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s%s DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n%s\nCOMMENT %s",
		quoteClickHouse(s.Namespace), quoteClickHouse(view.Name), v.on(), sql, literal(view.Tells)))
}

func (v *Views) dropClickHouse(ctx context.Context, s Standing) error {
	if s.ClickHouseRole {
		if err := v.config.ClickHouse.Exec(ctx, "DROP ROLE IF EXISTS "+quoteClickHouse(s.Role)+v.on()); err != nil {
			return fmt.Errorf("dropping the role %s of ClickHouse: %w", s.Role, err)
		}
	}
	if err := v.config.ClickHouse.Exec(ctx, "DROP DATABASE IF EXISTS "+quoteClickHouse(s.Namespace)+v.on()+" SYNC"); err != nil {
		return fmt.Errorf("dropping the database %s of ClickHouse: %w", s.Namespace, err)
	}
	return nil
}
