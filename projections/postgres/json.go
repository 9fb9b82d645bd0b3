package postgres

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// storable makes JSON what Postgres takes and can read fields of: bytes that are
// no UTF-8, NUL and halves of surrogate pairs become U+FFFD, for one such text
// must not stop a projection. Everything else stays to the letter.
func storable(raw []byte) string {
	text := string(raw)
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	if strings.IndexByte(text, '\\') < 0 {
		return text
	}
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); {
		switch {
		case text[i] != '\\' || i+1 == len(text):
			out.WriteByte(text[i])
			i++
		case text[i+1] != 'u':
			out.WriteString(text[i : i+2])
			i += 2
		default:
			n := escapeAt(text[i:])
			if n == 0 {
				out.WriteString(`\ufffd`)
				n = len(`\u0000`)
			} else {
				out.WriteString(text[i : i+n])
			}
			i = min(i+n, len(text))
		}
	}
	return out.String()
}

// maxKey is how long a key may be; an index takes a few times as much.
const maxKey = 500

// storableKey is the key as it is stored: as it is, unless Postgres would not take
// it.
func storableKey(key string) string {
	if !utf8.ValidString(key) || strings.Contains(key, "\x00") {
		key = strconv.Quote(key)
	}
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:])
	}
	return key
}

// escapeAt is the length of the escape that text begins with, both halves of a
// pair together; 0 for one that is no character.
func escapeAt(text string) int {
	const length = len(`\u0000`)
	high, ok := unitAt(text)
	switch {
	case !ok || high == 0 || (high >= 0xDC00 && high < 0xE000):
		return 0
	case high < 0xD800 || high >= 0xE000:
		return length
	}
	low, ok := unitAt(text[length:])
	if !ok || low < 0xDC00 || low >= 0xE000 {
		return 0
	}
	return 2 * length
}

// unitAt reads the escape \uXXXX that text begins with.
func unitAt(text string) (unit uint32, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range []byte(text[2:6]) {
		unit <<= 4
		switch {
		case c >= '0' && c <= '9':
			unit |= uint32(c - '0')
		case c >= 'a' && c <= 'f':
			unit |= uint32(c-'a') + 10
		case c >= 'A' && c <= 'F':
			unit |= uint32(c-'A') + 10
		default:
			return 0, false
		}
	}
	return unit, true
}

// fieldsOf are the fields of a JSON object, their values to the letter.
func fieldsOf(raw string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &fields); err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	return fields, nil
}

// objectOf is the object with the fields in order of their names, numbers and
// texts as they were written.
func objectOf(fields map[string]json.RawMessage) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(fields); err != nil {
		return "", fmt.Errorf("writing a record: %w", err)
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}
