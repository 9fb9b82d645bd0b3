package web

// registerOrganisation adds the pages about the organisation: who has done what it asks for,
// what its characters can do, and figures over time.
func (s *Site) registerOrganisation() {
	s.router.Get("/compliance", s.page(s.complianceUsers))
}

// organisationPlaces are those of the navigation.
func organisationPlaces() []place {
	return []place{
		{"nav.compliance", "/compliance", "reports.read"},
	}
}

// complianceUsers reports on users and their characters.
func (s *Site) complianceUsers(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	t, _, err := v.list(list{
		ID: "compliance-users", Path: "/v1/reports/compliance/users",
		Filters: []filter{{Name: "state"}, {Name: "registered", Options: yesNo}, {Name: "compliant", Options: yesNo}},
		Columns: []column{
			{Name: "user", Field: "main_name", Else: "user_id"}, {Name: "state", Field: "state"},
			{Name: "corporation", Field: "corporation_name", Else: "corporation_id"},
			{Name: "registered", Field: "registered", Kind: kindBool}, {Name: "compliant", Field: "compliant", Kind: kindBool},
			{Name: "characters", Field: "total", Kind: kindNumber}, {Name: "unregistered", Field: "unregistered", Kind: kindNumber},
		},
	})
	if err != nil {
		return err
	}
	return v.show("list", v.T("compliance.title"), listPage{Table: t})
}
