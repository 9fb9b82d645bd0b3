package web

import (
	"cmp"
	"strings"
	"time"
)

func skillsTab() tab {
	columns := []column{
		{Name: "skill", Cell: func(_ *visit, r row) cell {
			return cell{Text: cmp.Or(r.Text("skill_name"), r.Text("skill_id")) + " " + level(r.Text("trained_skill_level"))}
		}},
		as(kindNumber, "level_trained", "trained_skill_level"), as(kindNumber, "level_active", "active_skill_level"), as(kindNumber, "skill_points", "skillpoints_in_skill"),
	}
	return tab{
		Section: "skills", Keys: []string{"skill_id"}, Facts: []column{as(kindNumber, "skill_points", "total_sp"), as(kindNumber, "unallocated", "unallocated_sp")},
		List: list{
			Items: "value.skills", Limit: -1, NoFiles: true, Columns: columns, Order: ascending("group_name", "skill_name"),
			Filters: []filter{
				{Name: "name", Match: contains("skill_name")},
				{Name: "group", Match: contains("group_name")},
				{Name: "level_at_least", Options: levelOptions, Match: func(r row, value string) bool { return r.Text("trained_skill_level") >= value }},
			},
			Lines: inGroups(columns, func(v *visit, r row) string { return cmp.Or(r.Text("group_name"), v.T("viewer.no-group")) }),
		},
	}
}

// levelOptions are the levels of skills.
func levelOptions(*visit) []option {
	var options []option
	for _, number := range []string{"1", "2", "3", "4", "5"} {
		options = append(options, option{Value: number, Text: level(number)})
	}
	return options
}

func queueTab() tab {
	return tab{Section: "skill-queue", Keys: []string{"queue_position"}, List: list{
		Limit: wholeList, Class: func(r row) string {
			if r.Text("training_state") == "training" {
				return "unread"
			}
			return ""
		},
		Columns: []column{
			{Name: "position", Field: "queue_position", Kind: kindNumber},
			{Name: "skill", Cell: queued},
			as(kindBadge, "state", "training_state"),
			as(kindPercent, "percent", "percent"),
			{Name: "remaining", Kind: kindNumber, Cell: func(v *visit, r row) cell {
				if !r.Has("seconds_left") {
					return cell{}
				}
				return cell{Text: v.Span(time.Duration(r.Int("seconds_left")) * time.Second), Value: r.Text("seconds_left"), Class: "num"}
			}},
			as(kindTime, "finish", "finish_date"), as(kindTime, "start", "start_date"),
		},
	}}
}

// queued is a skill of the queue with the level that it is trained to.
func queued(_ *visit, r row) cell {
	return cell{Text: cmp.Or(r.Text("skill_name"), r.Text("skill_id")) + " " + level(r.Text("finished_level"))}
}

func skillSetsTab() tab {
	missing := func(field string) func(*visit, row) cell {
		return func(_ *visit, r row) cell {
			var lacks []string
			for _, skill := range r.Rows(field) {
				lacks = append(lacks, cmp.Or(skill.Text("type_name"), skill.Text("type_id"))+" "+level(skill.Text("level")))
			}
			return cell{Text: strings.Join(lacks, ", ")}
		}
	}
	return tab{Section: "skill-sets", Keys: []string{"skill_set_id"}, List: list{
		Limit: wholeList, Filters: []filter{{Name: "has_required", Options: yesNo, Match: flagged("has_required")}},
		Columns: []column{
			{Name: "skill_set", Cell: func(v *visit, r row) cell {
				return cell{Text: r.Text("name"), Href: v.record("skill-sets", r.Text("skill_set_id"))}
			}},
			{Name: "ship", Field: "ship_type_name"},
			{Name: "groups", Cell: func(_ *visit, r row) cell {
				var labels []string
				for _, g := range r.Rows("groups") {
					labels = append(labels, g.Text("label"))
				}
				return cell{Text: strings.Join(labels, ", ")}
			}},
			{Name: "has_required", Cell: func(v *visit, r row) cell {
				if r.Bool("has_required") {
					return cell{Text: v.Word("met"), Badge: "good"}
				}
				return cell{Text: v.Word("not_met"), Badge: "bad"}
			}},
			{Name: "missing_required", Cell: missing("failed_required")},
			{Name: "missing_recommended", Cell: missing("failed_recommended")},
		},
	}}
}

func implantsTab() tab {
	return tab{Section: "implants", Keys: []string{"type_id"}, List: list{
		Limit: wholeList, Order: ascending("slot"), Columns: []column{as(kindNumber, "slot", "slot"), named("implant", "type"), {Name: "group", Field: "group_name"}},
	}}
}

func clonesTab() tab {
	return tab{
		Section: "clones", Keys: []string{"jump_clone_id"},
		Facts: []column{
			{Name: "home", Field: "home_location.location_name", Else: "home_location.location_id"},
			{Name: "system", Field: "home_location.system_name"},
			{Name: "region", Field: "home_location.region"},
			as(kindTime, "last_clone_jump", "last_clone_jump_date"), as(kindTime, "last_home_change", "last_station_change_date"),
		},
		List: list{
			ID: "clones", Items: "value.jump_clones", Limit: -1, NoFiles: true, Order: ascending("region", "system_name"),
			Columns: []column{
				{Name: "region", Field: "region"},
				{Name: "system", Field: "system_name"},
				named("place", "location"),
				{Name: "name", Field: "name"},
				{Name: "implants", Cell: func(v *visit, r row) cell {
					var names []string
					for _, implant := range r.Rows("implant_types") {
						name := cmp.Or(implant.Text("type_name"), implant.Text("type_id"))
						if slot := implant.Text("slot"); slot != "" {
							name = slot + ": " + name
						}
						names = append(names, name)
					}
					return cell{Text: strings.Join(names, "; ")}
				}},
			},
		},
	}
}
