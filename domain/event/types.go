package event

import (
	"strconv"
	"strings"
)

// Type names a kind of fact in the past tense and the version of its value:
// muster.<world>.<thing>.<happened>.v<N>.
type Type string

// TypeExpired is the type in the headers of a tombstone.
const TypeExpired Type = "muster.retention.expired.v1"

// Topics of the log. Which topic an event goes to follows from its type.
const (
	TopicEVE    = "muster.eve.v1"
	TopicAnVIL  = "muster.anvil.v1"
	TopicAccess = "muster.access.v1"
	TopicPoison = "muster.poison.v1"
)

// Topics lists the topics that hold facts, in a fixed order. The poison topic
// holds copies and is not among them.
func Topics() []string { return []string{TopicEVE, TopicAnVIL, TopicAccess} }

// World is the second part of the name, such as "eve".
func (t Type) World() string {
	parts := strings.SplitN(string(t), ".", 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

// Version is the N of the name's last part, written without a sign or leading
// zeros; 0 if it has none.
func (t Type) Version() int {
	i := strings.LastIndex(string(t), ".v")
	if i < 0 {
		return 0
	}
	text := string(t[i+2:])
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || strconv.Itoa(n) != text {
		return 0
	}
	return n
}

// Validate reports a name that does not follow the pattern, as [CodeInvalid].
func (t Type) Validate() error {
	if t == TypeExpired {
		return nil
	}
	parts := strings.Split(string(t), ".")
	ok := len(parts) >= 5 && parts[0] == "muster" && t.Version() > 0
	for _, p := range parts {
		ok = ok && p != ""
	}
	if !ok {
		return Errorf(CodeInvalid, "event type %q: must be muster.<world>.<thing>.<happened>.v<N>", string(t))
	}
	if _, known := topicOfWorld(t.World()); !known {
		return Errorf(CodeInvalid, "event type %q: world %q has no topic; known are eve, anvil, access", string(t), t.World())
	}
	return nil
}

// Topic is the topic that events of the type go to. A tombstone goes where the
// event that it removes lies, so its topic follows from that event's type.
func (t Type) Topic() (string, error) {
	topic, ok := topicOfWorld(t.World())
	if !ok {
		return "", Errorf(CodeInvalid, "event type %q: world %q has no topic; known are eve, anvil, access", string(t), t.World())
	}
	return topic, nil
}

func topicOfWorld(world string) (string, bool) {
	switch world {
	case "eve":
		return TopicEVE, true
	case "anvil":
		return TopicAnVIL, true
	case "access":
		return TopicAccess, true
	default:
		return "", false
	}
}
