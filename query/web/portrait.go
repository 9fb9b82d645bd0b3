package web

import (
	"hash/fnv"
	"net/url"
	"strconv"
)

// portrait is a picture of somebody or something, or a drawing instead of it.
type portrait struct {
	// Src is where the picture is; empty for a drawing.
	Src  string
	Size int
	// Hue tells drawings apart: a number from 0 to 11.
	Hue string
}

// portrait is the picture of a character, corporation, alliance or type. It comes from the
// game's image server only where the administrator has allowed that.
func (v *visit) portrait(kind, id string, size int) portrait {
	h := fnv.New32a()
	_, _ = h.Write([]byte(kind + id))
	p := portrait{Size: size, Hue: strconv.Itoa(int(h.Sum32() % hues))}
	if !v.site.config.Images || id == "" {
		return p
	}
	variation := map[string]string{"characters": "portrait", "corporations": "logo", "alliances": "logo", "types": "icon"}[kind]
	if variation == "" {
		return p
	}
	p.Src = imageServer + "/" + kind + "/" + url.PathEscape(id) + "/" + variation + "?size=" + strconv.Itoa(2*size)
	return p
}

// hues is how many colours drawings have; the style sheet has one for each.
const hues = 12
