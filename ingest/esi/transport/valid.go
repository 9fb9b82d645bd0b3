package transport

import "encoding/json"

// validJSON tells whether an answer is one JSON value and nothing else.
func validJSON(body []byte) bool { return json.Valid(body) }
