package esi

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWhatIsPackedComesOutAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "piece"), rapid.IntRange(1, 50).Draw(t, "times"))
		got, err := decompress(compress(plain))
		require.NoError(t, err)
		require.Equal(t, plain, got)
	})
}

func TestWhatAnEarlierVersionPackedIsRead(t *testing.T) {
	plain := bytes.Repeat([]byte(`{"id":1}`), 100)
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	got, err := decompress(encoder.EncodeAll(plain, nil))
	require.NoError(t, err)
	require.Equal(t, plain, got)
}

func TestWhatIsSpoiltIsRefused(t *testing.T) {
	whole := compress(bytes.Repeat([]byte(`{"id":1}`), 100))
	for name, spoilt := range map[string][]byte{
		"cut off": whole[:len(whole)-1], "no size": {packed}, "far too long": {packed, 0xff, 0xff, 0xff, 0xff, 0x0f}, "another format": []byte(`[{"id":1}]`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decompress(spoilt)
			require.Error(t, err)
		})
	}
}

func FuzzDecompress(f *testing.F) {
	f.Add(compress([]byte(`[{"id":1}]`)))
	f.Add([]byte{packed})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Fuzz(func(t *testing.T, stored []byte) {
		if len(stored) > 1<<10 {
			return
		}
		plain, err := decompress(stored)
		if err == nil && len(plain) > 0 {
			again, err := decompress(compress(plain))
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, again))
		}
	})
}
