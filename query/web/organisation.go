package web

// registerOrganisation adds the pages about the organisation: who has done what it asks for,
// what its characters can do, and figures over time.
func (s *Site) registerOrganisation() {
	s.registerCompliance()
	s.registerSkillSets()
	s.registerAnalytics()
	s.registerExports()
	s.registerMyself()
}

// organisationPlaces are those of the navigation.
func organisationPlaces() []place {
	return []place{
		{"nav.compliance", "/compliance", "reports.read"},
		{"nav.skill-sets", "/skill-sets", "characters.read"},
		{"nav.analytics", "/analytics", "analytics.read"},
		{"nav.exports", "/exports", "exports.read"},
		{"nav.access-log", "/access-log", "access-log.read"},
	}
}
