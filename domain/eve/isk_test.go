package eve_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

func TestParseISKRoundsHalvesAwayFromZero(t *testing.T) {
	for text, want := range map[string]eve.ISK{
		"0":                   0,
		"-0":                  0,
		"0.0":                 0,
		"12":                  1200,
		"12.3":                1230,
		"12.34":               1234,
		"243877.49999999997":  24387750,
		"0.004999":            0,
		"0.005":               1,
		"-0.005":              -1,
		"-1.015":              -102,
		"1e3":                 100000,
		"1.5E-1":              15,
		"9000000000000000":    900000000000000000,
		"-90000000000000000":  -9000000000000000000,
		"99999999999999.99":   9999999999999999,
		"1234567890123456.78": 123456789012345678,
	} {
		got, err := eve.ParseISK(json.Number(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParseISKRefusesWhatIsNoAmount(t *testing.T) {
	for _, text := range []string{
		"", "-", ".", "-.5", ".5", "5.", "007", "-01", "1,5", "0x10", "NaN", "Infinity", "null", "true", `"1"`, "1 ", "1e", "--1",
		"1e300", "-1e18", "100000000000000001", "1e999999999",
	} {
		_, err := eve.ParseISK(json.Number(text))
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), "%q", text)
	}
}

func TestISKIsWrittenAndReadWithoutLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := eve.ISK(rapid.Int64Range(-9_000_000_000_000_000_000, 9_000_000_000_000_000_000).Draw(t, "amount"))
		read, err := eve.ParseISK(json.Number(a.String()))
		require.NoError(t, err)
		require.Equal(t, a, read)

		encoded, err := json.Marshal(a)
		require.NoError(t, err)
		var decoded eve.ISK
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		require.Equal(t, a, decoded)
	})
	require.Equal(t, "-92233720368547758.08", eve.ISK(math.MinInt64).String())
}

// exact rounds by rational numbers, the slow and obvious way.
func exact(text string) *big.Int {
	r, _ := new(big.Rat).SetString(text)
	r.Mul(r, big.NewRat(100, 1))
	rounded := r.FloatString(0) // rounds halves away from zero
	i, _ := new(big.Int).SetString(rounded, 10)
	return i
}

func TestParseISKAgreesWithRationalNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := fmt.Sprintf("%d", rapid.Int64Range(-1e15, 1e15).Draw(t, "whole"))
		if tail := rapid.StringMatching(`[0-9]{0,20}`).Draw(t, "tail"); tail != "" {
			text += "." + tail
		}
		got, err := eve.ParseISK(json.Number(text))
		require.NoError(t, err)
		require.Equal(t, exact(text).String(), fmt.Sprint(int64(got)))
	})
}

func FuzzParseISK(f *testing.F) {
	for _, seed := range []string{"0", "-1.5", "1e17", "243877.49999999997", "007", "1e-400", "", "-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := eve.ParseISK(json.Number(text))
		if err != nil {
			require.Equal(t, event.CodeInvalid, event.CodeOf(err))
			return
		}
		require.True(t, json.Valid([]byte(text)), "%q was accepted", text)
		require.Equal(t, exact(text).String(), fmt.Sprint(int64(got)), "%q", text)
	})
}
