package allianceauth

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/muster-sync/muster/domain/event"
)

// maxRecord bounds the bytes of one record: what is longer is no record of the tables
// that are read, but a file that is broken.
const maxRecord = 16 << 20

// reader reads the files of a dump into tables.
type reader struct {
	files  fs.FS
	tables *tables
	// byTable and byModel are the tables that are asked for.
	byTable, byModel map[string]*source
}

// read reads every file of the folder that holds one of the sources; the others are
// not looked at.
func (t *tables) read(files fs.FS, wanted []source) error {
	rd := &reader{files: files, tables: t, byTable: map[string]*source{}, byModel: map[string]*source{}}
	for i := range wanted {
		s := &wanted[i]
		rd.byTable[s.table] = s
		if s.model != "" {
			rd.byModel[s.model] = s
		}
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return event.Errorf(event.CodeInvalid, "reading the folder of the dump: %w", err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		if err := rd.file(entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

func (rd *reader) file(name string) error {
	kind := strings.ToLower(path.Ext(name))
	s := rd.byTable[strings.TrimSuffix(name, path.Ext(name))]
	var read func(string, *source, io.Reader) error
	switch {
	case kind == ".json":
		read = func(name string, _ *source, r io.Reader) error { return rd.json(name, r) }
	case s == nil:
		return nil
	case kind == ".csv":
		read = rd.csv
	case kind == ".tsv", kind == ".txt":
		read = rd.tabbed
	default:
		return nil
	}
	file, err := rd.files.Open(name)
	if err != nil {
		return event.Errorf(event.CodeInvalid, "opening %s: %w", name, err)
	}
	defer func() { _ = file.Close() }()
	return read(name, s, file)
}

// broken says that a file as a whole cannot be read.
func broken(file string, err error) error {
	return event.Errorf(event.CodeInvalid, "%s: %w", file, err)
}

// bounded fails when more is read than a record may have, until it is told of the next
// record.
type bounded struct {
	r    io.Reader
	read int
}

var errLong = fmt.Errorf("a record is longer than %d MiB: the file is not what its name says, or a quote is not closed", maxRecord>>20)

func (b *bounded) Read(p []byte) (int, error) {
	if b.read > maxRecord {
		return 0, errLong
	}
	n, err := b.r.Read(p)
	b.read += n
	return n, err
}

func (b *bounded) next() { b.read = 0 }

// started notes that a table is in a file. It fails if it is in another one too.
func (t *tables) started(table, file string) error {
	if before, there := t.seen[table]; there && before != file {
		return event.Errorf(event.CodeInvalid, "the table %s is in %s and in %s: leave one of them out of the folder", table, before, file)
	}
	t.seen[table] = file
	return nil
}

// take hands a row on, and notes it as left out if there is something wrong with it.
func (t *tables) take(r row) {
	if err := r.source.take(t, r); err != nil {
		t.leaveOut(r.source.table, r.name(), err.Error())
	}
}

// csv reads a table of comma separated values whose first line names the columns.
func (rd *reader) csv(name string, s *source, from io.Reader) error {
	limit := &bounded{r: from}
	buffered := bufio.NewReader(limit)
	if mark, err := buffered.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = buffered.Discard(len(mark))
	}
	in := csv.NewReader(buffered)
	in.ReuseRecord = true
	record := func() ([]string, error) {
		limit.next()
		return in.Read()
	}
	header, err := record()
	if err != nil {
		return broken(name, csvFault(in, err, "its first line must name the columns"))
	}
	return rd.rows(name, s, slices.Clone(header), func(cells []value) error {
		fields, err := record()
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		if err != nil {
			return csvFault(in, err, "")
		}
		for i, field := range fields {
			cells[i] = value{text: field}
		}
		return nil
	})
}

// csvFault says where a file of CSV is broken. What a decoder says holds nothing of the
// file but line and column.
func csvFault(in *csv.Reader, err error, rule string) error {
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: %w; a row must be on its own line with the values of all columns", wrong.Line, wrong.Err)
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("it is empty: %s", rule)
	}
	line, _ := in.FieldPos(0)
	return fmt.Errorf("after line %d: %w", line, err)
}

// rows hands on all rows of a table with these columns. next fills the cells of the
// next one; it fails with io.EOF after the last.
func (rd *reader) rows(name string, s *source, header []string, next func(cells []value) error) error {
	if err := rd.tables.started(s.table, name); err != nil {
		return err
	}
	at := map[string]int{}
	for i, column := range header {
		at[strings.TrimSpace(column)] = i
	}
	for _, c := range s.columns {
		if _, there := at[c.name]; !there && !c.optional {
			return broken(name, fmt.Errorf("there is no column %s among the %d that its header names; dump the table with all its columns, %s", c.name, len(header), howToDump(*s)))
		}
	}
	r, cells := row{source: s, values: map[string]value{}}, make([]value, len(header))
	for {
		err := next(cells)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(name, err)
		}
		for _, c := range s.columns {
			if i, there := at[c.name]; there {
				r.values[c.name] = cells[i]
			}
		}
		rd.tables.take(r)
	}
}

// tabbed reads what MySQL writes: values with tabs between them and backslashes before
// what is special. The columns are named by the first line of a .tsv (`mysql --batch`)
// and by the .sql beside a .txt (`mysqldump --tab`).
func (rd *reader) tabbed(name string, s *source, from io.Reader) error {
	limit := &bounded{r: from}
	in := &tabReader{in: bufio.NewReader(limit)}
	var header []string
	if strings.EqualFold(path.Ext(name), ".txt") {
		var err error
		if header, err = rd.created(strings.TrimSuffix(name, path.Ext(name)) + ".sql"); err != nil {
			return broken(name, err)
		}
	} else {
		first, err := in.read(nil)
		if err != nil {
			return broken(name, fmt.Errorf("its first line must name the columns: %w", err))
		}
		for _, v := range first {
			header = append(header, v.text)
		}
	}
	read := make([]value, 0, len(header))
	return rd.rows(name, s, header, func(cells []value) error {
		limit.next()
		var err error
		if read, err = in.read(read[:0]); err != nil {
			return err
		}
		if len(read) != len(cells) {
			return fmt.Errorf("line %d: it has %d values, there are %d columns", in.line, len(read), len(cells))
		}
		copy(cells, read)
		return nil
	})
}

// created reads the columns of a table from the statement that creates it.
func (rd *reader) created(name string) ([]string, error) {
	content, err := fs.ReadFile(rd.files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing, which `mysqldump --tab` writes beside it: it names the columns", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var columns []string
	for line := range bytes.Lines(content) {
		if quoted, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("`")); ok {
			if column, _, ok := bytes.Cut(quoted, []byte("`")); ok {
				columns = append(columns, string(column))
			}
		}
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("%s names no columns: it must be what `mysqldump --tab` writes", name)
	}
	return columns, nil
}

// tabReader reads lines of values with tabs between them.
type tabReader struct {
	in   *bufio.Reader
	line int
	text []byte
}

// read appends the values of the next line. It fails with io.EOF after the last.
func (t *tabReader) read(values []value) ([]value, error) {
	t.text = t.text[:0]
	t.line++
	null, begun := false, false
	end := func() {
		values = append(values, value{text: string(t.text), null: null && len(t.text) == 0})
		t.text, null = t.text[:0], false
	}
	for {
		b, err := t.in.ReadByte()
		if errors.Is(err, io.EOF) {
			if !begun {
				return values, io.EOF
			}
			end()
			return values, nil
		}
		if err != nil {
			return values, fmt.Errorf("line %d: %w", t.line, err)
		}
		begun = true
		switch b {
		case '\t':
			end()
		case '\n':
			end()
			return values, nil
		case '\\':
			b, err := t.in.ReadByte()
			if err != nil {
				return values, fmt.Errorf("line %d: it ends after a backslash", t.line)
			}
			if b == 'N' && len(t.text) == 0 {
				null = true
				continue
			}
			t.text = append(t.text, escaped(b))
		default:
			t.text = append(t.text, b)
		}
	}
}

// escaped is what MySQL means by a letter after a backslash.
func escaped(b byte) byte {
	switch b {
	case '0':
		return 0
	case 'b':
		return '\b'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'Z':
		return 26
	default:
		return b
	}
}

// json reads records of `dumpdata`: of any of the tables, in any order.
func (rd *reader) json(name string, from io.Reader) error {
	limit := &bounded{r: from}
	in := json.NewDecoder(limit)
	fault := func(err error) error {
		switch {
		case errors.Is(err, errLong):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			err = errors.New("the file ends too early")
		default:
			err = fmt.Errorf("byte %d: it is not the list of records that `python manage.py dumpdata` writes", in.InputOffset())
		}
		return broken(name, err)
	}
	if open, err := in.Token(); err != nil || open != json.Delim('[') {
		return fault(err)
	}
	r := row{values: map[string]value{}}
	for in.More() {
		limit.next()
		var record struct {
			Model  string          `json:"model"`
			PK     json.RawMessage `json:"pk"`
			Fields json.RawMessage `json:"fields"`
		}
		if err := in.Decode(&record); err != nil {
			return fault(err)
		}
		s := rd.byModel[record.Model]
		if s == nil {
			continue
		}
		if err := rd.record(name, s, r, record.PK, record.Fields); err != nil {
			return err
		}
	}
	if _, err := in.Token(); err != nil {
		return fault(err)
	}
	if in.More() {
		return broken(name, errors.New("something follows the end of the list"))
	}
	return nil
}

// record takes one record and what it lists. It fails if the file as a whole is of no
// use.
func (rd *reader) record(name string, s *source, r row, pk, raw json.RawMessage) error {
	if err := rd.tables.started(s.table, name); err != nil {
		return err
	}
	clear(r.values)
	r.source = s
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		fields = nil
	}
	own, err := ofJSON(pk)
	if err != nil {
		return broken(name, fmt.Errorf("a record of %s: %w", s.model, err))
	}
	r.values[idColumn] = own
	for _, c := range s.columns {
		field := c.field
		if field == "" {
			field = c.name
		}
		content, there := fields[field]
		if !there {
			continue
		}
		v, err := ofJSON(content)
		if errors.Is(err, errNatural) {
			return broken(name, fmt.Errorf("%s %s, field %s: %w", s.model, r.name(), field, err))
		}
		if err != nil {
			rd.tables.leaveOut(s.table, r.name(), fmt.Sprintf("its %s: %v", c.name, err))
			return nil
		}
		r.values[c.name] = v
	}
	rd.tables.take(r)
	for _, l := range s.lists {
		content, there := fields[l.field]
		if !there {
			continue
		}
		if err := rd.listed(name, s, l, own, content); err != nil {
			return err
		}
	}
	return nil
}

// listed takes a list of ids as the rows of pairs that it is in the database.
func (rd *reader) listed(name string, s *source, l list, own value, content json.RawMessage) error {
	if err := rd.tables.started(l.table, name); err != nil {
		return err
	}
	var items []json.RawMessage
	if err := json.Unmarshal(content, &items); err != nil {
		rd.tables.leaveOut(s.table, "id "+cut(own.text), fmt.Sprintf("its %s are no list", l.field))
		return nil //nolint:nilerr // The row is left out and listed.
	}
	for _, item := range items {
		v, err := ofJSON(item)
		if err != nil {
			return broken(name, fmt.Errorf("%s id %s, field %s: %w", s.model, cut(own.text), l.field, err))
		}
		rd.tables.take(row{source: rd.byTable[l.table], values: map[string]value{l.from: own, l.to: v}})
	}
	return nil
}
