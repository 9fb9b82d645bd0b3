// Package spreadsheet keeps texts that come from outside harmless where people
// open them in a spreadsheet.
package spreadsheet

import "strings"

// Harmless keeps spreadsheets from taking a text for a formula: one that begins
// like a formula gets an apostrophe before it. Numbers must not go through it: an
// amount below zero begins with a sign and is no formula.
func Harmless(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
