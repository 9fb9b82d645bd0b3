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
	// Bids is how often the bids on an auction are looked at while it runs: 235
	// minutes, as the contracts.
	Bids time.Duration
}

// defaultMails is Member Audit's MEMBERAUDIT_MAX_MAILS.
const defaultMails = 250

const defaultBids = 235 * time.Minute

// Sections lists the sections that are synced.
func Sections(options Options) []Section {
	if options.Mails <= 0 {
		options.Mails = defaultMails
	}
	return []Section{
		simple(eve.SectionDetails, catalogue.CharacterDetails()),
		simple(eve.SectionCorporationHistory, catalogue.CharacterCorporationHistory()),
		assets(),
		simple(eve.SectionAttributes, catalogue.CharacterAttributes()),
		contacts(),
		contracts(),
		simple(eve.SectionImplants, catalogue.CharacterImplants()),
		simple(eve.SectionClones, catalogue.CharacterClones()),
		simple(eve.SectionLocation, catalogue.CharacterLocation()),
		simple(eve.SectionLoyalty, catalogue.CharacterLoyaltyPoints()),
		mails(options.Mails),
		simple(eve.SectionOnline, catalogue.CharacterOnline()),
		simple(eve.SectionShip, catalogue.CharacterShip()),
		simple(eve.SectionSkills, catalogue.CharacterSkills()),
		simple(eve.SectionSkillQueue, catalogue.CharacterSkillQueue()),
		simple(eve.SectionWallet, catalogue.CharacterWallet()),
		walletJournal(),
		transactions(),
		simple(eve.SectionFWStats, catalogue.CharacterFactionWarfareStats()),
		mining(),
		simple(eve.SectionPlanets, catalogue.CharacterPlanets()),
		simple(eve.SectionRoles, catalogue.CharacterRoles()),
		simple(eve.SectionStandings, catalogue.CharacterStandings()),
		simple(eve.SectionTitles, catalogue.CharacterTitles()),
		orders(),
		industryJobs(),
		heavy(simple(eve.SectionBlueprints, catalogue.CharacterBlueprints())),
		killmails(),
		notifications(),
		calendar(),
		simple(eve.SectionFatigue, catalogue.CharacterFatigue()),
		simple(eve.SectionMedals, catalogue.CharacterMedals()),
		simple(eve.SectionResearch, catalogue.CharacterAgentsResearch()),
		simple(eve.SectionFittings, catalogue.CharacterFittings()),
	}
}

// simple is a section that is the value of one route.
func simple(name eve.Section, route catalogue.Route) Section {
	return Section{Name: name, Parts: []Part{{Route: route}}, Changes: value(name, only)}
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
