package esi

import (
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// packed begins what is kept in S2; what earlier versions kept is a frame of zstd, which
// begins otherwise. S2 takes a quarter of the time, which most of what is kept is not
// worth: it is replaced within the hour.
const packed = 0x01

// mostPlain bounds what is unpacked.
const mostPlain = 256 << 20

// unzstd reads what earlier versions kept. Coders are costly to make and safe to share,
// so there is one.
var unzstd = sync.OnceValue(func() *zstd.Decoder {
	// It fails only with wrong options.
	d, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(mostPlain))
	return d
})

// compress makes the compressed form of what is kept.
func compress(plain []byte) []byte {
	out := make([]byte, 1+s2.MaxEncodedLen(len(plain)))
	out[0] = packed
	return out[:1+len(s2.Encode(out[1:], plain))]
}

func decompress(stored []byte) ([]byte, error) {
	if len(stored) == 0 || stored[0] != packed {
		plain, err := unzstd().DecodeAll(stored, nil)
		if err != nil {
			return nil, fmt.Errorf("unpacking: %w", err)
		}
		return plain, nil
	}
	size, err := s2.DecodedLen(stored[1:])
	if err == nil && size > mostPlain {
		err = zstd.ErrDecoderSizeExceeded
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	plain, err := s2.Decode(nil, stored[1:])
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return plain, nil
}

// printable makes foreign text storable as text.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}
