// Package reports keeps views of stable names over the live generations of the read
// models, for dashboards and other readers of SQL, and a role that may read these views
// and nothing else.
//
// Nothing is there until an administrator asks for it: [Views.Make] is called once, what
// he asked for is kept in Postgres, and from then on [Views.Follow] has the views read
// each generation that becomes live. The runner calls it at every switch.
//
// Who may read the views sees all of them, without the API's rules of who may see what.
// They therefore tell of corporations and consortia and not of people: sums and counts by
// corporation, ids of corporations, alliances, skill sets and sections, and their names.
// No view has names, addresses or ids of people or characters, texts, logins or tokens.
// A corporation with a single member is a person all the same: its sums are that
// person's. What each view gives is said where it is defined, and beside it in the
// database as its comment.
package reports
