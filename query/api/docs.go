package api

import (
	"embed"
	"net/http"
)

// docs is a page that shows the OpenAPI document. It loads nothing from other
// hosts.
//
//go:embed docs
var docs embed.FS

// docsPolicy allows the page its own script, style and document.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (s *Server) registerDocs() {
	file := func(name, media string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			content, err := docs.ReadFile("docs/" + name)
			if err != nil {
				panic("BUG: the page of documentation is not built in: " + err.Error())
			}
			w.Header().Set("Content-Type", media)
			w.Header().Set("Content-Security-Policy", docsPolicy)
			// The client may have gone; there is nobody else to tell.
			_, _ = w.Write(content)
		}
	}
	s.router.Get("/docs", file("docs.html", "text/html; charset=utf-8"))
	s.router.Get("/docs/docs.js", file("docs.js", "text/javascript; charset=utf-8"))
	s.router.Get("/docs/docs.css", file("docs.css", "text/css; charset=utf-8"))
}
