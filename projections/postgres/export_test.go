package postgres

// What the readers ask, for tests of how Postgres answers.
var (
	FinderSQL                   = finderSQL
	CharactersSQL               = charactersSQL
	SearchSQL                   = searchSQL
	SearchRecordsSQL            = searchRecordsSQL
	ComplianceOfUsersSQL        = complianceOfUsersSQL
	ComplianceOfCorporationsSQL = complianceOfCorporationsSQL
)
