package postgres

import (
	"context"

	"github.com/muster-sync/muster/domain/eve"
)

// What the readers ask, for tests of how Postgres answers.
var (
	FinderSQL                   = finderSQL
	CharactersSQL               = charactersSQL
	SearchSQL                   = searchSQL
	SubjectSQL                  = subjectSQL
	SearchRecordsSQL            = searchRecordsSQL
	ComplianceOfUsersSQL        = complianceOfUsersSQL
	ComplianceOfCorporationsSQL = complianceOfCorporationsSQL
)

// StateSQL is what is asked for the state of one section.
func (r *CharacterReader) StateSQL(ctx context.Context, schema string, name eve.Section) (string, error) {
	sql, _, _, err := r.stateSQL(ctx, schema, name)
	return sql, err
}
