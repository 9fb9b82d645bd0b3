// Code generated from ESI's OpenAPI document by ./gen. DO NOT EDIT.

package catalogue

import "time"

// CompatibilityDate is the date of ESI's shape that the catalogue was made for.
const CompatibilityDate = "2026-08-04"

// Routes lists all routes of the catalogue.
func Routes() []Route {
	return []Route{
		CharacterDetails(),
		CharacterLocation(),
		CharacterWallet(),
		CharacterWalletJournal(),
	}
}

// CharacterDetails is the route that ESI calls: get character's public information.
func CharacterDetails() Route {
	return Route{
		Operation: "GetCharactersDetail",
		Method:    "GET",
		Template:  "/characters/{character_id}",
		TTL:       86400 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2026-06-09",
	}
}

// CharacterLocation is the route that ESI calls: get character location.
func CharacterLocation() Route {
	return Route{
		Operation: "GetCharactersCharacterIdLocation",
		Method:    "GET",
		Template:  "/characters/{character_id}/location",
		Scopes:    []string{"esi-location.read_location.v1"},
		Group:     "char-location",
		MaxTokens: 1200,
		Window:    900 * time.Second,
		TTL:       5 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterWallet is the route that ESI calls: get a character's wallet balance.
func CharacterWallet() Route {
	return Route{
		Operation: "GetCharactersCharacterIdWallet",
		Method:    "GET",
		Template:  "/characters/{character_id}/wallet",
		Scopes:    []string{"esi-wallet.read_character_wallet.v1"},
		Group:     "char-wallet",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       120 * time.Second,
		Cache:     TTLBased,
		Paging:    Single,
		Since:     "2020-01-01",
	}
}

// CharacterWalletJournal is the route that ESI calls: get character wallet journal.
func CharacterWalletJournal() Route {
	return Route{
		Operation: "GetCharactersCharacterIdWalletJournal",
		Method:    "GET",
		Template:  "/characters/{character_id}/wallet/journal",
		Scopes:    []string{"esi-wallet.read_character_wallet.v1"},
		Group:     "char-wallet",
		MaxTokens: 150,
		Window:    900 * time.Second,
		TTL:       3600 * time.Second,
		Cache:     TTLBased,
		Paging:    Pages,
		Since:     "2020-01-01",
	}
}
