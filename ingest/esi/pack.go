package esi

import (
	"fmt"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

type coders struct {
	in  *zstd.Encoder
	out *zstd.Decoder
}

// packer makes and reads the compressed form of what is kept. Coders are costly
// to make and safe to share, so there is one.
var packer = sync.OnceValue(func() (p coders) {
	// Neither fails without a reader, a writer or wrong options.
	p.in, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true))
	p.out, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(256<<20))
	return p
})

func compress(plain []byte) []byte { return packer().in.EncodeAll(plain, nil) }

func decompress(packed []byte) ([]byte, error) {
	plain, err := packer().out.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	return plain, nil
}

// printable makes foreign text storable as text.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
}
