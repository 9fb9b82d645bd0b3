package place_test

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/internal/backup/place"
)

// store is as much of an object store as a bucket needs. It gives lists in pages
// of two and takes uploads in parts.
type store struct {
	mu      sync.Mutex
	objects map[string][]byte
	parts   map[string][]byte
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	if r.Header.Get("Authorization") == "" || !strings.Contains(r.Header.Get("Authorization"), "Credential=key/") {
		refuse(w, http.StatusForbidden, "AccessDenied")
		return
	}
	if bucket != "backups" {
		refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	switch {
	case query.Has("location"):
		fmt.Fprint(w, `<LocationConstraint>eu-test-1</LocationConstraint>`)
	case r.Method == http.MethodGet && key == "":
		s.list(w, query)
	case r.Method == http.MethodPost && query.Has("uploads"):
		fmt.Fprintf(w, `<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>1</UploadId></InitiateMultipartUploadResult>`, bucket, key)
	case r.Method == http.MethodPut && query.Has("partNumber"):
		s.parts[key] = append(s.parts[key], body(r)...)
		w.Header().Set("ETag", `"part"`)
	case r.Method == http.MethodPost && query.Has("uploadId"):
		s.objects[key] = s.parts[key]
		delete(s.parts, key)
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>"whole"</ETag></CompleteMultipartUploadResult>`, bucket, key)
	case r.Method == http.MethodPut:
		s.objects[key] = body(r)
		w.Header().Set("ETag", `"whole"`)
	default:
		content, ok := s.objects[key]
		if !ok {
			refuse(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", `"whole"`)
		w.Header().Set("Last-Modified", "Fri, 27 Nov 2026 23:00:00 GMT")
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(content)
		}
	}
}

// body takes the chunks of a signed upload apart.
func body(r *http.Request) []byte {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		content, _ := io.ReadAll(r.Body)
		return content
	}
	in := bufio.NewReader(r.Body)
	var content bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, parseErr := strconv.ParseInt(size, 16, 64)
		if err != nil || parseErr != nil || n == 0 {
			return content.Bytes()
		}
		_, _ = io.CopyN(&content, in, n)
		_, _ = in.ReadString('\n')
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<Error><Code>%s</Code><Message>refused</Message></Error>`, code)
}

func (s *store) list(w http.ResponseWriter, query url.Values) {
	type entry struct {
		Key  string
		Size int
	}
	result := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []entry
	}{}
	var names []string
	for name := range s.objects {
		if strings.HasPrefix(name, query.Get("prefix")) && name > query.Get("continuation-token") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) > 2 {
		names = names[:2]
		result.IsTruncated, result.NextContinuationToken = true, names[1]
	}
	for _, name := range names {
		result.Contents = append(result.Contents, entry{name, len(s.objects[name])})
	}
	_ = xml.NewEncoder(w).Encode(result)
}

// serve starts a store and gives its address.
func serve(t *testing.T) (*store, string) {
	t.Helper()
	s := &store{objects: map[string][]byte{"else/where": []byte("x")}, parts: map[string][]byte{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	return s, server.URL
}

func TestABucketKeepsObjects(t *testing.T) {
	s, address := serve(t)
	p, err := place.NewBucket("s3://backups/of/muster?region=eu-test-1&endpoint=" + address)
	require.NoError(t, err)
	require.Equal(t, "s3://backups/of/muster", p.String())
	keepsObjects(t, p)
	require.Contains(t, s.objects, "of/muster/b/deep/two")
	require.Len(t, s.objects, 4)
}

func TestABucketSaysWhatIsWrong(t *testing.T) {
	_, address := serve(t)
	p, err := place.NewBucket("s3://missing?region=eu-test-1&endpoint=" + address)
	require.NoError(t, err)
	err = p.Put(t.Context(), "a", strings.NewReader("x"))
	require.Equal(t, event.CodeNotFound, event.CodeOf(err))
	require.ErrorContains(t, err, "no such bucket")

	t.Setenv("AWS_ACCESS_KEY_ID", "other")
	p, err = place.NewBucket("s3://backups?region=eu-test-1&endpoint=" + address)
	require.NoError(t, err)
	_, err = p.List(t.Context(), "")
	require.Equal(t, event.CodeForbidden, event.CodeOf(err))
	require.NotContains(t, err.Error(), "secret")
}

func TestAddressesOfBucketsAreChecked(t *testing.T) {
	for _, address := range []string{"s3://", "http://x", "s3://user:password@bucket", "s3://bucket?endpoint=ftp://x", "s3://bucket?endpoint=https://x/path", "s3://%"} {
		_, err := place.NewBucket(address)
		require.Equal(t, event.CodeInvalid, event.CodeOf(err), address)
		require.NotContains(t, err.Error(), "password")
	}
}
