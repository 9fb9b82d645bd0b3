package eve

import (
	"encoding/json"
	"math/big"
)

// Skills that change how others see a character.
const (
	SkillDiplomacy   = 3357
	SkillConnections = 3359
)

// How somebody stands, as the game's own lists group it.
const (
	StandingExcellent = "excellent"
	StandingGood      = "good"
	StandingNeutral   = "neutral"
	StandingBad       = "bad"
	StandingTerrible  = "terrible"
)

// StandingLevel is the group that a standing is in: above 5, above 0, 0, down to -5,
// below. It is empty for what is no number.
func StandingLevel(standing json.Number) string {
	s, is := rational(standing)
	switch {
	case !is:
		return ""
	case s.Cmp(big.NewRat(5, 1)) > 0:
		return StandingExcellent
	case s.Sign() > 0:
		return StandingGood
	case s.Sign() == 0:
		return StandingNeutral
	case s.Cmp(big.NewRat(-5, 1)) >= 0:
		return StandingBad
	default:
		return StandingTerrible
	}
}

// EffectiveStanding is what a standing with somebody of the game comes to by the
// character's skills: each level of Connections brings a good one, each of Diplomacy a
// bad one, four hundredths of the way to 10. It is rounded to four decimals, halves away
// from zero; false for what is no number. Criminal Connections is not counted: ESI does
// not say whose corporations are criminal, and Member Audit leaves it out, too.
func EffectiveStanding(standing json.Number, connections, diplomacy int) (json.Number, bool) {
	s, is := rational(standing)
	if !is {
		return "", false
	}
	level := 0
	switch s.Sign() {
	case 1:
		level = connections
	case -1:
		level = diplomacy
	}
	gain := new(big.Rat).Sub(big.NewRat(10, 1), s)
	gain.Mul(gain, big.NewRat(4*int64(level), 100))
	return decimals(s.Add(s, gain), 4), true
}

// IsNPC tells whether somebody belongs to the game and to no player, which the ranges of
// ids say. kind is ESI's word for what it is, such as character or corporation.
func IsNPC(kind string, id int64) bool {
	switch kind {
	case "faction", "agent", "npc_corp":
		return true
	case "character":
		return id >= 3_000_000 && id < 4_000_000
	case "corporation":
		return id >= 1_000_000 && id < 2_000_000
	default:
		return false
	}
}

// rational is a JSON number to the letter; false for what is none, or is hostile.
func rational(n json.Number) (*big.Rat, bool) {
	if len(n) > maxISKText {
		return nil, false
	}
	if f, err := n.Float64(); err != nil || f > 1e17 || f < -1e17 || f != 0 && f < 1e-17 && f > -1e-17 {
		return nil, false
	}
	return new(big.Rat).SetString(string(n))
}

// decimals is a number with at most so many decimals, without zeros at its end.
func decimals(r *big.Rat, most int) json.Number {
	text := []byte(r.FloatString(most))
	if most > 0 {
		for text[len(text)-1] == '0' {
			text = text[:len(text)-1]
		}
		if text[len(text)-1] == '.' {
			text = text[:len(text)-1]
		}
	}
	if string(text) == "-0" {
		return "0"
	}
	return json.Number(text)
}
