package clickhouse

import (
	"bytes"
	"strings"
)

// token is a lexical element of a statement.
type token struct {
	kind       tokenKind
	start, end int
}

type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a keyword or a bare identifier
	tokenQuoted           // a string or a quoted identifier
	tokenOther            // a number, an operator, a bracket
)

// lexer cuts ClickHouse's SQL into tokens. It knows just enough to step over comments, strings and quoted names, which
// is what it takes to find a clause without being fooled by its name inside one of them.
type lexer struct {
	text []byte
	pos  int
}

// next answers the next token, skipping blanks and comments. An unfinished string or comment reaches to the end.
func (l *lexer) next() token {
	l.skipBlanks()
	start := l.pos
	if start >= len(l.text) {
		return token{tokenEnd, start, start}
	}
	switch c := l.text[start]; {
	case isWordStart(c):
		l.skipWhile(isWordPart)
		return token{tokenWord, start, l.pos}
	case c >= '0' && c <= '9':
		l.skipWhile(isWordPart)
		return token{tokenOther, start, l.pos}
	case c == '\'' || c == '"' || c == '`':
		l.skipQuoted(c)
		return token{tokenQuoted, start, l.pos}
	case c == '$' && l.skipHeredoc():
		return token{tokenQuoted, start, l.pos}
	}
	l.pos++
	return token{tokenOther, start, l.pos}
}

// word is the token's text in upper case, "" if it is not a word.
func (l *lexer) word(t token) string {
	if t.kind != tokenWord {
		return ""
	}
	return strings.ToUpper(string(l.text[t.start:t.end]))
}

// is reports whether the token is the one character c.
func (l *lexer) is(t token, c byte) bool {
	return t.kind == tokenOther && l.text[t.start] == c
}

func (l *lexer) skipWhile(ok func(byte) bool) {
	for l.pos < len(l.text) && ok(l.text[l.pos]) {
		l.pos++
	}
}

func (l *lexer) skipBlanks() {
	for l.pos < len(l.text) {
		rest := l.text[l.pos:]
		switch {
		case isBlank(rest[0]):
			l.pos++
		case bytes.HasPrefix(rest, []byte("--")), bytes.HasPrefix(rest, []byte("#!")), bytes.HasPrefix(rest, []byte("# ")):
			l.skipPast(rest, "\n", 2)
		case bytes.HasPrefix(rest, []byte("/*")):
			l.skipPast(rest, "*/", 2)
		default:
			return
		}
	}
}

// skipPast moves behind the first end in rest at or after offset from, or to the end of the text.
func (l *lexer) skipPast(rest []byte, end string, from int) {
	if i := bytes.Index(rest[from:], []byte(end)); i >= 0 {
		l.pos += from + i + len(end)
		return
	}
	l.pos = len(l.text)
}

// skipQuoted moves behind a quoted piece: a backslash escapes the next character, a doubled quote is one.
func (l *lexer) skipQuoted(quote byte) {
	for l.pos++; l.pos < len(l.text); l.pos++ {
		switch l.text[l.pos] {
		case '\\':
			l.pos++
		case quote:
			if l.pos+1 >= len(l.text) || l.text[l.pos+1] != quote {
				l.pos++
				return
			}
			l.pos++
		}
	}
	l.pos = len(l.text)
}

// skipHeredoc moves behind $tag$...$tag$ if there is one here.
func (l *lexer) skipHeredoc() bool {
	rest := l.text[l.pos:]
	closing := bytes.IndexByte(rest[1:], '$')
	if closing < 0 {
		return false
	}
	tag := rest[:closing+2]
	for _, c := range tag[1 : len(tag)-1] {
		if !isWordPart(c) {
			return false
		}
	}
	end := bytes.Index(rest[len(tag):], tag)
	if end < 0 {
		return false
	}
	l.pos += len(tag) + end + len(tag)
	return true
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isWordStart(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isWordPart(c byte) bool { return isWordStart(c) || c >= '0' && c <= '9' }

// insertHead is an INSERT statement whose data follows it.
type insertHead struct {
	// sql is the statement without its FORMAT clause or the word VALUES.
	sql string
	// format is the format of the data, as the statement names it; "Values" after VALUES.
	format string
	// data is the offset of the data's first byte.
	data int
}

// findInsert looks for an INSERT with data at the beginning of text. It answers false for any other statement: one that
// inserts from a SELECT or a file, or none that inserts at all.
func findInsert(text []byte) (insertHead, bool) {
	l := &lexer{text: text}
	if l.word(l.next()) != "INSERT" {
		return insertHead{}, false
	}
	depth := 0
	isName := true // the next word is a name, whatever it spells
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd:
			return insertHead{}, false
		case l.is(t, '('):
			depth++
		case l.is(t, ')'):
			depth--
		}
		word := l.word(t)
		if word == "" {
			isName = l.is(t, '.')
			continue
		}
		if isName {
			isName = word == "INTO" || word == "TABLE" || word == "FUNCTION"
			continue
		}
		switch {
		case word == "SELECT" || word == "WITH" || word == "WATCH" || word == "INFILE":
			return insertHead{}, false
		case depth > 0:
		case word == "VALUES":
			return insertHead{sql: string(text[:t.start]), format: "Values", data: t.end}, true
		case word == "FORMAT":
			name := l.next()
			if name.kind != tokenWord {
				return insertHead{}, false
			}
			return insertHead{sql: string(text[:t.start]), format: string(text[name.start:name.end]), data: dataStart(text, name.end)}, true
		}
	}
}

// dataStart is where the data begins behind the name of its format: after blanks and one line break.
func dataStart(text []byte, pos int) int {
	for pos < len(text) && (text[pos] == ' ' || text[pos] == '\t' || text[pos] == '\f') {
		pos++
	}
	if pos < len(text) && text[pos] == '\r' {
		pos++
	}
	if pos < len(text) && text[pos] == '\n' {
		pos++
	}
	return pos
}

// outputFormat is the format that a statement's own FORMAT clause names, "" if it has none. The clause is the last one
// but for SETTINGS.
func outputFormat(sql string) string {
	l := &lexer{text: []byte(sql)}
	depth := 0
	for {
		t := l.next()
		switch {
		case t.kind == tokenEnd:
			return ""
		case l.is(t, '('):
			depth++
		case l.is(t, ')'):
			depth--
		case depth == 0 && l.word(t) == "FORMAT":
			mark := l.pos
			name, after := l.next(), l.next()
			if name.kind == tokenWord && (after.kind == tokenEnd || l.is(after, ';') || l.word(after) == "SETTINGS") {
				return sql[name.start:name.end]
			}
			l.pos = mark
		}
	}
}

// isSelect reports whether the statement begins as a query whose result the engine can stream.
func isSelect(sql string) bool {
	l := &lexer{text: []byte(sql)}
	for {
		t := l.next()
		if l.is(t, '(') {
			continue
		}
		word := l.word(t)
		return word == "SELECT" || word == "WITH"
	}
}

// readsInput reports whether the statement is an INSERT from a SELECT over input(), the table function that stands for
// the request's data.
func readsInput(sql string) bool {
	l := &lexer{text: []byte(sql)}
	if l.word(l.next()) != "INSERT" {
		return false
	}
	for {
		t := l.next()
		if t.kind == tokenEnd {
			return false
		}
		if l.word(t) == "INPUT" && l.is(l.next(), '(') {
			return true
		}
	}
}

// hasSettings reports whether the word SETTINGS stands anywhere in the statement.
func hasSettings(sql string) bool {
	l := &lexer{text: []byte(sql)}
	for {
		t := l.next()
		if t.kind == tokenEnd {
			return false
		}
		if l.word(t) == "SETTINGS" {
			return true
		}
	}
}

// joinable says, by upper-case name, of which formats two documents one after the other are one document: their results
// can be sent on chunk by chunk.
func joinable(format string) bool {
	switch strings.ToUpper(format) {
	case "NATIVE", "ROWBINARY",
		"CSV", "TABSEPARATED", "TSV", "TABSEPARATEDRAW", "TSVRAW", "RAW", "LINEASSTRING", "TSKV",
		"JSONEACHROW", "JSONLINES", "NDJSON", "JSONSTRINGSEACHROW", "JSONCOMPACTEACHROW", "JSONCOMPACTSTRINGSEACHROW":
		return true
	}
	return false
}

// isSettingName reports whether name can be the name of a setting.
func isSettingName(name string) bool {
	for i := range len(name) {
		if !isWordPart(name[i]) && (i == 0 || name[i] != '.') {
			return false
		}
	}
	return name != "" && isWordStart(name[0])
}

var stringQuoting = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`)

// quoteString is s as a string literal.
func quoteString(s string) string { return "'" + stringQuoting.Replace(s) + "'" }

var identifierQuoting = strings.NewReplacer(`\`, `\\`, "`", "\\`", "\x00", `\0`)

// quoteIdentifier is s as an identifier.
func quoteIdentifier(s string) string { return "`" + identifierQuoting.Replace(s) + "`" }
