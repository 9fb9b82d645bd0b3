package api

import (
	"html/template"
	"net/http"
)

// page is what a person sees who comes back from EVE's sign-on.
type page struct {
	Title, Text string
	// Character and User are who was registered for whom; empty for nobody.
	Character, User string
}

func pageTemplate() *template.Template {
	return template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}} - Muster</title></head>
<body>
<main>
<h1>{{.Title}}</h1>
{{with .Character}}<p><strong>{{.}}</strong> is registered for the user <strong>{{$.User}}</strong>. If that is not you, revoke the access at EVE's third-party applications and tell an administrator.</p>
{{end}}<p>{{.Text}}</p>
</main>
</body>
</html>
`))
}

// showPage answers a browser. The page loads nothing, runs nothing, and is kept
// and framed by nobody; the address that it was asked with holds secrets.
func showPage(w http.ResponseWriter, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex")
	w.WriteHeader(status)
	// The browser may have gone; there is nobody else to tell.
	_ = pageTemplate().Execute(w, p)
}
