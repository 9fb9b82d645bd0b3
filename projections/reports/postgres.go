package reports

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/muster-sync/muster/domain/event"
)

// SQLSTATEs.
const (
	insufficientPrivilege = "42501"
	invalidDefinition     = "42P16"
)

func hasState(err error, state string) bool {
	refused, is := errors.AsType[*pgconn.PgError](err)
	return is && refused.Code == state
}

// makePostgresRole makes the schema, and the group role if Muster's user may. It tells
// whether the role is there.
func makePostgresRole(ctx context.Context, tx pgx.Tx, o Options) (bool, error) {
	schema, role := pgx.Identifier{o.Namespace}.Sanitize(), pgx.Identifier{o.Role}.Sanitize()
	if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
		return false, err
	}
	var there, more bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1),
		EXISTS (SELECT FROM pg_roles WHERE rolname = $1 AND (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls))`, o.Role).Scan(&there, &more); err != nil {
		return false, err
	}
	if more {
		return false, event.Errorf(event.CodeConflict, "role %q of Postgres may log in or do more than read: choose another name with --role, and give the login that role", o.Role)
	}
	if !there {
		err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
			_, err := inner.Exec(ctx, "CREATE ROLE "+role+" NOLOGIN")
			return err
		})
		if hasState(err, insufficientPrivilege) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	_, err := tx.Exec(ctx, "GRANT USAGE ON SCHEMA "+schema+" TO "+role)
	return err == nil, err
}

// createInPostgres makes a view in place of the one that is there. security_barrier
// keeps conditions of the reader from being asked before those of the view.
func createInPostgres(ctx context.Context, tx pgx.Tx, s Standing, view View, sql string) error {
	name := pgx.Identifier{s.Namespace, view.Name}.Sanitize()
	create := "CREATE OR REPLACE VIEW " + name + " WITH (security_barrier) AS\n" + sql
	err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		_, err := inner.Exec(ctx, create)
		return err
	})
	if hasState(err, invalidDefinition) {
		// Another version of Muster gave it other columns.
		if _, err := tx.Exec(ctx, "DROP VIEW "+name+" CASCADE"); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, create)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	comment := "'" + strings.ReplaceAll(view.Tells, "'", "''") + "'"
	if _, err := tx.Exec(ctx, "COMMENT ON VIEW "+name+" IS "+comment); err != nil {
		return err
	}
	if !s.PostgresRole {
		return nil
	}
	_, err = tx.Exec(ctx, "GRANT SELECT ON "+name+" TO "+pgx.Identifier{s.Role}.Sanitize())
	return err
}

// dropPostgresRole drops the role unless a login holds it. The role may have rights in
// other databases of the server, which are theirs to take: it stays then.
func dropPostgresRole(ctx context.Context, tx pgx.Tx, o Options) error {
	var held []string
	if err := tx.QueryRow(ctx, `SELECT coalesce(array_agg(m.rolname::text ORDER BY m.rolname), '{}') FROM pg_auth_members a
		JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member WHERE r.rolname = $1 AND m.rolcanlogin AND m.rolname <> current_user`, o.Role).Scan(&held); err != nil {
		return err
	}
	if len(held) > 0 {
		return event.Errorf(event.CodeConflict, "%s hold the role %s of Postgres: take it from them first, with REVOKE %s FROM %s", strings.Join(held, ", "), o.Role, o.Role, strings.Join(held, ", "))
	}
	role := pgx.Identifier{o.Role}.Sanitize()
	if _, err := tx.Exec(ctx, fmt.Sprintf("REVOKE ALL ON ALL TABLES IN SCHEMA %[1]s FROM %[2]s; REVOKE ALL ON SCHEMA %[1]s FROM %[2]s", pgx.Identifier{o.Namespace}.Sanitize(), role)); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
		_, err := inner.Exec(ctx, "DROP ROLE IF EXISTS "+role)
		return err
	})
	const dependentObjects = "2BP01"
	if hasState(err, dependentObjects) || hasState(err, insufficientPrivilege) {
		return nil
	}
	return err
}
