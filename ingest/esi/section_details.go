package esi

import (
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// details is the public side of a character: name, corporation, alliance.
func details() Section {
	return Section{
		Name:  eve.SectionDetails,
		Route: catalogue.CharacterDetails(),
		Changes: snapshot(eve.SectionDetails, func(value []byte) error {
			_, err := eve.DecodeDetails(value)
			return err
		}),
	}
}
