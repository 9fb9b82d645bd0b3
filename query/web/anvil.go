package web

// registerAnvil adds the pages about consortia.
func (s *Site) registerAnvil() {
	s.router.Get("/findings", s.page(s.findings))
}

// anvilPlaces are those of the navigation.
func anvilPlaces() []place {
	return []place{{"nav.findings", "/findings", "anvil.read"}}
}

// findings lists where what is declared and what was observed differ, in all consortia.
func (s *Site) findings(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "findings", Path: "/v1/findings",
		Filters: []filter{
			{Name: "state", Options: words("open", "resolved", "all")}, {Name: "model", Options: words("billing_projects", "accounts", "managed_groups", "workspaces")},
			{Name: "severity", Options: words("low", "medium", "high")}, {Name: "accepted", Options: yesNo},
		},
		Columns: []column{
			{Name: "opened_at", Field: "opened_at", Kind: kindTime}, {Name: "consortium", Field: "consortium"}, {Name: "model", Field: "model", Kind: kindWord}, {Name: "record", Field: "record"},
			{Name: "kind", Field: "kind"}, {Name: "severity", Field: "severity", Kind: kindBadge}, {Name: "state", Field: "state", Kind: kindBadge},
			{Name: "expected", Field: "expected"}, {Name: "observed", Field: "observed"},
		},
	})
	if err != nil {
		return err
	}
	return v.show("list", v.T("findings.title"), listPage{Table: t})
}
