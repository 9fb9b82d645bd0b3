package postgres

// What the readers ask, for tests of how Postgres answers.
var (
	FinderSQL                   = finderSQL
	CharactersSQL               = charactersSQL
	ComplianceOfUsersSQL        = complianceOfUsersSQL
	ComplianceOfCorporationsSQL = complianceOfCorporationsSQL
)
