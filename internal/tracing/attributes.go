package tracing

import "go.opentelemetry.io/otel/attribute"

// Attributes that spans of several parts have, so that they are searched for by one name.
const (
	// CharacterID is the character that a span is about.
	CharacterID = attribute.Key("muster.character_id")
	// Events is how many events came of it.
	Events = attribute.Key("muster.events")
)
