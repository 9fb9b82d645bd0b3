package transport

import "github.com/muster-sync/muster/domain/event"

// validJSON tells whether an answer is one JSON value and nothing else. What takes
// answers apart later relies on it. The checks of faster decoders let some of what is
// no JSON pass, such as control characters in texts.
func validJSON(body []byte) bool { return event.ValidJSON(body) }
