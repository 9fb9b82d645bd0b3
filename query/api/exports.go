package api

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/danielgtaylor/huma/v2/negotiation"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/tablefile"
	"github.com/muster-sync/muster/projections/postgres"
	"github.com/muster-sync/muster/query/export"
)

// Bounds of exports.
const (
	// DefaultExportTimeout bounds the time that one export may take.
	DefaultExportTimeout = 30 * time.Minute

	// exportsAtOnce bounds how many are written at the same time: each keeps a
	// connection to a store for as long as its client reads.
	exportsAtOnce = 4
	// exportChunk is how many bytes are gathered before they are sent.
	exportChunk = 64 << 10

	exportsPath = "/v1/exports"
)

// Exports writes topics; [export.Exporter] does.
type Exports interface {
	// Export hands the rows of a topic to the sink. It fails as
	// [export.Exporter.Export] does.
	Export(ctx context.Context, topic string, filter export.Filter, out export.Sink) error
}

// ExportTopic is something that can be exported.
type ExportTopic struct {
	Topic       string         `json:"topic"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Columns     []ExportColumn `json:"columns" nullable:"false" doc:"In their order."`
	Formats     []string       `json:"formats" nullable:"false" doc:"Media types."`
}

// ExportColumn is a column of an export.
type ExportColumn struct {
	Name     string `json:"name"`
	Type     string `json:"type" enum:"text,integer,number,money,time,flag" doc:"money: with two decimals. flag: yes or no."`
	Optional bool   `json:"optional" doc:"It may have no value."`
}

type exportInput struct {
	Topic          string    `path:"topic" maxLength:"100" doc:"As GET /v1/exports lists them."`
	CharacterID    int64     `query:"character_id" minimum:"1" doc:"Only of this character."`
	CorporationID  int64     `query:"corporation_id" minimum:"1" doc:"Only of characters that are in this corporation now."`
	From           time.Time `query:"from" doc:"At this moment or later: the date of an entry, and for contracts and their items the date of issue."`
	To             time.Time `query:"to" doc:"Before this moment."`
	AcceptEncoding string    `header:"Accept-Encoding" doc:"gzip has CSV compressed; Parquet is so by itself."`
}

func (s *Server) registerExports() {
	register(s, access.ActionExport, asTable(huma.Operation{
		OperationID: "list-exports", Path: exportsPath, Tags: []string{tagExports}, Summary: "What can be exported",
	}), s.listExports)
	register(s, access.ActionExport, asFiles(huma.Operation{
		OperationID: "get-export", Path: exportsPath + "/{topic}", Tags: []string{tagExports}, Summary: "A whole collection as a file",
		Description: "A user gets what scoped_exports_access or exports_access gives him. The rows come as they are read. If something fails on the way the connection breaks off, so that no part is taken for the whole.",
		Errors:      []int{http.StatusNotFound},
	}, mediaCSV, mediaParquet), s.getExport)
}

func (s *Server) listExports(context.Context, *struct{}) (*body[Page[ExportTopic]], error) {
	page := &Page[ExportTopic]{Items: []ExportTopic{}}
	for _, t := range export.Topics() {
		shown := ExportTopic{Topic: t.Name, Title: t.Title, Description: t.Description, Formats: []string{mediaCSV, mediaParquet}}
		for _, c := range t.Columns {
			shown.Columns = append(shown.Columns, ExportColumn{Name: c.Name, Type: typeOf(c.Kind), Optional: c.Optional})
		}
		page.Items = append(page.Items, shown)
	}
	return &body[Page[ExportTopic]]{page}, nil
}

func typeOf(kind tablefile.Kind) string {
	switch kind {
	case tablefile.Integer:
		return "integer"
	case tablefile.Number:
		return "number"
	case tablefile.Money:
		return "money"
	case tablefile.Time:
		return "time"
	case tablefile.Flag:
		return "flag"
	case tablefile.Text, tablefile.JSON:
		return "text"
	default:
		return "text"
	}
}

func (s *Server) getExport(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	topic, err := export.Find(in.Topic)
	if err != nil {
		return nil, err
	}
	view, err := s.exported(ctx, topic.Name, in.CharacterID)
	if err != nil {
		return nil, err
	}
	select {
	case s.exporting <- struct{}{}:
	default:
		return nil, event.Errorf(event.CodeUnavailable, "%d exports are being written already: wait until one of them is done", exportsAtOnce)
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer func() { <-s.exporting }()
		s.stream(ctx, hc, topic, in, view)
	}}, nil
}

// stream writes an export. What fails before anything is sent becomes a problem;
// after that only breaking off tells the client that it has no whole file.
func (s *Server) stream(ctx context.Context, hc huma.Context, topic export.Topic, in *exportInput, view *access.View) {
	_, w := humachi.Unwrap(hc)
	control := http.NewResponseController(w)
	// The request is read, and its time limit must not end the answer. A connection
	// that has no deadlines waits anyway.
	_ = control.SetReadDeadline(time.Time{})
	media := hc.Header("Accept")
	header := http.Header{"Content-Type": {media}, "Content-Disposition": {`attachment; filename="muster_` + topic.Name + extensionOf(media) + `"`}}
	zipped := media == mediaCSV && negotiation.SelectQValue(in.AcceptEncoding, []string{"identity", "gzip"}) == "gzip"
	if zipped {
		header.Set("Content-Encoding", "gzip")
	}
	out := &lateAnswer{w: w, control: control, header: header}
	w.Header().Add("Vary", "Accept-Encoding")

	filter := export.Filter{CharacterID: in.CharacterID, CorporationID: in.CorporationID, From: in.From, To: in.To, View: view}
	err := s.writeExport(ctx, out, media, zipped, topic, filter)
	if err == nil {
		return
	}
	if !out.began {
		answerError(w, s.explain(ctx, err))
		return
	}
	level := slog.LevelError
	if code := event.CodeOf(err); code == event.CodeUnavailable || ctx.Err() != nil || errors.Is(err, errNotTaken) {
		level = slog.LevelWarn
	}
	s.config.Logger.LogAttrs(ctx, level, "export broken off", slog.String("request_id", requestID(ctx)), slog.String("topic", topic.Name), slog.Any("error", err))
	panic(http.ErrAbortHandler)
}

// tableWriter writes a file row by row.
type tableWriter interface {
	export.Sink
	io.Closer
}

func (s *Server) writeExport(ctx context.Context, out *lateAnswer, media string, zipped bool, topic export.Topic, filter export.Filter) error {
	chunks := bufio.NewWriterSize(out, exportChunk)
	into := io.Writer(chunks)
	var packed *gzip.Writer
	if zipped {
		packed = gzip.NewWriter(chunks)
		into = packed
	}
	var file tableWriter
	var err error
	if media == mediaParquet {
		file, err = tablefile.NewParquet(into, topic.Columns)
	} else {
		file, err = tablefile.NewCSV(into, topic.Columns)
	}
	if err != nil {
		return err
	}
	if err := s.config.Exports.Export(ctx, topic.Name, filter, file); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if packed != nil {
		if err := packed.Close(); err != nil {
			return err
		}
	}
	return chunks.Flush()
}

// exported is whose rows of a topic somebody may take out; nil for everybody's. It fails
// with [event.CodeForbidden] for a topic of which he may take out nothing, and with
// [event.CodeNotFound] if he asks for a character that is none of these.
func (s *Server) exported(ctx context.Context, topic string, character int64) (*access.View, error) {
	v := viewerOf(ctx)
	if v == nil {
		return nil, nil
	}
	section := eve.SectionContracts
	if topic == "wallet-journal" {
		section = eve.SectionWalletJournal
	}
	of := v.For(string(section))
	if access.ReachOf(of.Grants, access.ActionExport) == access.ReachNone {
		return nil, event.Errorf(event.CodeForbidden, "user %s may not export %s: the roles that let him export are limited to other sections", v.UserID, topic)
	}
	view := of.ExportView()
	if view.Everything || character == 0 {
		return &view, nil
	}
	opened, err := s.config.Characters.MayOpen(ctx, view, character)
	if err == nil && !opened {
		err = postgres.NoCharacter(character)
	}
	return &view, err
}

func extensionOf(media string) string {
	if media == mediaParquet {
		return ".parquet"
	}
	return ".csv"
}

// errNotTaken tells that the client does not take what is sent.
var errNotTaken = errors.New("the client takes no more")

// lateAnswer begins to answer with the first bytes of the body.
type lateAnswer struct {
	w       http.ResponseWriter
	control *http.ResponseController
	header  http.Header
	began   bool
}

// Write sends some bytes and waits until they are on their way.
func (a *lateAnswer) Write(p []byte) (int, error) {
	if !a.began {
		a.began = true
		maps.Copy(a.w.Header(), a.header)
		a.w.WriteHeader(http.StatusOK)
	}
	// A client that reads slowly is waited for, one that does not read is not.
	_ = a.control.SetWriteDeadline(time.Now().Add(bodyTimeout))
	n, err := a.w.Write(p)
	if err == nil {
		if err = a.control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err != nil {
		return n, errors.Join(errNotTaken, err)
	}
	return n, nil
}

// timeoutOf bounds the work for a request.
func (s *Server) timeoutOf(path string) time.Duration {
	if strings.HasPrefix(path, exportsPath+"/") {
		return s.config.ExportTimeout
	}
	return s.config.Timeout
}

// asFiles makes the answer of an operation a file, in the first of the media types
// unless the client likes another one of them better.
func asFiles(op huma.Operation, media ...string) huma.Operation {
	if op.Metadata == nil {
		op.Metadata = map[string]any{}
	}
	op.Metadata[files] = slices.Clone(media)
	content := map[string]*huma.MediaType{}
	for _, m := range media {
		content[m] = &huma.MediaType{Schema: fileSchema(m)}
	}
	op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: content}}
	return op
}

func fileSchema(media string) *huma.Schema {
	if media == mediaParquet {
		return &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "Apache Parquet."}
	}
	return &huma.Schema{Type: huma.TypeString, Description: "CSV with a header line."}
}
