package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/clickhouse"
	"github.com/muster-sync/muster/projections/postgres"
)

// LauncherFigures know what cards of the launcher show, and who else plays; [postgres.CharacterReader] does.
type LauncherFigures interface {
	LauncherFigures(ctx context.Context, characters []int64, since time.Time) (map[int64]postgres.LauncherFigures, error)
	Players(ctx context.Context) (*postgres.Players, error)
}

// Launcher is what one user sees of his own characters.
type Launcher struct {
	UserID       string            `json:"user_id"`
	Cards        []LauncherCard    `json:"cards" nullable:"false" doc:"His registered characters, by name."`
	Unregistered []LauncherMention `json:"unregistered" nullable:"false" doc:"Those he has to register."`
	Reregister   []LauncherMention `json:"reregister" nullable:"false" doc:"Those he has to register again: their login is lost, or they are disabled."`
	Summary      LauncherSummary   `json:"summary"`
}

// LauncherCard is one character.
type LauncherCard struct {
	CharacterID     int64    `json:"character_id"`
	Name            string   `json:"name"`
	IsMain          bool     `json:"is_main"`
	Shared          bool     `json:"shared"`
	CorporationID   *int64   `json:"corporation_id"`
	CorporationName string   `json:"corporation_name,omitempty"`
	AllianceID      *int64   `json:"alliance_id"`
	AllianceName    string   `json:"alliance_name,omitempty"`
	SystemID        *int64   `json:"system_id" doc:"null if it is not known where it is."`
	SystemName      string   `json:"system_name,omitempty"`
	Security        *float64 `json:"security_status"`
	Region          string   `json:"region,omitempty"`
	LocationID      *int64   `json:"location_id" doc:"The station or structure; null in space."`
	LocationName    string   `json:"location_name,omitempty"`
	Balance         *Money   `json:"balance" doc:"null if the wallet was not read."`
	SkillPoints     *int64   `json:"skill_points" doc:"null if they were not read."`
	Status          string   `json:"status" enum:"disabled,limited_token,error,in_progress,ok" doc:"The first that holds: it is disabled; just one section lacks a login; a section cannot be read; not all was read so far."`
	Failing         []string `json:"failing" nullable:"false" doc:"The sections that cannot be read."`
}

// LauncherMention is a character that there is something to be done about.
type LauncherMention struct {
	CharacterID int64  `json:"character_id"`
	Name        string `json:"name"`
	Reason      string `json:"reason" enum:"never_registered,login_lost,disabled"`
}

// LauncherSummary is what all his characters come to.
type LauncherSummary struct {
	PlayersOnline
	Characters int `json:"characters" doc:"How many he owns."`
	Registered int `json:"registered"`
	// Percent is cut like that of compliance.
	Percent     string    `json:"percent_floor_2" doc:"The share that is registered, cut after two decimals."`
	Wallet      Money     `json:"wallet" doc:"All wallets together, as far as they were read."`
	Mined       *Money    `json:"mined" doc:"What was mined since the beginning of the month, at average prices; null if there are no prices."`
	Ratted      Money     `json:"ratted" doc:"Bounties since the beginning of the month."`
	SkillPoints int64     `json:"skill_points"`
	MonthFrom   time.Time `json:"month_from" doc:"The beginning of the month, UTC."`
}

type launcherInput struct {
	Conditional

	UserID string `query:"user_id" maxLength:"200" doc:"Whose launcher it is: for programs and superusers. Others see their own."`
}

// launcherCharacters bounds how many characters of one user are shown.
const launcherCharacters = 1000

func (s *Server) registerLauncher() {
	register(s, access.ActionReadCharacters, notModified(huma.Operation{
		OperationID: "get-launcher", Path: launcherPath, Tags: []string{tagCharacters}, Summary: "One's own characters, what there is to be done about them, and what they come to",
	}), s.getLauncher)
}

// launcherOf is whose launcher is asked for.
func launcherOf(ctx context.Context, user string) (string, error) {
	p, v := principalOf(ctx), viewerOf(ctx)
	switch {
	case p.UserID == "" && user == "":
		return "", event.Errorf(event.CodeInvalid, "user_id: %s is no user of the organisation and has no characters: say whose launcher it is", p.ID)
	case p.UserID == "", user != "" && v != nil && v.Superuser && v.Active:
		return user, nil
	case user != "" && user != p.UserID:
		return "", event.Errorf(event.CodeForbidden, "%s may not see the launcher of %s: leave user_id out to see your own", p.ID, user)
	default:
		return p.UserID, nil
	}
}

func (s *Server) getLauncher(ctx context.Context, in *launcherInput) (*single[Launcher], error) {
	user, err := launcherOf(ctx, in.UserID)
	if err != nil {
		return nil, err
	}
	found, err := s.config.Finder.Finder(ctx, postgres.FinderFilter{UserID: user, Limit: launcherCharacters})
	if err != nil {
		return nil, err
	}
	now := s.config.Now().UTC()
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	out := &Launcher{
		UserID: user, Cards: []LauncherCard{}, Unregistered: []LauncherMention{}, Reregister: []LauncherMention{},
		Summary: LauncherSummary{MonthFrom: month},
	}
	players, err := s.config.Figures.Players(ctx)
	if err != nil {
		return nil, err
	}
	out.Summary.PlayersOnline = showPlayers(players, now)
	var wanted postgres.NameRequest
	var ids []int64
	for _, f := range found {
		if f.Status == postgres.CharacterUnregistered {
			continue
		}
		ids = append(ids, f.CharacterID)
		wanted.Entities, wanted.Locations = append(wanted.Entities, f.CorporationID, f.AllianceID), append(wanted.Locations, f.Location.LocationID)
	}
	names, err := s.config.Characters.Names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	figures, err := s.config.Figures.LauncherFigures(ctx, ids, month)
	if err != nil {
		return nil, err
	}
	wallet := decimal.Decimal{}
	var mined *decimal.Decimal
	for _, f := range found {
		if f.Status == postgres.CharacterUnregistered {
			out.Unregistered = append(out.Unregistered, LauncherMention{f.CharacterID, f.Name, string(access.FaultNeverRegistered)})
			continue
		}
		figure := figures[f.CharacterID]
		out.Cards = append(out.Cards, showCard(f, figure, names))
		switch {
		case f.Status == postgres.CharacterDisabled:
			out.Reregister = append(out.Reregister, LauncherMention{f.CharacterID, f.Name, "disabled"})
		case len(figure.LoginLost) > 0:
			out.Reregister = append(out.Reregister, LauncherMention{f.CharacterID, f.Name, string(access.FaultLoginLost)})
		}
		if figure.Balance != nil {
			wallet = wallet.Add(*figure.Balance)
		}
		if figure.SkillPoints != nil {
			out.Summary.SkillPoints += *figure.SkillPoints
		}
		if figure.Mined != nil {
			if mined == nil {
				mined = &decimal.Decimal{}
			}
			mined = new(mined.Add(*figure.Mined))
		}
	}
	out.Summary.Characters, out.Summary.Registered = len(found), len(out.Cards)
	out.Summary.Percent = access.CorporationOf(0, 0, len(found), len(out.Unregistered)).Percent
	out.Summary.Wallet, out.Summary.Mined = money(wallet), optionalMoney(mined)
	ratted, err := s.ratted(ctx, ids, month)
	if err != nil {
		return nil, err
	}
	out.Summary.Ratted = money(ratted)
	return singleOf(in.Conditional, out)
}

// ratted are the bounties of characters in a month.
func (s *Server) ratted(ctx context.Context, characters []int64, month time.Time) (decimal.Decimal, error) {
	sum := decimal.Decimal{}
	if len(characters) == 0 {
		// Of no characters is not of all.
		return sum, nil
	}
	// Flows of one kind have no balance, which would be looked up for nothing.
	periods, err := s.config.Wallets.Analyse(ctx, clickhouse.WalletQuery{
		From: month, To: month.AddDate(0, 1, 0), Interval: clickhouse.Month, CharacterIDs: characters, RefTypes: []string{"bounty_prizes"}, GroupBy: []clickhouse.Dimension{clickhouse.ByRefType},
	})
	if err != nil {
		return sum, err
	}
	for _, p := range periods {
		sum = sum.Add(p.Net)
	}
	return sum, nil
}

func showCard(f postgres.FinderRow, figure postgres.LauncherFigures, names postgres.Names) LauncherCard {
	card := LauncherCard{
		CharacterID: f.CharacterID, Name: f.Name, IsMain: f.IsMain(), Shared: f.Shared,
		CorporationID: optional(f.CorporationID), CorporationName: names.Entities[f.CorporationID], AllianceID: optional(f.AllianceID), AllianceName: names.Entities[f.AllianceID],
		SystemID: optional(f.Location.SystemID), SystemName: f.Location.System, Security: f.Location.Security, Region: f.Location.Region,
		LocationID: optional(f.Location.LocationID), LocationName: names.Locations[f.Location.LocationID],
		Balance: optionalMoney(figure.Balance), SkillPoints: figure.SkillPoints, Failing: append([]string{}, figure.Failing...),
	}
	switch {
	case f.Status == postgres.CharacterDisabled:
		card.Status = "disabled"
	case len(figure.LoginLost) == 1:
		card.Status = "limited_token"
	case len(figure.Failing) > 0:
		card.Status = "error"
	case figure.Unread > 0:
		card.Status = "in_progress"
	default:
		card.Status = "ok"
	}
	return card
}
