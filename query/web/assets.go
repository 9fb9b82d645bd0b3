package web

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
)

// assetPath is where scripts, styles and drawings are.
const assetPath = "/assets/"

//go:embed assets/*.css assets/*.js assets/*.svg assets/vendor
var assetFiles embed.FS

// asset is a file that pages load.
type asset struct {
	content []byte
	kind    string
	tag     string
}

// assets are the files that pages load, by their names. They never change while the process
// runs.
type assets struct {
	by map[string]asset
}

func newAssets() (*assets, error) {
	a := &assets{by: map[string]asset{}}
	err := fs.WalkDir(assetFiles, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		a.by[strings.TrimPrefix(name, "assets/")] = asset{
			content: content, kind: mime.TypeByExtension(path.Ext(name)), tag: base64.RawURLEncoding.EncodeToString(sum[:9]),
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the files that pages load: %w", err)
	}
	return a, nil
}

// link is the address of a file, which is another one when its content is.
func (a *assets) link(name string) (string, error) {
	f, ok := a.by[name]
	if !ok {
		return "", fmt.Errorf("there is no file %q for pages to load", name)
	}
	return assetPath + name + "?v=" + f.tag, nil
}

// serve answers a browser that loads a file. They are the same for everybody.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := a.by[strings.TrimPrefix(r.URL.Path, assetPath)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", `"`+f.tag+`"`)
	if r.URL.Query().Get("v") == f.tag {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "public, max-age=300")
	}
	if r.Header.Get("If-None-Match") == `"`+f.tag+`"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(f.content)
}
