package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// A token is its prefix, by which those who scan for secrets find it, random text and
// the checksum of both: what was never issued is told apart without asking anybody.
// As a pattern: muster_tok_[A-Z2-7]{59}.
const (
	// Prefix begins every token.
	Prefix = "muster_tok_"

	// randomSize is that of two texts of [rand.Text], 260 bits.
	randomSize = 52
	sumSize    = 7
)

func newSecret() string {
	text := Prefix + rand.Text() + rand.Text()
	return text + checksum(text)
}

// checksum is the CRC-32 of a text, in base 32.
func checksum(text string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))
}

// WellFormed tells whether a text looks like a token. Whether it is one is for
// [Tokens.Authenticate] to say.
func WellFormed(text string) bool {
	if len(text) != len(Prefix)+randomSize+sumSize || !strings.HasPrefix(text, Prefix) {
		return false
	}
	body, sum := text[:len(Prefix)+randomSize], text[len(Prefix)+randomSize:]
	return checksum(body) == sum
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
