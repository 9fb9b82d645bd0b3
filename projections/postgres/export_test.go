package postgres

// FinderSQL and CharactersSQL are what the readers ask, for tests of how Postgres
// answers.
var (
	FinderSQL     = finderSQL
	CharactersSQL = charactersSQL
)
