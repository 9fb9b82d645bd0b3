package reports

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/anvil"
	"github.com/muster-sync/muster/domain/eve"
)

// Store is where a view lies.
type Store string

// The stores.
const (
	StorePostgres   Store = "postgres"
	StoreClickHouse Store = "clickhouse"
)

// View is a view with a stable name.
type View struct {
	Store Store
	Name  string
	// Tells is what the view gives, for administrators.
	Tells string
	// SQL selects its rows. The name of a projection in braces stands for the schema or
	// database of its live generation.
	SQL string
}

var braces = regexp.MustCompile(`\{(\w+)\}`)

// Projections are those whose live generations the view reads; none for one that reads
// tables that have no generations.
func (v View) Projections() []string {
	var names []string
	for _, found := range braces.FindAllStringSubmatch(v.SQL, -1) {
		if !slices.Contains(names, found[1]) {
			names = append(names, found[1])
		}
	}
	return names
}

// All lists the views, those of Postgres first.
func All() []View {
	return slices.Concat(organisationViews(), syncViews(), skillSetViews(), clickhouseViews())
}

// corporationName joins what ESI calls a corporation, as n.
const corporationName = `LEFT JOIN universe.named n ON n.category = 'corporation' AND n.id = `

// organisationViews are about users and their characters, and about consortia, as they are now.
func organisationViews() []View {
	return []View{
		{
			Store: StorePostgres, Name: "compliance",
			Tells: "How far the users whose mains are in a corporation have registered their characters, one row for each corporation and alliance; corporation 0 has those " +
				"without a main of which anything is known. Users are those that reports of the API consider.",
			SQL: fmt.Sprintf(`WITH considered AS (
	SELECT u.user_id, m.character_id AS main, coalesce(h.corporation_id, 0) AS corporation_id, coalesce(h.alliance_id, 0) AS alliance_id
	FROM {characters}.users u
	LEFT JOIN {characters}.mains m ON m.user_id = u.user_id
	LEFT JOIN LATERAL (SELECT h.corporation_id, h.alliance_id FROM {characters}.homes h WHERE h.user_id = u.user_id LIMIT 1) h ON true
	WHERE u.state <> '%s' AND (u.superuser OR '%s' = ANY ((SELECT g.permissions FROM {characters}.grants g WHERE g.user_id = u.user_id)::text[]))),
registered AS (
	SELECT w.user_id, count(*) AS characters
	FROM {characters}.owners w JOIN {characters}.registrations r USING (character_id) LEFT JOIN {characters}.orphans o USING (character_id)
	WHERE NOT coalesce(o.orphaned, false) GROUP BY w.user_id),
unregistered AS (SELECT l.user_id, count(*) AS characters FROM {characters}.unregistered l GROUP BY l.user_id)
SELECT u.corporation_id, coalesce(min(n.name), '') AS corporation, u.alliance_id, count(*) AS users,
	count(*) FILTER (WHERE u.main IS NOT NULL AND l.characters IS NULL) AS compliant_users,
	count(*) FILTER (WHERE u.main IS NULL) AS users_without_main,
	count(*) FILTER (WHERE r.characters IS NULL) AS users_without_characters,
	coalesce(sum(r.characters), 0)::bigint AS registered_characters,
	coalesce(sum(l.characters), 0)::bigint AS unregistered_characters
FROM considered u LEFT JOIN registered r USING (user_id) LEFT JOIN unregistered l USING (user_id)
%s u.corporation_id
GROUP BY u.corporation_id, u.alliance_id`, access.StateGuest, access.BasicAccess, corporationName),
		},
		{
			Store: StorePostgres, Name: "logins",
			Tells: "How many characters of a corporation have a login that is good (active) or one that its owner has to give again (parked). No login is in it.",
			SQL: `SELECT c.corporation_id, coalesce(min(n.name), '') AS corporation, t.state, count(*) AS characters
FROM ingest.token t JOIN {characters}.characters c USING (character_id)
` + corporationName + ` c.corporation_id
WHERE NOT c.orphaned GROUP BY c.corporation_id, t.state`,
		},
		{
			Store: StorePostgres, Name: "anvil_findings",
			Tells: "How many findings of a consortium are open, by model, severity and kind, how many of them are accepted as they are, and since when the oldest is open. Records, " +
				"which are addresses of people, are not in it.",
			SQL: fmt.Sprintf(`SELECT substr(f.stream, length('anvil:') + 1) AS consortium, f.model, f.severity, f.kind, count(*) AS findings, count(a.name) AS accepted,
	min(f.opened_at) AS oldest_opened_at
FROM {anvil}.findings f
LEFT JOIN {anvil}.records a ON a.stream = f.stream AND a.side = 'declared' AND a.kind = 'acceptance' AND a.name = f.finding_id::text
	AND a.type = '%s' AND a.event_time >= f.opened_at
	AND a.payload ->> 'expected' = f.finding ->> 'expected' AND a.payload ->> 'observed' = f.finding ->> 'observed'
	AND coalesce((a.payload ->> 'until')::timestamptz > now(), true)
WHERE f.open GROUP BY f.stream, f.model, f.severity, f.kind`, anvil.TypeAcceptanceDeclared),
		},
	}
}

// syncViews are about reading and folding.
func syncViews() []View {
	return []View{
		{
			Store: StorePostgres, Name: "sections",
			Tells: "How the reading of each section stands, one row for each section, corporation and state: how many characters, and when ESI last confirmed the oldest, the " +
				"median and the newest. The state is ok, or the class of the failure. Characters that are disabled, or nobody's, are left out.",
			SQL: `SELECT s.section, c.corporation_id, coalesce(min(n.name), '') AS corporation, coalesce(nullif(s.failure_class, ''), 'ok') AS state,
	count(*) AS characters, count(*) FILTER (WHERE s.validated_at IS NULL) AS never_read,
	min(s.validated_at) AS oldest_validated_at,
	percentile_disc(0.5) WITHIN GROUP (ORDER BY s.validated_at) AS median_validated_at,
	max(s.validated_at) AS newest_validated_at
FROM ingest.section_state s JOIN {characters}.characters c USING (character_id)
` + corporationName + ` c.corporation_id
WHERE NOT c.orphaned AND NOT c.disabled
GROUP BY s.section, c.corporation_id, coalesce(nullif(s.failure_class, ''), 'ok')`,
		},
		{
			Store: StorePostgres, Name: "esi_usage",
			Tells: "What ESI was asked, by day (UTC), group of routes and route: requests, those of them that said that nothing has changed, and tokens that they cost. Routes " +
				"without a group cost no tokens.",
			SQL: `SELECT u.day, u.rate_group, u.route, u.requests, u.not_modified, u.tokens FROM ingest.usage u`,
		},
		{
			Store: StorePostgres, Name: "projections",
			Tells: "The read models with the number and version of the generation that is live, since when, how many records it has taken and the moment of the last one.",
			SQL: `SELECT g.name AS projection, g.generation, g.version, g.promoted_at, coalesce(sum(c.records), 0)::bigint AS records, max(c.record_time) AS last_record_at
FROM runner.projections p JOIN runner.generations g ON g.name = p.name AND g.generation = p.live_generation
LEFT JOIN runner.checkpoints c ON c.name = g.name AND c.generation = g.generation
GROUP BY g.name, g.generation, g.version, g.promoted_at`,
		},
		{
			Store: StorePostgres, Name: "parked_events",
			Tells: "Events that the live read models have set aside, by read model, type and state (poisoned, waiting behind a poisoned one, or about to be tried again), with the " +
				"moment of the oldest. Streams are not named.",
			SQL: `SELECT k.name AS projection, k.type, k.state, count(*) AS events, min(k.parked_at) AS oldest_parked_at
FROM runner.parked k JOIN runner.projections p ON p.name = k.name AND p.live_generation = k.generation
GROUP BY k.name, k.type, k.state`,
		},
	}
}

// skillSetViews are about what characters can do.
func skillSetViews() []View {
	return []View{
		{
			Store: StorePostgres, Name: "skill_sets",
			Tells: "The skill sets that are shown to users, with how many skills each requires and recommends, and the groups that it is in. Hidden ones are left out.",
			SQL: `SELECT s.skill_set_id, s.name AS skill_set, count(k.required) AS required_skills, count(k.recommended) AS recommended_skills,
	ARRAY(SELECT g.name FROM {characters}.skill_set_memberships m JOIN {characters}.skill_set_groups g USING (skill_set_group_id)
		WHERE m.skill_set_id = s.skill_set_id ORDER BY lower(g.name)) AS groups
FROM {characters}.skill_sets s LEFT JOIN {characters}.skill_set_skills k USING (skill_set_id)
WHERE s.visible GROUP BY s.skill_set_id, s.name`,
		},
		{
			Store: StorePostgres, Name: "skill_set_readiness",
			Tells: "How many characters of a corporation have what each skill set requires, and how many have what it recommends, too, by active levels as last read. Characters are " +
				"those with an owner who is no guest; those whose skills were never read count as having none, and are counted. Hidden skill sets are left out.",
			SQL: fmt.Sprintf(`WITH needs AS (
	SELECT s.skill_set_id, k.type_id, coalesce(k.required, 0) AS required, greatest(coalesce(k.required, 0), coalesce(k.recommended, 0)) AS recommended
	FROM {characters}.skill_sets s JOIN {characters}.skill_set_skills k USING (skill_set_id) WHERE s.visible),
trained AS (
	SELECT e.character_id, e.key::bigint AS type_id, {characters}.number_of(e.value, 'active_skill_level') AS level
	FROM {characters}.elements e
	WHERE e.section = '%[1]s' AND e.list = 'skills' AND e.key IN (SELECT type_id::text COLLATE "C" FROM needs)),
holders AS (
	SELECT c.character_id, c.corporation_id, s.character_id IS NULL AS unread
	FROM {characters}.characters c JOIN {characters}.users u ON u.user_id = c.user_id
	LEFT JOIN {characters}.sections s ON s.character_id = c.character_id AND s.section = '%[1]s'
	WHERE NOT c.orphaned AND u.state <> '%[3]s'),
met AS (
	SELECT d.skill_set_id, t.character_id, count(*) FILTER (WHERE d.required > 0 AND t.level >= d.required) AS required,
		count(*) FILTER (WHERE d.recommended > 0 AND t.level >= d.recommended) AS recommended
	FROM needs d JOIN trained t USING (type_id) GROUP BY d.skill_set_id, t.character_id),
asked AS (
	SELECT s.skill_set_id, s.name, count(d.type_id) FILTER (WHERE d.required > 0) AS required, count(d.type_id) FILTER (WHERE d.recommended > 0) AS recommended
	FROM {characters}.skill_sets s LEFT JOIN needs d USING (skill_set_id) WHERE s.visible GROUP BY s.skill_set_id, s.name)
SELECT a.skill_set_id, a.name AS skill_set, h.corporation_id, coalesce(min(n.name), '') AS corporation, count(*) AS characters, count(*) FILTER (WHERE h.unread) AS unread,
	count(*) FILTER (WHERE coalesce(m.required, 0) >= a.required) AS ready,
	count(*) FILTER (WHERE coalesce(m.recommended, 0) >= a.recommended) AS ready_as_recommended
FROM asked a CROSS JOIN holders h LEFT JOIN met m ON m.skill_set_id = a.skill_set_id AND m.character_id = h.character_id
%[2]s h.corporation_id
GROUP BY a.skill_set_id, a.name, h.corporation_id`, eve.SectionSkills, corporationName, access.StateGuest),
		},
	}
}

// clickhouseViews are about what was true when.
//
// Joins say GLOBAL, so that a server of a cluster asks all others. The first known
// corporation of a character counts from the beginning, as in the API's figures.
func clickhouseViews() []View {
	const membership = `(SELECT character_id, corporation_id, if(row_number() OVER (PARTITION BY character_id ORDER BY since) = 1, toDateTime64(0, 3, 'UTC'), since) AS since
	FROM {wallet}.affiliations FINAL)`
	return []View{
		{
			Store: StoreClickHouse, Name: "wallet_by_day",
			Tells: "What the wallets of a corporation's characters took in and gave out, by day (UTC), corporation at that moment and type of entry, in ISK. Entries that retention has " +
				"removed are not counted. Nobody's wallet is named, but a corporation with one member is one person.",
			SQL: `SELECT toDate(j.date) AS day, a.corporation_id AS corporation_id, j.ref_type AS ref_type, count() AS entries,
	sumIf(j.amount, j.amount > 0) AS income, sumIf(j.amount, j.amount < 0) AS expenses, sum(j.tax) AS tax
FROM (SELECT character_id, toDateTime64(date, 3, 'UTC') AS date, ref_type, amount, tax FROM {wallet}.wallet_journal FINAL) AS j
GLOBAL ASOF LEFT JOIN ` + membership + ` AS a ON a.character_id = j.character_id AND j.date >= a.since
GROUP BY day, corporation_id, ref_type`,
		},
		{
			Store: StoreClickHouse, Name: "wallet_balances",
			Tells: "What the wallets of a corporation's characters hold, as last read, in ISK, with how many characters these are and when the oldest of these readings was told.",
			SQL: `SELECT a.corporation_id AS corporation_id, count() AS characters, sum(b.balance) AS balance, min(b.at) AS oldest_at
FROM (SELECT character_id, argMax(balance, observed_at) AS balance, max(observed_at) AS at FROM {wallet}.balances FINAL GROUP BY character_id) AS b
GLOBAL LEFT JOIN (SELECT character_id, argMax(corporation_id, since) AS corporation_id FROM {wallet}.affiliations FINAL GROUP BY character_id) AS a
	ON a.character_id = b.character_id
GROUP BY corporation_id`,
		},
		{
			Store: StoreClickHouse, Name: "compliance_by_day",
			Tells: "How many users reports considered and how many of them were compliant at the end of each day (UTC) on which that changed, and how many had each fault. Days " +
				"without a change have no row: the one before holds.",
			SQL: `SELECT day, sum(users_by) OVER w AS users, sum(compliant_by) OVER w AS compliant, sum(no_main_by) OVER w AS no_main,
	sum(never_registered_by) OVER w AS never_registered, sum(login_lost_by) OVER w AS login_lost
FROM (SELECT toDate(since) AS day, sum(is - was) AS users_by, sum(is_compliant - was_compliant) AS compliant_by, sum(is_no_main - was_no_main) AS no_main_by,
		sum(is_never - was_never) AS never_registered_by, sum(is_lost - was_lost) AS login_lost_by
	FROM (SELECT since, toInt64(considered) AS is, toInt64(considered AND compliant) AS is_compliant, toInt64(considered AND no_main) AS is_no_main,
			toInt64(considered AND never_registered) AS is_never, toInt64(considered AND login_lost) AS is_lost,
			lagInFrame(is, 1, 0) OVER u AS was, lagInFrame(is_compliant, 1, 0) OVER u AS was_compliant, lagInFrame(is_no_main, 1, 0) OVER u AS was_no_main,
			lagInFrame(is_never, 1, 0) OVER u AS was_never, lagInFrame(is_lost, 1, 0) OVER u AS was_lost
		FROM {organisation}.compliance FINAL
		WINDOW u AS (PARTITION BY user_id ORDER BY since, log_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
	GROUP BY day)
WINDOW w AS (ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)`,
		},
		{
			Store: StoreClickHouse, Name: "looks_by_day",
			Tells: "How often data of others was looked at, by day (UTC), section and right by which it was seen. Neither who looked nor whose data it was is in it.",
			SQL: `SELECT toDate(last_at) AS day, section, way, sum(count) AS looks, uniqExact(viewer_id) AS viewers
FROM {organisation}.looks FINAL GROUP BY day, section, way`,
		},
		{
			Store: StoreClickHouse, Name: "anvil_audits",
			Tells: "What each audit of a consortium came to, by model: records audited, verified, with errors, beyond what is declared, unknown, not in the application, ignored and " +
				"not listed. The verified rate is verified by audited.",
			SQL: `SELECT consortium, model, audited_at, audited, verified, errors, beyond, unknown, not_in_app, ignored, unlisted FROM {anvil_history}.audits FINAL`,
		},
		{
			Store: StoreClickHouse, Name: "anvil_sweeps",
			Tells: "The sweeps of consortia: when each began, whether it was completed, how long it took, and how many calls, retries, observations and records unseen it had.",
			SQL:   `SELECT consortium, started_at, completed, milliseconds, scoped, covered, calls, retries, observed, unseen FROM {anvil_history}.sweeps FINAL`,
		},
		{
			Store: StoreClickHouse, Name: "anvil_finding_steps",
			Tells: "How many findings of a consortium were opened, changed, resolved and so on, by day (UTC), model, kind and severity.",
			SQL: `SELECT toDate(at) AS day, consortium, model, kind, severity, step, count() AS steps
FROM {finding_steps}.finding_steps FINAL GROUP BY day, consortium, model, kind, severity, step`,
		},
		{
			Store: StoreClickHouse, Name: "sync_steps",
			Tells: "What the log says of the reading of sections, by hour (UTC), section, step and class of failure: something new was told, a spell of failures began or ended.",
			SQL: `SELECT toStartOfHour(toDateTime(at, 'UTC')) AS hour, section, step, class, count() AS steps
FROM {records}.sync_steps FINAL GROUP BY hour, section, step, class`,
		},
		{
			Store: StoreClickHouse, Name: "events",
			Tells: "How many events the log has, and the bytes of their values, by hour (UTC) of what they tell of, world and type.",
			SQL: `SELECT toStartOfHour(toDateTime(time, 'UTC')) AS hour, world, type, count() AS events, sum(size) AS bytes
FROM {event_index}.event_index FINAL GROUP BY hour, world, type`,
		},
	}
}
