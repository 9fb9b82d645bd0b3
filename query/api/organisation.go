package api

import (
	"bytes"
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/muster-sync/muster/domain/access"
)

// Importer brings an organisation in. Importing the same again changes nothing.
type Importer interface {
	Import(ctx context.Context, actor string, org access.Organisation) (ImportResult, error)
}

// ImportResult is what an import came to.
type ImportResult struct {
	// Users and Characters count what is new or was changed, Unchanged what was
	// there already.
	Users, Characters, Unchanged int
	// Rejections are records that contradict what is there.
	Rejections []access.Rejection
	// Shown is false when the read model did not show the change in time: it
	// will.
	Shown bool
}

// Imported is what an import came to.
type Imported struct {
	Users      int                `json:"users" doc:"How many are new or have changed."`
	Characters int                `json:"characters" doc:"How many are new or have changed."`
	Unchanged  int                `json:"unchanged" doc:"How many users and characters were there already."`
	Rejections []access.Rejection `json:"rejections" nullable:"false" doc:"The records that were not taken, and why. The others were."`
}

type importInput struct {
	RawBody []byte `contentType:"application/json"`
}

type importOutput struct {
	Status int
	Body   *Imported
}

func (s *Server) registerOrganisation() {
	register(s, access.ActionImport, withFile(accepted(huma.Operation{
		Method: http.MethodPost, OperationID: "import-organisation", Path: "/v1/import", Tags: []string{tagOrganisation}, Summary: "Bring in users, mains and characters",
		Description: "The body is an organisation file. Records that break a rule are left out and reported, with the line on which they begin.",
		Errors:      []int{http.StatusConflict},
	}), maxImportBytes, mediaJSON), s.importOrganisation)
}

// withFile makes the body of an operation a file of one of the media types. The
// operation reads it itself, so that it can name the line where it is wrong.
func withFile(op huma.Operation, limit int64, media ...string) huma.Operation {
	op.MaxBodyBytes, op.BodyReadTimeout, op.SkipValidateBody = limit, bodyTimeout, true
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
	op.RequestBody = &huma.RequestBody{Description: "The file.", Content: map[string]*huma.MediaType{}}
	for _, m := range media {
		op.RequestBody.Content[m] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	}
	return op
}

// accepted makes an operation one that decides: it answers 201 if the read model
// shows what was decided, and 202 if it will do so later.
func accepted(op huma.Operation) huma.Operation {
	op.DefaultStatus = http.StatusCreated
	op.Responses = map[string]*huma.Response{
		"201": {Description: "It is decided, and shown from now on."},
		"202": {Description: "It is decided, and will be shown later."},
	}
	return op
}

func (s *Server) importOrganisation(ctx context.Context, in *importInput) (*importOutput, error) {
	org, rejections, err := access.ReadOrganisation(bytes.NewReader(in.RawBody))
	if err != nil {
		return nil, err
	}
	result, err := s.config.Importer.Import(ctx, principalOf(ctx).ID, org)
	if err != nil {
		return nil, err
	}
	return &importOutput{Status: shownStatus(result.Shown), Body: &Imported{
		Users: result.Users, Characters: result.Characters, Unchanged: result.Unchanged,
		Rejections: append(append([]access.Rejection{}, rejections...), result.Rejections...),
	}}, nil
}

// shownStatus tells a change that can be seen from one that is only decided.
func shownStatus(shown bool) int {
	if shown {
		return http.StatusCreated
	}
	return http.StatusAccepted
}
