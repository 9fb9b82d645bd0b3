package eve

// MilitiaRank is the name of a rank in the militia of a faction, from 0 to 9; empty for
// what is none.
func MilitiaRank(faction, rank int64) string {
	ranks := map[int64][10]string{
		500001: {"Protectorate Ensign", "Second Lieutenant", "First Lieutenant", "Captain", "Major", "Lieutenant Colonel", "Colonel", "Wing Commander", "Strategic Commander", "Protector General"},
		500002: {"Nation Warrior", "Spike Lieutenant", "Spear Lieutenant", "Venge Captain", "Lance Commander", "Blade Commander", "Talon Commander", "Voshud Major", "Matar Colonel", "Valklear General"},
		500003: {"Paladin Crusader", "Templar Lieutenant", "Cardinal Lieutenant", "Arch Lieutenant", "Imperial Major", "Marshal Commander", "Imperator Commander", "Tribunus Colonel", "Legatus Commodore", "Divine Commodore"},
		500004: {"Federation Minuteman", "Defender Lieutenant", "Guardian Lieutenant", "Lieutenant Sentinel", "Shield Commander", "Aegis Commander", "Vice Commander", "Major General", "Lieutenant General", "Luminaire General"},
	}
	of, known := ranks[faction]
	if !known || rank < 0 || rank >= int64(len(of)) {
		return ""
	}
	return of[rank]
}
