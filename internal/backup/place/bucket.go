package place

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/muster-sync/muster/domain/event"
)

// Bucket keeps objects in a bucket of an object store that speaks S3. It is safe
// for concurrent use.
type Bucket struct {
	client       *minio.Client
	name, prefix string
}

// partSize is what an upload holds in memory at a time.
const partSize = 16 << 20

// defaultEndpoint is Amazon's.
const defaultEndpoint = "https://s3.amazonaws.com"

// NewBucket opens s3://BUCKET/PREFIX. Another store than Amazon's is named by
// ?endpoint=https://HOST, its region by ?region=NAME. Credentials come from the
// environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), from the files of
// Amazon's tools, or from the machine's role. Nothing is asked of the store yet.
func NewBucket(address string) (*Bucket, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil {
		return nil, event.Errorf(event.CodeInvalid, "the address of a bucket: write it as s3://bucket/prefix, with ?endpoint=https://host for a store that is not Amazon's; credentials do not belong into it")
	}
	at := u.Query().Get("endpoint")
	if at == "" {
		at = defaultEndpoint
	}
	endpoint, err := url.Parse(at)
	if err != nil || endpoint.Host == "" || (endpoint.Scheme != "https" && endpoint.Scheme != "http") || strings.Trim(endpoint.Path, "/") != "" {
		return nil, event.Errorf(event.CodeInvalid, "endpoint %q of bucket %s: write it as https://host or http://host:port", at, u.Host)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure: endpoint.Scheme == "https", Region: u.Query().Get("region"), BucketLookup: lookup(at),
	})
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "opening bucket %s: %w", u.Host, err)
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &Bucket{client: client, name: u.Host, prefix: prefix}, nil
}

// lookup addresses buckets of other stores by path, which all of them know.
func lookup(endpoint string) minio.BucketLookupType {
	if endpoint == defaultEndpoint {
		return minio.BucketLookupAuto
	}
	return minio.BucketLookupPath
}

// String is the bucket's address.
func (b *Bucket) String() string {
	return strings.TrimSuffix("s3://"+b.name+"/"+b.prefix, "/")
}

// Put writes an object, in place of any of that name.
func (b *Bucket) Put(ctx context.Context, name string, content io.Reader) error {
	size := int64(-1)
	if sized, ok := content.(interface{ Len() int }); ok {
		size = int64(sized.Len())
	}
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, content, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partSize,
	})
	return b.failed("writing", name, err)
}

// Open reads an object; [event.CodeNotFound] if there is none of that name.
func (b *Bucket) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	object, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err == nil {
		// The library asks for nothing before the first use.
		if _, err = object.Stat(); err != nil {
			_ = object.Close()
		}
	}
	if err != nil {
		return nil, b.failed("reading", name, err)
	}
	return object, nil
}

// List tells the names of all objects that begin with prefix, sorted.
func (b *Bucket) List(ctx context.Context, prefix string) ([]string, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the listing when one object is an error
	defer cancel()
	var names []string
	for object := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, b.failed("listing", prefix, object.Err)
		}
		names = append(names, strings.TrimPrefix(object.Key, b.prefix))
	}
	slices.Sort(names)
	return names, nil
}

// failed codes an error of the store. Its texts name no credentials.
func (b *Bucket) failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	at := fmt.Sprintf("%s %s of %s", what, name, b)
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == minio.NoSuchKey:
		return event.Errorf(event.CodeNotFound, "%s: there is no such object", at)
	case answer.Code == minio.NoSuchBucket:
		return event.Errorf(event.CodeNotFound, "%s: there is no such bucket; make it first", at)
	case answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized:
		return event.Errorf(event.CodeForbidden, "%s: %w; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do", at, err)
	default:
		return event.Errorf(event.CodeUnavailable, "%s: %w", at, err)
	}
}
