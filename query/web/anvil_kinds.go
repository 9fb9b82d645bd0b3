package web

import (
	"strings"
)

// recordField is a field of a declared record, and of the form for one.
type recordField struct {
	// Field is its name in the declaration.
	Field string
	// Kind is how one fills it in: text, choice, yes, list or until.
	Kind    string
	Choices []string
	// Among is the list of the declaration whose records can be named here.
	Among string
	// Key: the record is named by it.
	Key bool
	// Optional: it may be left out.
	Optional bool
	// Default is what is in the form for a new record.
	Default string
}

// recordKind is a kind of declared records.
type recordKind struct {
	// List is the field of the declaration that has them.
	List   string
	Fields []recordField
	// Name is what one calls a record.
	Name func(row) string
}

// recordKinds are all kinds of declared records, in the order in which one thinks of them.
func recordKinds() []recordKind {
	pair := func(a, b string) func(row) string { return func(r row) string { return r.Text(a) + " / " + r.Text(b) } }
	field := func(name string) func(row) string { return func(r row) string { return r.Text(name) } }
	role := recordField{Field: "role", Kind: "choice", Choices: []string{"MEMBER", "ADMIN"}, Default: "MEMBER"}
	note := recordField{Field: "note", Kind: "text"}
	until := recordField{Field: "expires_at", Kind: "until", Optional: true}
	return []recordKind{
		{List: "accounts", Name: field("email"), Fields: []recordField{
			{Field: "email", Kind: "text", Key: true},
			{Field: "is_service_account", Kind: "yes"},
			{Field: "status", Kind: "choice", Choices: []string{"active", "inactive"}, Default: "active"},
		}},
		{List: "managed_groups", Name: field("name"), Fields: []recordField{
			{Field: "name", Kind: "text", Key: true}, {Field: "email", Kind: "text"}, {Field: "is_managed_by_app", Kind: "yes", Default: "true"},
		}},
		{List: "group_account_memberships", Name: pair("group", "account"), Fields: []recordField{
			{Field: "group", Kind: "text", Among: "managed_groups", Key: true}, {Field: "account", Kind: "text", Among: "accounts", Key: true}, role,
		}},
		{List: "group_group_memberships", Name: pair("parent", "child"), Fields: []recordField{
			{Field: "parent", Kind: "text", Among: "managed_groups", Key: true}, {Field: "child", Kind: "text", Among: "managed_groups", Key: true}, role,
		}},
		{List: "workspaces", Name: func(r row) string { return r.Text("billing_project") + "/" + r.Text("name") }, Fields: []recordField{
			{Field: "billing_project", Kind: "text", Among: "billing_projects", Key: true},
			{Field: "name", Kind: "text", Key: true},
			{Field: "authorization_domains", Kind: "list", Among: "managed_groups", Optional: true},
			{Field: "is_locked", Kind: "yes"},
			{Field: "is_requester_pays", Kind: "yes"},
			{Field: "app_access", Kind: "choice", Choices: []string{"OWNER", "LIMITED", "NO_ACCESS"}, Default: "OWNER"},
		}},
		{List: "workspace_group_sharing", Name: pair("workspace", "group"), Fields: []recordField{
			{Field: "workspace", Kind: "text", Among: "workspaces", Key: true},
			{Field: "group", Kind: "text", Among: "managed_groups", Key: true},
			{Field: "access", Kind: "choice", Choices: []string{"READER", "WRITER", "OWNER"}, Default: "READER"},
			{Field: "can_compute", Kind: "yes"},
		}},
		{List: "billing_projects", Name: field("name"), Fields: []recordField{
			{Field: "name", Kind: "text", Key: true}, {Field: "has_app_as_user", Kind: "yes", Default: "true"},
		}},
		{List: "ignored_group_memberships", Name: pair("group", "email"), Fields: []recordField{
			{Field: "group", Kind: "text", Among: "managed_groups", Key: true},
			{Field: "email", Kind: "text", Key: true},
			note,
			{Field: "role", Kind: "choice", Choices: []string{"", "MEMBER", "ADMIN"}, Optional: true},
			until,
		}},
		{List: "ignored_workspace_sharing", Name: pair("workspace", "email"), Fields: []recordField{
			{Field: "workspace", Kind: "text", Among: "workspaces", Key: true},
			{Field: "email", Kind: "text", Key: true},
			note,
			{Field: "access", Kind: "choice", Choices: []string{"", "READER", "WRITER", "OWNER"}, Optional: true},
			until,
		}},
	}
}

// recordKindOf is the kind of a list of the declaration; false if there is none.
func recordKindOf(list string) (recordKind, bool) {
	for _, k := range recordKinds() {
		if k.List == list {
			return k, true
		}
	}
	return recordKind{}, false
}

// keys are the fields by which a record is named.
func (k recordKind) keys() []string {
	var keys []string
	for _, f := range k.Fields {
		if f.Key {
			keys = append(keys, f.Field)
		}
	}
	return keys
}

// is tells whether a record is the one that a form or an address names.
func (k recordKind) is(r row, value func(string) string) bool {
	for _, key := range k.keys() {
		if r.Text(key) != value(key) {
			return false
		}
	}
	return true
}

// matches tells whether a record has a text anywhere, in any case of letters.
func (k recordKind) matches(r row, text string) bool {
	text = strings.ToLower(text)
	if strings.Contains(strings.ToLower(strings.ReplaceAll(k.Name(r), " / ", "/")), text) {
		return true
	}
	for _, f := range k.Fields {
		values := append(r.Texts(f.Field), r.Text(f.Field))
		for _, value := range values {
			if strings.Contains(strings.ToLower(value), text) {
				return true
			}
		}
	}
	return false
}

// recordsIn are what the records of a list are called, to choose among.
func recordsIn(declared row, list string) []string {
	k, ok := recordKindOf(list)
	if !ok {
		return nil
	}
	var all []string
	for _, r := range declared.Rows(list) {
		all = append(all, k.Name(r))
	}
	return all
}

// fieldCell shows the value of a field.
func (v *visit) fieldCell(f recordField, r row) cell {
	switch f.Kind {
	case "choice":
		return cell{Text: v.Term(r.Text(f.Field))}
	case "yes":
		if r.Bool(f.Field) {
			return cell{Text: v.T("word.yes")}
		}
		return cell{Text: v.T("word.no")}
	case "list":
		return cell{Text: strings.Join(r.Texts(f.Field), ", ")}
	case "until":
		return cell{Text: v.Time(r.Text(f.Field)), Time: r.Text(f.Field), Class: "when"}
	default:
		return cell{Text: r.Text(f.Field)}
	}
}
