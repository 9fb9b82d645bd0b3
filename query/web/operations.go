package web

import "net/url"

// registerOperations adds the pages about how Muster itself fares, and who uses it.
func (s *Site) registerOperations() {
	s.router.Get("/users", s.page(s.users))
}

// operationsPlaces are those of the navigation.
func operationsPlaces() []place {
	return []place{{"nav.users", "/users", "users.read"}}
}

// users lists who uses Muster.
func (s *Site) users(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "users", Path: "/v1/users",
		Filters: []filter{{Name: "name"}, {Name: "state"}, {Name: "role"}, {Name: "active", Options: yesNo}, {Name: "superuser", Options: yesNo}},
		Columns: []column{
			{Name: "user", Field: "user_id", Href: func(r row) string { return "/users/" + url.PathEscape(r.Text("user_id")) }},
			{Name: "main", Field: "main_name", Else: "main_id", Href: toCharacter("main_id")}, {Name: "state", Field: "state"},
			{Name: "active", Field: "active", Kind: kindBool}, {Name: "superuser", Field: "superuser", Kind: kindBool}, {Name: "roles", Field: "roles", Kind: kindWords},
		},
	})
	if err != nil {
		return err
	}
	return v.show("list", v.T("users.title"), listPage{Table: t})
}
