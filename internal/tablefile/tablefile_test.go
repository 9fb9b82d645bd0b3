package tablefile_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/muster-sync/muster/internal/tablefile"
)

var at = time.Date(2026, 5, 1, 14, 0, 0, 0, time.FixedZone("", 2*60*60))

func columns() []tablefile.Column {
	return []tablefile.Column{
		{Name: "zeta", Kind: tablefile.Text},
		{Name: "id", Kind: tablefile.Integer},
		{Name: "amount", Kind: tablefile.Money, Optional: true},
		{Name: "volume", Kind: tablefile.Number, Optional: true},
		{Name: "date issued", Kind: tablefile.Time, Optional: true},
		{Name: "is it", Kind: tablefile.Flag},
		{Name: "list", Kind: tablefile.JSON, Optional: true},
		{Name: "alpha", Kind: tablefile.Text, Optional: true},
	}
}

func rows() [][]tablefile.Cell {
	return [][]tablefile.Cell{
		{
			tablefile.String("=1+1"), tablefile.Int(math.MaxInt64), tablefile.Hundredths(-5), tablefile.Decimal("-0.01"), tablefile.Moment(at),
			tablefile.Bool(true), tablefile.String(`[1]`), tablefile.String("two\r\nlines, \"quoted\""),
		},
		{tablefile.String(""), tablefile.Int(-1), {}, {}, {}, tablefile.Bool(false), {}, {}},
	}
}

type writer interface {
	Write([]tablefile.Cell) error
	Held() int
	Close() error
}

func write(t *testing.T, w writer, rows [][]tablefile.Cell) {
	t.Helper()
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Close())
}

func TestCSVIsHarmlessAndKeepsTheOrderOfColumns(t *testing.T) {
	var out bytes.Buffer
	w, err := tablefile.NewCSV(&out, columns())
	require.NoError(t, err)
	write(t, w, rows())
	require.Equal(t, "zeta,id,amount,volume,date issued,is it,list,alpha\r\n"+
		"'=1+1,9223372036854775807,-0.05,-0.01,2026-05-01 12:00:00,yes,[1],\"two\r\nlines, \"\"quoted\"\"\"\r\n"+
		",-1,,,,no,,\r\n", out.String())
}

// open reads a file of Parquet.
func open(t *testing.T, data []byte) *parquet.File {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	return file
}

func TestParquetHasTypedColumnsInTheirOrder(t *testing.T) {
	var out bytes.Buffer
	w, err := tablefile.NewParquet(&out, columns())
	require.NoError(t, err)
	write(t, w, rows())
	file := open(t, out.Bytes())
	var types []string
	for _, f := range file.Schema().Fields() {
		kind := f.Type().String()
		if f.Optional() {
			kind += "?"
		}
		types = append(types, f.Name()+" "+kind)
	}
	require.Equal(t, []string{
		"zeta STRING", "id INT(64,true)", "amount DECIMAL(20,2)?", "volume DOUBLE?", "date issued TIMESTAMP(isAdjustedToUTC=true,unit=MILLIS)?",
		"is it BOOLEAN", "list JSON?", "alpha STRING?",
	}, types)

	read := make([]parquet.Row, 3)
	n, err := parquet.NewReader(file).ReadRows(read)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 2, n)
	first := read[0]
	require.Equal(t, "=1+1", first[0].String())
	require.Equal(t, int64(math.MaxInt64), first[1].Int64())
	require.Equal(t, []byte{255, 255, 255, 255, 255, 255, 255, 255, 251}, first[2].ByteArray())
	require.InDelta(t, -0.01, first[3].Double(), 0)
	require.Equal(t, at.UnixMilli(), first[4].Int64())
	require.True(t, first[5].Boolean())
	require.Equal(t, "[1]", first[6].String())
	for _, i := range []int{2, 3, 4, 6, 7} {
		require.True(t, read[1][i].IsNull(), "%d", i)
	}
	require.False(t, read[1][0].IsNull(), "an empty text is a text")
}

func TestWhatDoesNotFitIsRefused(t *testing.T) {
	f := func(why string, row ...tablefile.Cell) {
		t.Helper()
		w, err := tablefile.NewParquet(io.Discard, []tablefile.Column{{Name: "a", Kind: tablefile.Number}})
		require.NoError(t, err)
		require.ErrorContains(t, w.Write(row), why)
	}
	f("1 columns")
	f("must have one", tablefile.Cell{})
	f("no number", tablefile.Decimal("1e999"))
	f("no number", tablefile.Decimal("x"))
	c, err := tablefile.NewCSV(io.Discard, columns())
	require.NoError(t, err)
	require.ErrorContains(t, c.Write(nil), "8 columns")
	_, err = tablefile.NewParquet(io.Discard, []tablefile.Column{{Name: "a"}, {Name: "a"}})
	require.ErrorContains(t, err, `"a"`)
}

// TestEveryAmountComesBack: what is read back is what was written, in both forms.
func TestEveryAmountComesBack(t *testing.T) {
	money := []tablefile.Column{{Name: "amount", Kind: tablefile.Money}}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.Int64().Draw(rt, "hundredths")
		want := decimal.New(n, -2)
		var text, file bytes.Buffer
		c, err := tablefile.NewCSV(&text, money)
		require.NoError(rt, err)
		p, err := tablefile.NewParquet(&file, money)
		require.NoError(rt, err)
		for _, w := range []writer{c, p} {
			require.NoError(rt, w.Write([]tablefile.Cell{tablefile.Hundredths(n)}))
			require.NoError(rt, w.Close())
		}
		require.Equal(rt, "amount\r\n"+want.StringFixed(2)+"\r\n", text.String())
		type row struct {
			Amount [9]byte `parquet:"amount"`
		}
		back, err := parquet.Read[row](bytes.NewReader(file.Bytes()), int64(file.Len()))
		require.NoError(rt, err)
		got := int64(0)
		for _, b := range back[0].Amount[1:] {
			got = got<<8 | int64(b)
		}
		require.Equal(rt, n, got)
		require.Equal(rt, byte(n>>63), back[0].Amount[0])
	})
}

// lines counts the lines that arrived.
type lines struct{ n int }

func (l *lines) Write(p []byte) (int, error) {
	l.n += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

// progress notes how many bytes arrived.
type progress struct{ n int64 }

func (p *progress) Write(b []byte) (int, error) {
	p.n += int64(len(b))
	return len(b), nil
}

const million = 1_000_000

func TestAMillionRowsOfCSVAreNeverHeld(t *testing.T) {
	arrived := &lines{}
	w, err := tablefile.NewCSV(arrived, []tablefile.Column{{Name: "id", Kind: tablefile.Integer}, {Name: "text", Kind: tablefile.Text}})
	require.NoError(t, err)
	most := 0
	row := make([]tablefile.Cell, 2)
	for i := range int64(million) {
		row[0], row[1] = tablefile.Int(i), tablefile.String("some text of a row")
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
		most = max(most, w.Held(), int(i)+1-max(arrived.n-1, 0))
	}
	require.LessOrEqual(t, most, 256)
	require.NoError(t, w.Close())
	require.Equal(t, million+1, arrived.n)
}

func TestAMillionRowsOfParquetAreHeldARowGroupAtATime(t *testing.T) {
	arrived := &progress{}
	var file bytes.Buffer
	w, err := tablefile.NewParquet(io.MultiWriter(arrived, &file), []tablefile.Column{{Name: "id", Kind: tablefile.Integer}, {Name: "amount", Kind: tablefile.Money}})
	require.NoError(t, err)
	most, quiet, last := 0, int64(0), int64(0)
	row := make([]tablefile.Cell, 2)
	since := int64(0)
	for i := range int64(million) {
		row[0], row[1] = tablefile.Int(i), tablefile.Hundredths(-i)
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
		most = max(most, w.Held())
		if arrived.n != last {
			last, since = arrived.n, i
		}
		quiet = max(quiet, i-since)
	}
	require.LessOrEqual(t, most, 20_000)
	require.LessOrEqual(t, quiet, int64(20_000), "so many rows were taken and nothing was handed on")
	require.NoError(t, w.Close())
	opened := open(t, file.Bytes())
	require.Equal(t, int64(million), opened.NumRows())
	for _, g := range opened.RowGroups() {
		require.LessOrEqual(t, g.NumRows(), int64(20_000))
	}
}

func TestAParquetFileWithoutItsEndCannotBeRead(t *testing.T) {
	var out bytes.Buffer
	w, err := tablefile.NewParquet(&out, columns())
	require.NoError(t, err)
	write(t, w, rows())
	for torn := range out.Len() {
		_, err := parquet.OpenFile(bytes.NewReader(out.Bytes()[:torn]), int64(torn))
		require.Error(t, err, "%d bytes of %d", torn, out.Len())
	}
}

// full takes so many bytes and no more.
type full struct{ room int }

var errFull = errors.New("no space left")

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestAFullDiskIsTold(t *testing.T) {
	for _, room := range []int{0, 5, 100} {
		for name, make := range map[string]func(io.Writer) (writer, error){
			"csv":     func(w io.Writer) (writer, error) { return tablefile.NewCSV(w, columns()) },
			"parquet": func(w io.Writer) (writer, error) { return tablefile.NewParquet(w, columns()) },
		} {
			w, err := make(&full{room: room})
			require.NoError(t, err)
			for i := 0; err == nil && i < 2; i++ {
				err = w.Write(rows()[i])
			}
			if err == nil {
				err = w.Close()
			}
			require.ErrorIs(t, err, errFull, "%s in %d bytes", name, room)
		}
	}
}

// formulas are the characters with which spreadsheets let formulas begin.
const formulas = "=+-@\t\r\n"

func FuzzCSVIsReadBack(f *testing.F) {
	for _, seed := range []string{"", "=a", "a,b", "\"", "a\nb", "\xff", "-1", "\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out bytes.Buffer
		w, err := tablefile.NewCSV(&out, []tablefile.Column{{Name: "a"}, {Name: "b", Kind: tablefile.Integer}})
		require.NoError(t, err)
		write(t, w, [][]tablefile.Cell{{tablefile.String(text), tablefile.Int(7)}})
		read, err := csv.NewReader(bytes.NewReader(out.Bytes())).ReadAll()
		require.NoError(t, err)
		require.Len(t, read, 2)
		require.Equal(t, strconv.Itoa(7), read[1][1])
		want := text
		if text != "" && strings.ContainsRune(formulas, rune(text[0])) {
			want = "'" + text
		}
		// A reader of CSV makes one kind of line end of all.
		plain := func(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }
		require.Equal(t, plain(want), plain(read[1][0]))
		require.False(t, read[1][0] != "" && strings.ContainsRune(formulas, rune(read[1][0][0])), "%q begins like a formula", read[1][0])
	})
}
