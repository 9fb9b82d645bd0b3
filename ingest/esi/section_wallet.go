package esi

import (
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// wallet is the balance of a character's wallet.
func wallet() Section {
	return Section{
		Name:  eve.SectionWallet,
		Route: catalogue.CharacterWallet(),
		Changes: snapshot(eve.SectionWallet, func(value []byte) error {
			_, err := eve.DecodeWallet(value)
			return err
		}),
	}
}
