package allianceauth

import "fmt"

// column is one that is read of a table. Others of the table are not looked at, so
// that tables of other versions can be read.
type column struct {
	// name is the column's in the database.
	name string
	// field is the name in Django's JSON; empty if it is the same.
	field string
	// optional tells that not all versions have it.
	optional bool
}

// list is a relation of many to many: a table of pairs in the database, a list of ids
// in Django's JSON.
type list struct {
	field, table string
	// from is the column of the record that has the list, to that of the listed ones.
	from, to string
}

// source is a table, and what is done with its rows.
type source struct {
	table string
	// model is the table's name in Django's JSON; empty for the pairs of a relation,
	// which are lists there.
	model   string
	columns []column
	lists   []list
	take    func(*tables, row) error
}

const idColumn = "id"

func plain(names ...string) []column {
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = column{name: name}
	}
	return columns
}

// sources are all tables that are read, of every version.
func sources() []source {
	return append(organisationSources(), append(skillSources(), tokenSources()...)...)
}

// The names of the tables that are named in more than one place.
const (
	tableUser, tableProfile, tableState         = "auth_user", "authentication_userprofile", "authentication_state"
	tableOwnership, tableEveCharacter           = "authentication_characterownership", "eveonline_evecharacter"
	tablePermission, tableContentType           = "auth_permission", "django_content_type"
	tableUserGroups, tableUserPermissions       = "auth_user_groups", "auth_user_user_permissions"
	tableGroup, tableGroupPermissions           = "auth_group", "auth_group_permissions"
	tableStatePermissions, tableMember          = "authentication_state_permissions", "memberaudit_character"
	tableSkillSet, tableSkillSetSkill           = "memberaudit_skillset", "memberaudit_skillsetskill"
	tableSkillSetGroup, tableSkillSetGroupPairs = "memberaudit_skillsetgroup", "memberaudit_skillsetgroup_skill_sets"
	tableDesignation                            = "memberaudit_compliancegroupdesignation"
	tableAuthGroup, tableGroupStates            = "groupmanagement_authgroup", "groupmanagement_authgroup_states"
	tableToken, tableScope, tableTokenScopes    = "esi_token", "esi_scope", "esi_token_scopes"
)

func organisationSources() []source {
	id := column{name: idColumn}
	return []source{
		{
			table: tableUser, model: "auth.user", columns: append(plain("username", "is_superuser", "is_active"), id), take: (*tables).takeUser,
			lists: []list{{"groups", tableUserGroups, "user_id", "group_id"}, {"user_permissions", tableUserPermissions, "user_id", "permission_id"}},
		},
		{table: tableUserGroups, columns: plain("user_id", "group_id"), take: pairs(func(t *tables) links { return t.userGroups })},
		{table: tableUserPermissions, columns: plain("user_id", "permission_id"), take: pairs(func(t *tables) links { return t.userPermissions })},
		{
			table: tableGroup, model: "auth.group", columns: []column{id, {name: "name", optional: true}}, take: (*tables).takeGroup,
			lists: []list{{"permissions", tableGroupPermissions, "group_id", "permission_id"}},
		},
		{
			// Of what Alliance Auth adds to a group only the states are taken that it is open
			// to.
			table: tableAuthGroup, model: "groupmanagement.authgroup", take: func(*tables, row) error { return nil },
			lists: []list{{"states", tableGroupStates, "authgroup_id", "state_id"}},
		},
		{table: tableGroupStates, columns: plain("authgroup_id", "state_id"), take: pairs(func(t *tables) links { return t.groupStates })},
		{
			table: tableDesignation, model: "memberaudit.compliancegroupdesignation", take: (*tables).takeDesignation,
			columns: []column{id, {name: "group_id", field: "group"}},
		},
		{table: tableGroupPermissions, columns: plain("group_id", "permission_id"), take: pairs(func(t *tables) links { return t.groupPermissions })},
		{
			table: tableState, model: "authentication.state", columns: append(plain("name"), id), take: (*tables).takeState,
			lists: []list{{"permissions", tableStatePermissions, "state_id", "permission_id"}},
		},
		{table: tableStatePermissions, columns: plain("state_id", "permission_id"), take: pairs(func(t *tables) links { return t.statePermissions })},
		{
			table: tablePermission, model: "auth.permission", take: (*tables).takePermission,
			columns: []column{id, {name: "codename"}, {name: "content_type_id", field: "content_type"}},
		},
		{table: tableContentType, model: "contenttypes.contenttype", columns: append(plain("app_label"), id), take: (*tables).takeContentType},
		{
			table: tableProfile, model: "authentication.userprofile", take: (*tables).takeProfile,
			columns: []column{id, {name: "user_id", field: "user"}, {name: "main_character_id", field: "main_character"}, {name: "state_id", field: "state"}},
		},
		{
			table: tableOwnership, model: "authentication.characterownership", take: (*tables).takeOwnership,
			columns: []column{id, {name: "character_id", field: "character"}, {name: "owner_hash"}, {name: "user_id", field: "user"}},
		},
		{
			table: tableEveCharacter, model: "eveonline.evecharacter", take: (*tables).takeEveCharacter,
			columns: append(plain("character_id", "character_name", "corporation_id", "alliance_id"), id),
		},
		{
			table: tableMember, model: "memberaudit.character", take: (*tables).takeMember,
			columns: []column{
				// Until 2.0 the ownership is the primary key, which Django's JSON has no field
				// for.
				{name: idColumn, optional: true},
				{name: "character_ownership_id", field: "character_ownership", optional: true},
				{name: "eve_character_id", field: "eve_character", optional: true},
				{name: "is_shared"},
				{name: "is_disabled", optional: true},
			},
		},
	}
}

func skillSources() []source {
	id := column{name: idColumn}
	return []source{
		{
			table: tableSkillSet, model: "memberaudit.skillset", take: (*tables).takeSkillSet,
			columns: []column{id, {name: "name"}, {name: "description"}, {name: "ship_type_id", field: "ship_type"}, {name: "is_visible"}},
		},
		{
			table: tableSkillSetSkill, model: "memberaudit.skillsetskill", take: (*tables).takeSkill,
			columns: []column{id, {name: "skill_set_id", field: "skill_set"}, {name: "eve_type_id", field: "eve_type"}, {name: "required_level"}, {name: "recommended_level"}},
		},
		{
			table: tableSkillSetGroup, model: "memberaudit.skillsetgroup", take: (*tables).takeSkillSetGroup,
			columns: append(plain("name", "description", "is_doctrine", "is_active"), id),
			lists:   []list{{"skill_sets", tableSkillSetGroupPairs, "skillsetgroup_id", "skillset_id"}},
		},
		{table: tableSkillSetGroupPairs, columns: plain("skillsetgroup_id", "skillset_id"), take: pairs(func(t *tables) links { return t.groupSets })},
	}
}

func tokenSources() []source {
	id := column{name: idColumn}
	return []source{
		{
			table: tableToken, model: "esi.token", take: (*tables).takeToken,
			columns: append(plain("character_id", "character_owner_hash", "refresh_token"), id),
			lists:   []list{{"scopes", tableTokenScopes, "token_id", "scope_id"}},
		},
		{table: tableScope, model: "esi.scope", columns: append(plain("name"), id), take: (*tables).takeScope},
		{table: tableTokenScopes, columns: plain("token_id", "scope_id"), take: pairs(func(t *tables) links { return t.tokenScopes })},
	}
}

// secret tells whether a table's values must not be repeated in what is reported.
func secret(table string) bool { return table == tableToken }

// howToDump says how to get a table: the model to give to Django, and the file
// otherwise.
func howToDump(s source) string {
	model := s.model
	if model == "" {
		for _, other := range sources() {
			for _, l := range other.lists {
				if l.table == s.table {
					model = other.model
				}
			}
		}
	}
	return fmt.Sprintf("%[1]s: `python manage.py dumpdata %[2]s -o %[1]s.json`, or in psql `\\copy %[1]s to '%[1]s.csv' csv header`, or `mysqldump --tab=DIR DATABASE %[1]s`", s.table, model)
}
