package universe

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/muster-sync/muster/domain/event"
)

// Bounds of what is read.
const (
	maxDownload = 2 << 30
	// maxLine bounds a row; the longest of CCP's has some hundred kilobytes.
	maxLine = 8 << 20
	// deepestFolder bounds how deep files are looked for.
	deepestFolder = 4
)

// export is static data to be loaded: files, each with the rows of one kind.
type export struct {
	files []*exportFile
	// edition is nil if the export does not say.
	edition *edition
	// ignored is how many other files of rows there are.
	ignored int
	close   func() error
}

// exportFile is a file of an export.
type exportFile struct {
	kind *fileKind
	name string
	// size is how many bytes reading it will count.
	size int64
	fsys fs.FS
}

// openExport opens a folder, a zip, a single file, or the zip at a URL, which is
// downloaded first. It fails with [event.CodeInvalid] for what is none of these.
func openExport(ctx context.Context, origin string, client *http.Client, progress func(Progress)) (*export, error) {
	if u, err := url.Parse(origin); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return downloadExport(ctx, origin, client, progress)
	}
	info, err := os.Stat(origin)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "static data at %s: %w; give a folder, a zip or the URL of a zip with CCP's export in JSON Lines", origin, err)
	}
	switch {
	case info.IsDir():
		return readExport(os.DirFS(origin), origin, func() error { return nil })
	case isRows(origin):
		// A folder in which there is only this file.
		return readExport(only{os.DirFS(filepath.Dir(origin)), filepath.Base(origin)}, origin, func() error { return nil })
	default:
		return openZip(origin, origin)
	}
}

// only is a folder of which but one file is listed.
type only struct {
	fs.FS

	name string
}

// ReadDir implements [fs.ReadDirFS].
func (o only) ReadDir(string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(o.FS, o.name)
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

func openZip(file, origin string) (*export, error) {
	archive, err := zip.OpenReader(file)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "static data at %s: it is neither a zip nor a folder nor a file whose name ends in .jsonl or .jsonl.gz (%w); CCP's export in JSON Lines is a zip", origin, err)
	}
	return readExport(archive, origin, archive.Close)
}

// readExport lists what there is to be read.
func readExport(fsys fs.FS, origin string, closer func() error) (_ *export, err error) {
	e := &export{close: closer}
	defer func() {
		if err != nil {
			_ = e.close()
		}
	}()
	kinds := map[string]*fileKind{}
	var expected []string
	for _, kind := range fileKinds() {
		for _, name := range kind.names {
			kinds[name] = kind
		}
		expected = append(expected, kind.names[len(kind.names)-1]+".jsonl")
	}
	taken := map[*fileKind]string{}
	err = fs.WalkDir(fsys, ".", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.Count(file, "/") >= deepestFolder:
			return fs.SkipDir
		case entry.IsDir() || !isRows(file):
			return nil
		}
		stem, _, _ := strings.Cut(path.Base(file), ".")
		if stem == "_sde" {
			e.edition, err = readEdition(fsys, file)
			return err
		}
		kind := kinds[stem]
		if kind == nil {
			e.ignored++
			return nil
		}
		if other, twice := taken[kind]; twice {
			return event.Errorf(event.CodeInvalid, "%s and %s hold rows of the same kind: leave one of them", other, file)
		}
		taken[kind] = file
		info, err := entry.Info()
		if err != nil {
			return err
		}
		e.files = append(e.files, &exportFile{kind: kind, name: file, size: info.Size(), fsys: fsys})
		return nil
	})
	switch {
	case err != nil && event.CodeOf(err) == event.CodeInvalid:
		return nil, event.Errorf(event.CodeInvalid, "static data at %s: %w", origin, err)
	case err != nil:
		return nil, fmt.Errorf("listing the static data at %s: %w", origin, err)
	case len(e.files) == 0:
		slices.Sort(expected)
		return nil, event.Errorf(event.CodeInvalid, "static data at %s: there is none of the files %s (or .jsonl.gz); CCP's export comes in several forms: take the one in JSON Lines", origin, strings.Join(expected, ", "))
	}
	return e, nil
}

func isRows(file string) bool {
	return strings.HasSuffix(file, ".jsonl") || strings.HasSuffix(file, ".jsonl.gz") || strings.HasSuffix(file, ".jsonl.zst")
}

// readEdition reads what an export says of itself; nil if that says nothing.
func readEdition(fsys fs.FS, file string) (*edition, error) {
	var found *edition
	_, err := (&exportFile{name: file, fsys: fsys}).lines(nil, func(_ int64, line []byte, tooLong bool) error {
		var e edition
		if r, err := readRow(line); err == nil && !tooLong {
			if build := r.ref("buildNumber"); build != nil && r.err == nil {
				e.Build = *build
			}
			if date := r.text("releaseDate"); date != nil && r.err == nil {
				e.Released = *date
			}
			found = &e
		}
		return nil
	})
	return found, err
}

// released is the date of the edition; nil if it is none.
func (e *edition) released() *time.Time {
	t, err := time.Parse(time.RFC3339, e.Released)
	if err != nil {
		return nil
	}
	t = t.UTC()
	return &t
}

// counter counts what is read.
type counter struct {
	r    io.Reader
	read func(n int)
}

// Read implements [io.Reader].
func (c counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.read != nil {
		c.read(n)
	}
	return n, err //nolint:wrapcheck // Readers hand on io.EOF as it is.
}

// lines calls each with every line that is not empty, counted from 1, and returns
// how many there were. The line is valid during the call only. Of a line that is too
// long only the beginning is given.
func (f *exportFile) lines(read func(n int), each func(number int64, line []byte, tooLong bool) error) (int64, error) {
	file, err := f.fsys.Open(f.name)
	if err != nil {
		return 0, fmt.Errorf("opening %s: %w", f.name, err)
	}
	defer func() { _ = file.Close() }()
	rows, done, err := unpacked(f.name, counter{file, read})
	if err != nil {
		return 0, event.Errorf(event.CodeInvalid, "%s cannot be unpacked: %w", f.name, err)
	}
	defer done()
	buffered := bufio.NewReaderSize(rows, 64<<10)
	var number, rowCount int64
	var line []byte
	for {
		number++
		var tooLong bool
		line, tooLong, err = readLine(buffered, line[:0])
		if err != nil && !errors.Is(err, io.EOF) {
			return rowCount, event.Errorf(event.CodeInvalid, "%s is damaged after line %d: %w", f.name, number-1, err)
		}
		if len(bytes.TrimSpace(line)) > 0 {
			rowCount++
			if err := each(number, line, tooLong); err != nil {
				return rowCount, err
			}
		}
		if err != nil {
			return rowCount, nil
		}
	}
}

// unpacked reads a file that may be packed.
func unpacked(name string, r io.Reader) (_ io.Reader, done func(), _ error) {
	switch {
	case strings.HasSuffix(name, ".gz"):
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case strings.HasSuffix(name, ".zst"):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	default:
		return r, func() {}, nil
	}
}

// readLine appends a line without its end. The rest of a line that is too long is
// passed over. The error is io.EOF after the last one.
func readLine(r *bufio.Reader, line []byte) (_ []byte, tooLong bool, _ error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			tooLong = true
			part = part[:max(0, maxLine-len(line))]
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
			line = line[:len(line)-1]
		}
		return line, tooLong, err
	}
}

// downloadExport fetches a zip into a file that goes when the export is closed.
func downloadExport(ctx context.Context, address string, client *http.Client, progress func(Progress)) (_ *export, err error) {
	file, err := os.CreateTemp("", "muster-static-data-*.zip")
	if err != nil {
		return nil, fmt.Errorf("making a file for the static data: %w", err)
	}
	remove := func() error { return errors.Join(file.Close(), os.Remove(file.Name())) }
	defer func() {
		if err != nil {
			_ = remove()
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "static data at %s: %w", address, err)
	}
	request.Header.Set("User-Agent", "Muster (static data)")
	response, err := client.Do(request)
	if err != nil {
		return nil, event.Errorf(event.CodeUnavailable, "downloading the static data: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, event.Errorf(event.CodeUnavailable, "downloading the static data at %s: the answer was %s", address, response.Status)
	}
	var done int64
	body := counter{io.LimitReader(response.Body, maxDownload+1), func(n int) {
		done += int64(n)
		progress(Progress{Phase: "downloading", Done: done, Total: response.ContentLength})
	}}
	n, err := io.Copy(file, body)
	switch {
	case err != nil:
		return nil, event.Errorf(event.CodeUnavailable, "downloading the static data at %s: %w", address, err)
	case n > maxDownload:
		return nil, event.Errorf(event.CodeInvalid, "the static data at %s are longer than %d bytes", address, int64(maxDownload))
	}
	e, err := openZip(file.Name(), address)
	if err != nil {
		return nil, err
	}
	inner := e.close
	e.close = func() error { return errors.Join(inner(), remove()) }
	return e, nil
}
