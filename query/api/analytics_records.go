package api

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/projections/clickhouse"
)

// RecordFigures know what became of contracts, of killmails, who wrote and who was online
// when, and what the log says of the sync; [clickhouse.RecordReader] does.
type RecordFigures interface {
	Contracts(ctx context.Context, q clickhouse.RecordQuery) ([]clickhouse.ContractFigures, error)
	Killmails(ctx context.Context, q clickhouse.RecordQuery, prices map[int64]decimal.Decimal) ([]clickhouse.KillmailFigures, error)
	Mails(ctx context.Context, q clickhouse.RecordQuery) ([]clickhouse.MailFigures, error)
	Notifications(ctx context.Context, q clickhouse.RecordQuery) ([]clickhouse.NotificationFigures, error)
	Presence(ctx context.Context, q clickhouse.RecordQuery) (*clickhouse.HeatMap, error)
	Sync(ctx context.Context, q clickhouse.RecordQuery) ([]clickhouse.SyncFigures, error)
}

// Period is an interval and whose figures are of it.
type Period struct {
	Start         time.Time `json:"start" doc:"Inclusive."`
	End           time.Time `json:"end" doc:"Exclusive."`
	CharacterID   *int64    `json:"character_id,omitempty" doc:"Only if grouped by character."`
	CorporationID *int64    `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: the one of the character at that moment; 0 if none is known."`
}

func showPeriod(start, end time.Time, g *clickhouse.RecordGroup, by []string) Period {
	return Period{Start: start, End: end, CharacterID: shown(by, "character", &g.CharacterID), CorporationID: shown(by, "corporation", &g.CorporationID)}
}

// shown is a field of a dimension, if it is grouped by.
func shown[T any](by []string, dimension string, value *T) *T {
	if slices.Contains(by, dimension) {
		return value
	}
	return nil
}

// ContractFigures are what became of a group's contracts in an interval.
type ContractFigures struct {
	Period
	Type                 *string `json:"type,omitempty" doc:"Only if grouped by type."`
	Status               *string `json:"status,omitempty" doc:"Only if grouped by status: the one that is known last."`
	Role                 *string `json:"role,omitempty" enum:"issuer,acceptor,assignee,other" doc:"Only if grouped by role: what the character is to the contract."`
	CounterpartyID       *int64  `json:"counterparty_id,omitempty" doc:"Only if grouped by counterparty: for the issuer whoever accepted, before that whom it is meant for; for everybody else the issuer. 0 for nobody."`
	Issued               int64   `json:"issued"`
	IssuedPrice          Money   `json:"issued_price"`
	IssuedReward         Money   `json:"issued_reward"`
	IssuedCollateral     Money   `json:"issued_collateral"`
	Accepted             int64   `json:"accepted"`
	AcceptedPrice        Money   `json:"accepted_price"`
	AcceptedReward       Money   `json:"accepted_reward"`
	AcceptedCollateral   Money   `json:"accepted_collateral"`
	Finished             int64   `json:"finished"`
	FinishedPrice        Money   `json:"finished_price"`
	FinishedReward       Money   `json:"finished_reward"`
	FinishedCollateral   Money   `json:"finished_collateral"`
	Unfinished           int64   `json:"unfinished" doc:"Cancelled, rejected, failed, deleted or reversed."`
	UnfinishedPrice      Money   `json:"unfinished_price"`
	UnfinishedReward     Money   `json:"unfinished_reward"`
	UnfinishedCollateral Money   `json:"unfinished_collateral"`
	MedianSeconds        *int64  `json:"median_seconds" doc:"How long those that were accepted had been waiting for it; null if none was."`
	MeanSeconds          *int64  `json:"mean_seconds"`
	Unreadable           int64   `json:"unreadable" doc:"Contracts that ESI told in a way that nobody can count."`
}

type contractTrendInput struct {
	RangeInput
	AsOf           time.Time `query:"as_of" doc:"Count contracts as they were known at this moment: what Muster read later is not known then. Leave it out for now."`
	GroupBy        []string  `query:"group_by" enum:"character,corporation,type,status,role,counterparty" maxItems:"6" doc:"None, one or several, separated by commas."`
	CharacterID    []int64   `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID  []int64   `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: steps taken while the character was in one of them."`
	CounterpartyID []int64   `query:"counterparty_id" maxItems:"1000" doc:"One or several, separated by commas."`
	Type           []string  `query:"type" maxItems:"20" doc:"One or several of ESI's types, separated by commas, such as courier."`
	Status         []string  `query:"status" maxItems:"20" doc:"One or several of ESI's statuses, separated by commas, such as finished."`
	Role           []string  `query:"role" enum:"issuer,acceptor,assignee,other" maxItems:"4" doc:"One or several, separated by commas."`
}

// KillmailFigures are what a group destroyed and lost in an interval.
type KillmailFigures struct {
	Period
	Outcome        *string `json:"outcome,omitempty" enum:"kill,loss" doc:"Only if grouped by outcome; empty for what is unreadable."`
	ShipTypeID     *int64  `json:"ship_type_id,omitempty" doc:"Only if grouped by ship_type: the ship that was lost."`
	SolarSystemID  *int64  `json:"solar_system_id,omitempty" doc:"Only if grouped by solar_system."`
	Kills          int64   `json:"kills"`
	Losses         int64   `json:"losses"`
	FinalBlows     int64   `json:"final_blows" doc:"Kills of which the character struck the last blow."`
	Solo           int64   `json:"solo" doc:"Kills with no other attacker."`
	DestroyedValue Money   `json:"destroyed_value" doc:"What the kills were worth, ship and things: at the prices that are known now, for the log has no prices of the past."`
	LostValue      Money   `json:"lost_value" doc:"The same of the losses."`
	Unpriced       int64   `json:"unpriced" doc:"Killmails in which something has no price, so that they were worth more."`
	Unreadable     int64   `json:"unreadable" doc:"Killmails that ESI told in a way that nobody can count."`
}

type killmailTrendInput struct {
	RangeInput
	GroupBy       []string `query:"group_by" enum:"character,corporation,outcome,ship_type,solar_system" maxItems:"5" doc:"None, one or several, separated by commas."`
	CharacterID   []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: while the character was in one of them."`
	Outcome       []string `query:"outcome" enum:"kill,loss" maxItems:"2" doc:"One or both, separated by commas."`
	ShipTypeID    []int64  `query:"ship_type_id" maxItems:"1000" doc:"One or several ships that were lost, separated by commas."`
	SolarSystemID []int64  `query:"solar_system_id" maxItems:"1000" doc:"One or several, separated by commas."`
}

// MailFigures are how many mails a group wrote and got in an interval.
type MailFigures struct {
	Period
	Direction      *string `json:"direction,omitempty" enum:"sent,received" doc:"Only if grouped by direction; empty for what is unreadable."`
	CounterpartyID *int64  `json:"counterparty_id,omitempty" doc:"Only if grouped by counterparty: who wrote what was received, each recipient of what was sent, which may be a corporation, an alliance or a mailing list."`
	Sent           int64   `json:"sent" doc:"If grouped by counterparty a mail to several counts for each."`
	Received       int64   `json:"received"`
	Unreadable     int64   `json:"unreadable" doc:"Mails that ESI told in a way that nobody can count."`
}

type mailTrendInput struct {
	RangeInput
	GroupBy        []string `query:"group_by" enum:"character,corporation,direction,counterparty" maxItems:"4" doc:"None, one or several, separated by commas."`
	CharacterID    []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID  []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: while the character was in one of them."`
	CounterpartyID []int64  `query:"counterparty_id" maxItems:"1000" doc:"One or several, separated by commas."`
	Direction      []string `query:"direction" enum:"sent,received" maxItems:"2" doc:"One or both, separated by commas."`
}

// NotificationFigures are how many notifications a group got in an interval.
type NotificationFigures struct {
	Period
	Type          *string `json:"type,omitempty" doc:"Only if grouped by type; empty for what is unreadable."`
	SenderID      *int64  `json:"sender_id,omitempty" doc:"Only if grouped by sender."`
	Notifications int64   `json:"notifications"`
	Unreadable    int64   `json:"unreadable" doc:"Notifications that ESI told in a way that nobody can count."`
}

type notificationTrendInput struct {
	RangeInput
	GroupBy       []string `query:"group_by" enum:"character,corporation,type,sender" maxItems:"4" doc:"None, one or several, separated by commas."`
	CharacterID   []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: while the character was in one of them."`
	Type          []string `query:"type" maxItems:"100" doc:"One or several of ESI's types, separated by commas."`
	SenderID      []int64  `query:"sender_id" maxItems:"1000" doc:"One or several, separated by commas."`
}

// SyncFigures are what the log says of the sync in an interval.
type SyncFigures struct {
	Period
	Section         *string `json:"section,omitempty" doc:"Only if grouped by section."`
	Class           *string `json:"class,omitempty" doc:"Only if grouped by class: of failures; empty for what has to do with none."`
	Told            int64   `json:"told" doc:"Readings that told something new. Those that did not are not in the log."`
	Failed          int64   `json:"failed" doc:"Spells of failures that began, or became one of another class."`
	Recovered       int64   `json:"recovered" doc:"Spells that ended."`
	Sections        int64   `json:"sections" doc:"Sections of characters that were told or failed before the end of the interval."`
	Failing         int64   `json:"failing" doc:"Those of them that could not be read at the end."`
	MedianUnchanged *int64  `json:"median_unchanged_seconds" doc:"How long before the end those that were told had last told something new; null if none was."`
	P95Unchanged    *int64  `json:"p95_unchanged_seconds" doc:"The same for nineteen of twenty."`
}

type syncTrendInput struct {
	PastRangeInput
	GroupBy       []string `query:"group_by" enum:"character,corporation,section,class" maxItems:"4" doc:"None, one or several, separated by commas."`
	CharacterID   []int64  `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64  `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: characters that are in one of them at the end of the interval."`
	Section       []string `query:"section" maxItems:"50" doc:"One or several sections, separated by commas."`
	Class         []string `query:"class" enum:"token,forbidden,not_found,rate_limited,server,network,malformed,torn" maxItems:"8" doc:"One or several classes of failures, separated by commas."`
}

// ActivityCell is an hour of the week.
type ActivityCell struct {
	CharacterID   *int64 `json:"character_id,omitempty" doc:"Only if grouped by character."`
	CorporationID *int64 `json:"corporation_id,omitempty" doc:"Only if grouped by corporation: the one in which the character was when the session began; 0 if none is known."`
	Weekday       int64  `json:"weekday" minimum:"1" maximum:"7" doc:"1 for Monday to 7 for Sunday."`
	Hour          int64  `json:"hour" minimum:"0" maximum:"23"`
	Seconds       int64  `json:"seconds" doc:"How long characters are known to have been online in such hours, added up."`
	Logins        int64  `json:"logins" doc:"Sessions that began in them."`
	Characters    int64  `json:"characters" doc:"Who was online in any of them."`
}

// Activity is when characters were online.
type Activity struct {
	From     time.Time      `json:"from"`
	To       time.Time      `json:"to"`
	TZ       string         `json:"tz"`
	GroupBy  []string       `json:"group_by" nullable:"false"`
	Sessions int64          `json:"sessions" doc:"What the items rest on."`
	Open     int64          `json:"open_sessions" doc:"Those of them of which no logout is known: they count until the character was last seen online."`
	Missed   int64          `json:"missed_logins" doc:"Logins between two observations of which nobody knows when they were: ESI tells the last one alone."`
	Items    []ActivityCell `json:"items" nullable:"false"`
	RowsAt   []string       `json:"rows_at,omitempty" doc:"If provenance was asked for: the lists of the rows that figures are made of, each with its event."`
}

func (a *Activity) rows() any { return a.Items }

type activityInput struct {
	ProvenanceInput

	From          time.Time `query:"from" doc:"Inclusive; 30 days before to if left out."`
	To            time.Time `query:"to" doc:"Exclusive; now if left out."`
	AsOf          time.Time `query:"as_of" doc:"Answer as if it were this moment: sessions that were seen to end later are open, and the range ends there at the latest. Leave it out for now."`
	TZ            string    `query:"tz" default:"UTC" maxLength:"100" doc:"IANA name of the time zone whose hours and weekdays are meant, such as Europe/Berlin."`
	GroupBy       []string  `query:"group_by" enum:"character,corporation" maxItems:"2" doc:"None, one or both, separated by commas."`
	CharacterID   []int64   `query:"character_id" maxItems:"1000" doc:"One or several, separated by commas."`
	CorporationID []int64   `query:"corporation_id" maxItems:"1000" doc:"One or several, separated by commas: sessions that began while in one of them."`
}

type activityOutput struct{ Body *Activity }

func (s *Server) registerRecordAnalytics() {
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-contracts", Path: "/v1/analytics/contracts", Tags: []string{tagAnalytics}, Summary: "What became of contracts over time",
		Description: "Issued, accepted and finished, each in the interval in which it happened, and what the contracts were worth. A contract counts once for each character that has it.",
	}), s.analyseContracts)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-killmails", Path: "/v1/analytics/killmails", Tags: []string{tagAnalytics}, Summary: "Kills and losses over time",
		Description: "A killmail counts once for each character on either side.",
	}), s.analyseKillmails)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-activity", Path: "/v1/analytics/activity", Tags: []string{tagAnalytics}, Summary: "At which hours of the week characters are online",
		Description: "From the logins and logouts that ESI tells. It tells the last ones alone, so that what lies between two observations is known in part; the answer says how much is not.",
	}), s.analyseActivity)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-mails", Path: "/v1/analytics/mails", Tags: []string{tagAnalytics}, Summary: "Mails sent and received over time",
		Description: "Who wrote to whom and when, never what.",
	}), s.analyseMails)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-notifications", Path: "/v1/analytics/notifications", Tags: []string{tagAnalytics}, Summary: "Notifications by type over time",
	}), s.analyseNotifications)
	register(s, access.ActionReadAnalytics, asTable(huma.Operation{
		OperationID: "analyse-sync", Path: "/v1/analytics/sync", Tags: []string{tagAnalytics}, Summary: "What the log says of the sync over time",
		Description: "Readings that told something new, failures by class, and how long nothing new was told. Readings that found nothing new, and single attempts within a spell of failures, leave no event.",
	}), s.analyseSync)
}

// asked is a question about records of a section with what every one takes.
func (s *Server) asked(ctx context.Context, section eve.Section, in *RangeInput, by []string, characters, corporations []int64) (clickhouse.RecordQuery, error) {
	return s.askedAsOf(ctx, section, in, time.Time{}, by, characters, corporations)
}

// askedAsOf is asked as of a moment; the zero time is now.
func (s *Server) askedAsOf(ctx context.Context, section eve.Section, in *RangeInput, asOf time.Time, by []string, characters, corporations []int64) (clickhouse.RecordQuery, error) {
	r, now, err := s.rangeAsOf(*in, asOf)
	if err != nil {
		return clickhouse.RecordQuery{}, err
	}
	from, to, zone, err := r.bounds(now)
	if err != nil {
		return clickhouse.RecordQuery{}, err
	}
	if characters, err = s.analysed(ctx, section, characters); err != nil {
		return clickhouse.RecordQuery{}, err
	}
	return clickhouse.RecordQuery{FactQuery: clickhouse.FactQuery{
		From: from, To: to, Interval: clickhouse.Interval(in.Interval), Zone: zone, GroupBy: dimensions(by), CharacterIDs: characters, CorporationIDs: corporations,
	}}, nil
}

// answered shows the answer to a question; rows are where the rows are that it is made of,
// if that was asked for.
func answered[R, F any](q *clickhouse.RecordQuery, by, rows []string, figures []R, err error, show func(*R) F) (*figuresOutput[F], error) {
	if err != nil {
		return nil, err
	}
	return showAll(q.From, q.To, q.Zone, string(q.Interval), by, figures, show).of(rows), nil
}

func (s *Server) analyseContracts(ctx context.Context, in *contractTrendInput) (*figuresOutput[ContractFigures], error) {
	if err := s.hasCome(in.AsOf); err != nil {
		return nil, err
	}
	q, err := s.asked(ctx, eve.SectionContracts, &in.RangeInput, in.GroupBy, in.CharacterID, in.CorporationID)
	if err != nil {
		return nil, err
	}
	q.AsOf, q.CounterpartyIDs, q.Kinds, q.Statuses, q.Roles = in.AsOf, in.CounterpartyID, in.Type, in.Status, in.Role
	figures, err := s.config.RecordFigures.Contracts(ctx, q)
	return answered(&q, in.GroupBy, in.rowsAt("/v1/characters/{id}/contracts"), figures, err, func(f *clickhouse.ContractFigures) ContractFigures {
		out := ContractFigures{
			Period: showPeriod(f.Start, f.End, &f.RecordGroup, in.GroupBy), Type: shown(in.GroupBy, "type", &f.Kind), Status: shown(in.GroupBy, "status", &f.RecordGroup.Status),
			Role: shown(in.GroupBy, "role", &f.Role), CounterpartyID: shown(in.GroupBy, "counterparty", &f.CounterpartyID),
			MedianSeconds: f.MedianSeconds, MeanSeconds: f.MeanSeconds, Unreadable: f.Unreadable,
		}
		out.Issued, out.IssuedPrice, out.IssuedReward, out.IssuedCollateral = showContracts(&f.Issued)
		out.Accepted, out.AcceptedPrice, out.AcceptedReward, out.AcceptedCollateral = showContracts(&f.Accepted)
		out.Finished, out.FinishedPrice, out.FinishedReward, out.FinishedCollateral = showContracts(&f.Finished)
		out.Unfinished, out.UnfinishedPrice, out.UnfinishedReward, out.UnfinishedCollateral = showContracts(&f.Unfinished)
		return out
	})
}

func showContracts(s *clickhouse.ContractSums) (contracts int64, price, reward, collateral Money) {
	return s.Contracts, money(s.Price), money(s.Reward), money(s.Collateral)
}

func (s *Server) analyseKillmails(ctx context.Context, in *killmailTrendInput) (*figuresOutput[KillmailFigures], error) {
	q, err := s.asked(ctx, eve.SectionKillmails, &in.RangeInput, in.GroupBy, in.CharacterID, in.CorporationID)
	if err != nil {
		return nil, err
	}
	q.Roles, q.TypeIDs, q.PlaceIDs = in.Outcome, in.ShipTypeID, in.SolarSystemID
	prices, err := s.config.Prices.Prices(ctx)
	if err != nil {
		return nil, err
	}
	figures, err := s.config.RecordFigures.Killmails(ctx, q, prices)
	return answered(&q, in.GroupBy, in.rowsAt("/v1/characters/{id}/killmails"), figures, err, func(f *clickhouse.KillmailFigures) KillmailFigures {
		return KillmailFigures{
			Period: showPeriod(f.Start, f.End, &f.RecordGroup, in.GroupBy), Outcome: shown(in.GroupBy, "outcome", &f.Role),
			ShipTypeID: shown(in.GroupBy, "ship_type", &f.TypeID), SolarSystemID: shown(in.GroupBy, "solar_system", &f.PlaceID),
			Kills: f.Kills, Losses: f.Losses, FinalBlows: f.FinalBlows, Solo: f.Solo, DestroyedValue: money(f.DestroyedValue), LostValue: money(f.LostValue),
			Unpriced: f.Unpriced, Unreadable: f.Unreadable,
		}
	})
}

func (s *Server) analyseMails(ctx context.Context, in *mailTrendInput) (*figuresOutput[MailFigures], error) {
	q, err := s.asked(ctx, eve.SectionMails, &in.RangeInput, in.GroupBy, in.CharacterID, in.CorporationID)
	if err != nil {
		return nil, err
	}
	q.CounterpartyIDs, q.Roles = in.CounterpartyID, in.Direction
	figures, err := s.config.RecordFigures.Mails(ctx, q)
	return answered(&q, in.GroupBy, in.rowsAt("/v1/characters/{id}/mails"), figures, err, func(f *clickhouse.MailFigures) MailFigures {
		return MailFigures{
			Period: showPeriod(f.Start, f.End, &f.RecordGroup, in.GroupBy), Direction: shown(in.GroupBy, "direction", &f.Role),
			CounterpartyID: shown(in.GroupBy, "counterparty", &f.CounterpartyID), Sent: f.Sent, Received: f.Received, Unreadable: f.Unreadable,
		}
	})
}

func (s *Server) analyseNotifications(ctx context.Context, in *notificationTrendInput) (*figuresOutput[NotificationFigures], error) {
	q, err := s.asked(ctx, eve.SectionNotifications, &in.RangeInput, in.GroupBy, in.CharacterID, in.CorporationID)
	if err != nil {
		return nil, err
	}
	q.CounterpartyIDs, q.Kinds = in.SenderID, in.Type
	figures, err := s.config.RecordFigures.Notifications(ctx, q)
	return answered(&q, in.GroupBy, in.rowsAt("/v1/characters/{id}/notifications"), figures, err, func(f *clickhouse.NotificationFigures) NotificationFigures {
		return NotificationFigures{
			Period: showPeriod(f.Start, f.End, &f.RecordGroup, in.GroupBy), Type: shown(in.GroupBy, "type", &f.Kind),
			SenderID: shown(in.GroupBy, "sender", &f.CounterpartyID), Notifications: f.Notifications, Unreadable: f.Unreadable,
		}
	})
}

func (s *Server) analyseActivity(ctx context.Context, in *activityInput) (*activityOutput, error) {
	q, err := s.askedAsOf(ctx, eve.SectionOnline, &RangeInput{From: in.From, To: in.To, TZ: in.TZ}, in.AsOf, in.GroupBy, in.CharacterID, in.CorporationID)
	if err != nil {
		return nil, err
	}
	q.AsOf = in.AsOf
	heat, err := s.config.RecordFigures.Presence(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &Activity{
		From: q.From.UTC(), To: q.To.UTC(), TZ: q.Zone.String(), GroupBy: append([]string{}, in.GroupBy...),
		Sessions: heat.Sessions, Open: heat.Open, Missed: heat.Missed, RowsAt: in.rowsAt("/v1/characters/{id}/online/changes"), Items: make([]ActivityCell, len(heat.Cells)),
	}
	for i := range heat.Cells {
		c := &heat.Cells[i]
		out.Items[i] = ActivityCell{
			CharacterID: shown(in.GroupBy, "character", &c.CharacterID), CorporationID: shown(in.GroupBy, "corporation", &c.CorporationID),
			Weekday: c.Weekday, Hour: c.Hour, Seconds: c.Seconds, Logins: c.Logins, Characters: c.Characters,
		}
	}
	return &activityOutput{Body: out}, nil
}

func (s *Server) analyseSync(ctx context.Context, in *syncTrendInput) (*figuresOutput[SyncFigures], error) {
	q, err := s.askedAsOf(ctx, "", &in.RangeInput, in.AsOf, in.GroupBy, in.CharacterID, in.CorporationID)
	if err != nil {
		return nil, err
	}
	q.Kinds, q.Statuses = in.Section, in.Class
	figures, err := s.config.RecordFigures.Sync(ctx, q)
	return answered(&q, in.GroupBy, in.rowsAt("/v1/streams/{stream}"), figures, err, func(f *clickhouse.SyncFigures) SyncFigures {
		return SyncFigures{
			Period: showPeriod(f.Start, f.End, &f.RecordGroup, in.GroupBy), Section: shown(in.GroupBy, "section", &f.Kind), Class: shown(in.GroupBy, "class", &f.Status),
			Told: f.Told, Failed: f.Failed, Recovered: f.Recovered, Sections: f.Sections, Failing: f.Failing, MedianUnchanged: f.MedianAge, P95Unchanged: f.P95Age,
		}
	})
}
