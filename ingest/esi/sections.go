package esi

import (
	"net/url"
	"time"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// Options are what can be set about how sections are read. Zero values mean the
// defaults named.
type Options struct {
	// Mails is how many headers of mails are read, rounded up to whole pages of
	// 50: 250, as Member Audit does.
	Mails int
	// Intervals are the times between two readings of sections. The pace of what is
	// fetched apart follows from them: a section that is not named has Member Audit's
	// middle ring, 235 minutes.
	Intervals map[eve.Section]time.Duration
	// SpareIdle leaves out readings that cannot bring anything new because the
	// character has not logged in since the last one.
	SpareIdle bool
}

// interval is the time between two readings of a section.
func (o Options) interval(section eve.Section) time.Duration {
	if d, ok := o.Intervals[section]; ok {
		return d
	}
	return middleRing
}

// middleRing is Member Audit's MEMBERAUDIT_UPDATE_STALE_RING_2 of 240 minutes less
// the offset of five.
const middleRing = 235 * time.Minute

// defaultMails is Member Audit's MEMBERAUDIT_MAX_MAILS.
const defaultMails = 250

// Sections lists the sections that are synced.
func Sections(options Options) []Section {
	if options.Mails <= 0 {
		options.Mails = defaultMails
	}
	return []Section{
		simple(eve.SectionDetails, catalogue.CharacterDetails()),
		simple(eve.SectionCorporationHistory, catalogue.CharacterCorporationHistory()),
		assets(),
		played(simple(eve.SectionAttributes, catalogue.CharacterAttributes())),
		played(contacts()),
		contracts(),
		played(simple(eve.SectionImplants, catalogue.CharacterImplants())),
		played(simple(eve.SectionClones, catalogue.CharacterClones())),
		played(simple(eve.SectionLocation, catalogue.CharacterLocation())),
		played(simple(eve.SectionLoyalty, catalogue.CharacterLoyaltyPoints())),
		mails(options.Mails),
		simple(eve.SectionOnline, catalogue.CharacterOnline()),
		played(simple(eve.SectionShip, catalogue.CharacterShip())),
		played(simple(eve.SectionSkills, catalogue.CharacterSkills())),
		played(simple(eve.SectionSkillQueue, catalogue.CharacterSkillQueue())),
		simple(eve.SectionWallet, catalogue.CharacterWallet()),
		walletJournal(),
		transactions(),
		simple(eve.SectionFWStats, catalogue.CharacterFactionWarfareStats()),
		played(mining()),
		played(simple(eve.SectionPlanets, catalogue.CharacterPlanets())),
		simple(eve.SectionRoles, catalogue.CharacterRoles()),
		played(simple(eve.SectionStandings, catalogue.CharacterStandings())),
		simple(eve.SectionTitles, catalogue.CharacterTitles()),
		orders(),
		industryJobs(),
		heavy(simple(eve.SectionBlueprints, catalogue.CharacterBlueprints())),
		killmails(),
		notifications(),
		calendar(),
		played(simple(eve.SectionFatigue, catalogue.CharacterFatigue())),
		simple(eve.SectionMedals, catalogue.CharacterMedals()),
		played(simple(eve.SectionResearch, catalogue.CharacterAgentsResearch())),
		played(simple(eve.SectionFittings, catalogue.CharacterFittings())),
	}
}

// simple is a section that is the value of one route.
func simple(name eve.Section, route catalogue.Route) Section {
	return Section{Name: name, Parts: []Part{{Route: route}}, Changes: value(name, only)}
}

// played is a section that changes only while its character is being played.
func played(s Section) Section {
	s.Played = true
	return s
}

func heavy(s Section) Section {
	s.Heavy = true
	return s
}

// industryJobs lists the jobs of the last 90 days, delivered ones too.
func industryJobs() Section {
	s := simple(eve.SectionIndustryJobs, catalogue.CharacterIndustryJobs())
	s.Parts[0].Query = url.Values{"include_completed": {"true"}}
	return s
}
