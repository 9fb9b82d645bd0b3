package web

import (
	"net/http"
	"strings"
	"time"
)

// chosenFor is how long a browser keeps what somebody has chosen.
const chosenFor = 365 * 24 * time.Hour

// preferences keeps the language and the colours that somebody has chosen, in cookies: they
// are the browser's, whoever has signed in.
func (s *Site) preferences(w http.ResponseWriter, r *http.Request) {
	v := s.visit(w, r)
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	for _, c := range []struct{ field, cookie string }{{"language", languageCookie}, {"theme", themeCookie}} {
		value := r.PostFormValue(c.field)
		if value == "" || len(value) > 16 || strings.Trim(value, "abcdefghijklmnopqrstuvwxyz-") != "" {
			continue
		}
		//nolint:gosec // what it holds is no secret, and plain http is for one's own machine alone
		http.SetCookie(w, &http.Cookie{Name: c.cookie, Value: value, Path: "/", MaxAge: int(chosenFor / time.Second), HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode})
	}
	http.Redirect(w, r, v.back("/", ""), http.StatusSeeOther) //nolint:gosec // back leads to Muster alone
}

// signOut ends a session and shows where one can begin again.
func (s *Site) signOut(w http.ResponseWriter, r *http.Request) {
	v := s.visit(w, r)
	s.known.forget(r)
	a, err := s.ask(v.ctx(), r, http.MethodPost, "/auth/sign-out", nil, nil)
	if err != nil {
		v.fail(err)
		return
	}
	for _, cookie := range a.header.Values("Set-Cookie") {
		w.Header().Add("Set-Cookie", cookie)
	}
	http.Redirect(w, r, "/welcome", http.StatusSeeOther)
}

// welcome asks somebody to sign in.
func (s *Site) welcome(v *visit) error {
	back := v.param("return")
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") {
		back = "/"
	}
	return v.showTo(http.StatusOK, "welcome", v.T("welcome.title"), struct{ Return string }{back})
}
