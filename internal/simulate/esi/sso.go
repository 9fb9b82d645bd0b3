package esi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/muster-sync/muster/internal/simulate/dice"
)

// Names of the keys in the key set, as the real service names its first.
const (
	keyRSA = "JWT-Signature-Key"
	keyEC  = "8878a23f-2489-4045-989e-4d2f3ec1ae1a"
)

// issuer makes and checks the tokens of the simulated sign-on. Its keys follow
// from the seed, so tokens outlive a restart; they protect nothing but a
// simulated world. It is safe for concurrent use.
type issuer struct {
	config *Config
	world  *world
	// rsa is made when it is first needed: finding its primes takes a moment.
	rsa func() (*rsa.PrivateKey, error)
	ec  *ecdsa.PrivateKey
	mac []byte

	mu     sync.Mutex
	issued map[[sha256.Size]byte]bearer
}

// bearer is what an access token proves.
type bearer struct {
	character   int64
	application string
	scopes      []string
	owner       string
	expires     time.Time
}

func newIssuer(config *Config, w *world) (*issuer, error) {
	rsaKey := sync.OnceValues(func() (*rsa.PrivateKey, error) { return seededRSA(config.Seed) })
	ecKey, err := seededEC(config.Seed)
	if err != nil {
		return nil, err
	}
	mac := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("refresh tokens of simulated world "), config.Seed))
	return &issuer{config: config, world: w, rsa: rsaKey, ec: ecKey, mac: mac[:], issued: map[[sha256.Size]byte]bearer{}}, nil
}

// seededRSA makes a key of 2048 bits that follows from the seed.
func seededRSA(seed uint64) (*rsa.PrivateKey, error) {
	const exponent = 65537
	one, e := big.NewInt(1), big.NewInt(exponent)
	d := dice.New(seed, 0x5253)
	prime := func() *big.Int {
		raw := make([]byte, 128)
		for {
			for i := range raw {
				raw[i] = byte(d.Uint64())
			}
			// The two highest bits make the product 2048 bits long.
			raw[0] |= 0xc0
			raw[127] |= 1
			p := new(big.Int).SetBytes(raw)
			coprime := new(big.Int).GCD(nil, nil, new(big.Int).Sub(p, one), e).Cmp(one) == 0
			if coprime && p.ProbablyPrime(20) {
				return p
			}
		}
	}
	p, q := prime(), prime()
	totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(e, totient),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("making the simulated RSA key: %w", err)
	}
	return key, nil
}

func seededEC(seed uint64) (*ecdsa.PrivateKey, error) {
	d := dice.New(seed, 0x4543)
	raw := make([]byte, 32)
	for i := range raw {
		raw[i] = byte(d.Uint64())
	}
	raw[0] &= 0x7f // below the order of the curve
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	if err != nil {
		return nil, fmt.Errorf("making the simulated EC key: %w", err)
	}
	return key, nil
}

// jwks is the public key set.
func (s *issuer) jwks() (map[string]any, error) {
	point, err := s.ec.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding the simulated EC key: %w", err)
	}
	rsaKey, err := s.rsa()
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	exponent := big.NewInt(int64(rsaKey.E)).Bytes()
	return map[string]any{
		"SkipUnresolvedJsonWebKeys": true,
		"keys": []map[string]any{
			{"alg": "RS256", "e": b64(exponent), "kid": keyRSA, "kty": "RSA", "n": b64(rsaKey.N.Bytes()), "use": "sig"},
			{"alg": "ES256", "crv": "P-256", "kid": keyEC, "kty": "EC", "use": "sig", "x": b64(point[1:33]), "y": b64(point[33:])},
		},
	}, nil
}

// scopesOf are the scopes that a character has granted.
func (s *issuer) scopesOf(id int64) []string {
	d := dice.New(s.config.Seed, drawExtra, uint64(id), 1)
	if d.Chance(s.config.PartialScopes) {
		return []string{scopeLocation}
	}
	return Scopes()
}

// access signs an access token for a character's first login.
func (s *issuer) access(id int64, transfers int, now time.Time) (string, error) {
	return s.accessOf(id, transfers, s.config.ClientID, s.scopesOf(id), now)
}

// accessOf signs an access token for a character. A quarter of the characters
// get theirs signed with the RSA key, which is slower.
func (s *issuer) accessOf(id int64, transfers int, client string, scopes []string, now time.Time) (string, error) {
	b := bearer{
		character: id, application: client, scopes: scopes,
		owner: s.world.ownerHash(id, transfers), expires: now.Add(s.config.TokenLifetime).Truncate(time.Second),
	}
	nonce := dice.New(s.config.Seed, uint64(id), uint64(now.UnixNano()))
	claims := jwt.MapClaims{
		"scp": b.scopes, "jti": fmt.Sprintf("%016x%016x", nonce.Uint64(), nonce.Uint64()),
		"sub": "CHARACTER:EVE:" + strconv.FormatInt(id, 10), "azp": b.application,
		"tenant": "tranquility", "tier": "live", "region": "world",
		"aud": []string{b.application, "EVE Online"}, "name": s.world.traitsOf(id).name, "owner": b.owner,
		"exp": b.expires.Unix(), "iat": now.Unix(), "iss": s.config.Issuer,
	}
	if len(b.scopes) == 1 {
		// A single scope is a bare string.
		claims["scp"] = b.scopes[0]
	}
	method, key, kid, err := s.signer(id)
	if err != nil {
		return "", err
	}
	t := jwt.NewWithClaims(method, claims)
	t.Header["kid"] = kid
	signed, err := t.SignedString(key)
	if err != nil {
		return "", fmt.Errorf("signing an access token: %w", err)
	}
	s.remember(signed, b, now)
	return signed, nil
}

func (s *issuer) signer(id int64) (jwt.SigningMethod, crypto.Signer, string, error) {
	if id%4 != 0 {
		return jwt.SigningMethodES256, s.ec, keyEC, nil
	}
	key, err := s.rsa()
	return jwt.SigningMethodRS256, key, keyRSA, err
}

// remember spares the check of the signature of a token that was checked or
// made here.
func (s *issuer) remember(token string, b bearer, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.issued) > 2*s.config.Characters+1000 {
		maps.DeleteFunc(s.issued, func(_ [sha256.Size]byte, b bearer) bool { return !now.Before(b.expires) })
	}
	s.issued[sha256.Sum256([]byte(token))] = b
}

var errExpired = errors.New("token is expired")

// check reads an access token. It fails with errExpired for one that is too
// old.
func (s *issuer) check(token string, now time.Time) (bearer, error) {
	s.mu.Lock()
	b, known := s.issued[sha256.Sum256([]byte(token))]
	s.mu.Unlock()
	if !known {
		var err error
		if b, err = s.parse(token); err != nil {
			return bearer{}, err
		}
		s.remember(token, b, now)
	}
	if !now.Before(b.expires) {
		return b, errExpired
	}
	return b, nil
}

func (s *issuer) parse(token string) (bearer, error) {
	claims := jwt.MapClaims{}
	// Expiry is checked against the simulator's own clock.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "ES256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		switch t.Header["kid"] {
		case keyRSA:
			key, err := s.rsa()
			if err != nil {
				return nil, err
			}
			return &key.PublicKey, nil
		case keyEC:
			return &s.ec.PublicKey, nil
		}
		return nil, errors.New("no such key")
	})
	if err != nil {
		return bearer{}, fmt.Errorf("reading a token: %w", err)
	}
	subject, _ := claims.GetSubject()
	id, err := strconv.ParseInt(strings.TrimPrefix(subject, "CHARACTER:EVE:"), 10, 64)
	if err != nil {
		return bearer{}, fmt.Errorf("subject of a token: %w", err)
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return bearer{}, errors.New("token without expiry")
	}
	b := bearer{character: id, expires: expires.Time}
	b.application, _ = claims["azp"].(string)
	b.owner, _ = claims["owner"].(string)
	switch scp := claims["scp"].(type) {
	case string:
		b.scopes = []string{scp}
	case []any:
		for _, v := range scp {
			scope, _ := v.(string)
			b.scopes = append(b.scopes, scope)
		}
	}
	return b, nil
}

// grant is what a refresh token stands for: each use of the newest generation
// of a login leads to the next one.
type grant struct {
	character  int64
	transfers  int
	login      int
	generation int
}

// refreshToken is the token of one generation of a character's first login.
func (s *issuer) refreshToken(id int64, transfers, generation int) string {
	return s.loginToken(id, transfers, 0, generation)
}

// loginToken is the token of one generation of one of a character's logins.
func (s *issuer) loginToken(id int64, transfers, login, generation int) string {
	plain := fmt.Sprintf("%d.%d.%d.%d", id, transfers, login, generation)
	h := hmac.New(sha256.New, s.mac)
	h.Write([]byte(plain))
	// Like real ones it holds characters that a form has to escape.
	return base64.StdEncoding.EncodeToString(append(h.Sum(nil)[:18], plain...))
}

// readRefreshToken is the inverse of loginToken; false for what this simulator
// did not issue.
func (s *issuer) readRefreshToken(token string) (grant, bool) {
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(raw) < 19 {
		return grant{}, false
	}
	parts := strings.Split(string(raw[18:]), ".")
	if len(parts) != 4 {
		return grant{}, false
	}
	var g grant
	var errs [4]error
	g.character, errs[0] = strconv.ParseInt(parts[0], 10, 64)
	g.transfers, errs[1] = strconv.Atoi(parts[1])
	g.login, errs[2] = strconv.Atoi(parts[2])
	g.generation, errs[3] = strconv.Atoi(parts[3])
	ok := errors.Join(errs[:]...) == nil && g.login >= 0 &&
		hmac.Equal([]byte(token), []byte(s.loginToken(g.character, g.transfers, g.login, g.generation)))
	return g, ok
}
