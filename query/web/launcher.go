package web

import "strings"

// card is a character of the launcher.
type card struct {
	row
	Portrait portrait
	Sync     cell
	System   string
	Security string
	Region   string
	Balance  string
	Points   string
}

// Failing are the sections that cannot be read.
func (c card) Failing() string { return strings.Join(c.Texts("failing"), ", ") }

// launcherData is what the page shows.
type launcherData struct {
	Cards        []card
	Unregistered []row
	Reregister   []row
	Figures      []fact
	MayShare     bool
}

// fact is a name with a value.
type fact struct {
	Name string
	Cell cell
}

// launcher shows one's own characters.
func (s *Site) launcher(v *visit) error {
	if err := v.whoami(); err != nil {
		return err
	}
	answered, err := v.get("/v1/launcher", nil)
	if err != nil {
		return err
	}
	data := launcherData{Unregistered: answered.Rows("unregistered"), Reregister: answered.Rows("reregister"), MayShare: v.Me.May("characters.share")}
	for _, r := range answered.Rows("cards") {
		data.Cards = append(data.Cards, card{
			row: r, Portrait: v.portrait("characters", r.Text("character_id"), 64),
			Sync:   cell{Text: v.Word(r.Text("status")), Badge: badgeOf(r.Text("status"))},
			System: r.Text("system_name"), Security: v.Number(tenth(r.Text("security_status"))), Region: r.Text("region"), Balance: v.ISK(r.Text("balance")), Points: v.Number(r.Text("skill_points")),
		})
	}
	sums := answered.Row("summary")
	data.Figures = v.facts(sums,
		column{Name: "players_online", Field: "players_online", Kind: kindNumber},
		column{Name: "registered_of", Cell: func(v *visit, r row) cell {
			return cell{Text: v.T("launcher.registered-of", "Registered", v.Number(r.Text("registered")), "Characters", v.Number(r.Text("characters")), "Percent", v.Percent(r.Text("percent_floor_2")))}
		}},
		column{Name: "wallet", Field: "wallet", Kind: kindISK},
		column{Name: "mined_month", Field: "mined", Kind: kindISK},
		column{Name: "ratted_month", Field: "ratted", Kind: kindISK},
		column{Name: "skill_points", Field: "skill_points", Kind: kindNumber},
	)
	return v.show("launcher", v.T("launcher.title"), data)
}

// facts are names and values of one object; what is not there is left out.
func (v *visit) facts(r row, columns ...column) []fact {
	var facts []fact
	for _, c := range columns {
		shown := v.cell(c, r)
		if shown.Text == "" && shown.HTML == "" {
			continue
		}
		shown.Class = strings.TrimPrefix(shown.Class, "num")
		facts = append(facts, fact{Name: v.T("column." + c.Name), Cell: shown})
	}
	return facts
}
