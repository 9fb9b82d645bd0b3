package esi

import (
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/ingest/esi/catalogue"
)

// location is the solar system, station or structure that a character is in.
func location() Section {
	return Section{
		Name:  eve.SectionLocation,
		Route: catalogue.CharacterLocation(),
		Changes: snapshot(eve.SectionLocation, func(value []byte) error {
			_, err := eve.DecodeLocation(value)
			return err
		}),
	}
}
