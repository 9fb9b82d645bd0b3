package transport

import "encoding/json"

// validJSON tells whether an answer is one JSON value and nothing else. What takes
// answers apart later relies on it. The checks of faster decoders let some of what is
// no JSON pass, such as control characters in texts; see BenchmarkAssetPage in
// domain/eve for what that would save.
func validJSON(body []byte) bool { return json.Valid(body) }
