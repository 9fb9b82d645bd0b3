package event

import (
	"strconv"
	"strings"
)

// Stream names the thing an event is about, such as "eve:character:90000001".
// All events of a stream lie in one partition, in order.
type Stream string

// Org is the stream of facts about the EVE organisation as a whole.
const Org Stream = "eve:org"

// Roles is the stream of the roles that users may hold and of the tokens that programs
// hold for nobody's sake. It is not that of the organisation because its events lie in
// another topic, and the decisions of a stream are in order only within one.
const Roles Stream = "eve:roles"

const (
	characterPrefix  = "eve:character:"
	userPrefix       = "eve:user:"
	consortiumPrefix = "anvil:"
	maxStreamLen     = 200
)

// Character is the stream of one EVE character.
func Character(id int64) Stream {
	return Stream(characterPrefix + strconv.FormatInt(id, 10))
}

// User is the stream of one user of Muster.
func User(id string) Stream { return Stream(userPrefix + id) }

// Consortium is the stream of one AnVIL consortium: its declarations and
// observations have one total order.
func Consortium(name string) Stream { return Stream(consortiumPrefix + name) }

// CharacterID is the id of a character's stream; false for other streams, and
// for an id that is not written as [Character] writes it: one character must not
// have two streams.
func (s Stream) CharacterID() (int64, bool) {
	text, ok := strings.CutPrefix(string(s), characterPrefix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(id, 10) != text {
		return 0, false
	}
	return id, true
}

// UserID is the id of a user's stream; false for other streams.
func (s Stream) UserID() (string, bool) { return strings.CutPrefix(string(s), userPrefix) }

// ConsortiumName is the name of a consortium's stream; false for other streams.
func (s Stream) ConsortiumName() (string, bool) {
	return strings.CutPrefix(string(s), consortiumPrefix)
}

// Validate reports a name that can be no stream, as [CodeInvalid].
func (s Stream) Validate() error {
	if len(s) > maxStreamLen {
		return Errorf(CodeInvalid, "stream %.40q... is %d bytes long: at most %d are allowed", string(s), len(s), maxStreamLen)
	}
	if strings.ContainsAny(string(s), "/\x00\n\r") {
		return Errorf(CodeInvalid, "stream %q: '/', line ends and NUL are not allowed in a stream's name", string(s))
	}
	if id, ok := s.CharacterID(); ok && id > 0 {
		return nil
	}
	if id, ok := s.UserID(); ok && id != "" {
		return nil
	}
	if name, ok := s.ConsortiumName(); ok && name != "" {
		return nil
	}
	if s == Org || s == Roles {
		return nil
	}
	return Errorf(CodeInvalid, "stream %q: must be eve:character:<id>, eve:user:<id>, eve:org, eve:roles or anvil:<consortium>", string(s))
}

// ParseKey splits a record key into its stream and the text of the event's id.
func ParseKey(key string) (Stream, string, error) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return "", "", Errorf(CodeInvalid, "record key %q: must be <stream>/<event id>", key)
	}
	return Stream(key[:i]), key[i+1:], nil
}
