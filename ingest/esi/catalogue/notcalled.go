package catalogue

// NotCalled are the routes of ESI that read a character and are not used, by
// their paths, each with the reason. Together with [Routes] it has all of them, so
// that a new one is noticed when ESI's document is replaced.
func NotCalled() map[string]string {
	const (
		young = "newer than the tools that Muster stands in for, and behind a scope that registrations do not ask for"
		part  = "asked for through the listing, which is not called itself"
	)
	return map[string]string{
		"/characters/{character_id}/portrait":                                     "addresses of pictures that follow from the character's id",
		"/characters/{character_id}/search":                                       "a search, not a state",
		"/characters/{character_id}/fleet":                                        "holds only while the character flies in a fleet, and answers 404 otherwise, which costs five tokens",
		"/characters/{character_id}/calendar/{event_id}/attendees":                "tells of other people's answers; our own is in the event",
		"/characters/{character_id}/planets/{planet_id}":                          "counted anew only when the owner looks at the colony in the game",
		"/characters/{character_id}/notifications/contacts":                       "the same contacts come with the notifications",
		"/characters/{character_id}/access-lists":                                 young,
		"/characters/{character_id}/access-lists/{access_list_id}":                part,
		"/characters/{character_id}/freelance-jobs":                               young,
		"/characters/{character_id}/freelance-jobs/{job_id}/participation":        part,
		"/characters/{character_id}/mercenary-tactical-operations":                young,
		"/characters/{character_id}/mercenary-tactical-operations/{operation_id}": part,
		"/characters/{character_id}/military-campaigns/objectives":                young,
		"/characters/{character_id}/military-campaigns/objectives/{objective_id}": part,
		"/characters/{character_id}/structures/mercenary-dens":                    young,
		"/characters/{character_id}/structures/mercenary-dens/{mercenary_den_id}": part,
	}
}
