package doctor

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// Settings are those that may contradict one another.
type Settings struct {
	// OwnKafka and OwnClickHouse say that addresses of one's own engines are set.
	OwnKafka, OwnClickHouse bool
	ClickHouseCluster       string
	Partitions              int32
	Replication             int16

	Listen string

	ESIURL, SSOURL, SamURL, RawlsURL           string
	SSOClientID, SSOClientSecret, SignInClient string
	SSOCallbackURL                             string
	Contact                                    string
	// NoCredentials says that AnVIL is to be asked without a token.
	NoCredentials bool

	// TwoKeys and TwoFormerKeys say that a key is given both as text and by file.
	TwoKeys, TwoFormerKeys bool

	// DemoData says that the data folder was filled by a demonstration.
	DemoData bool
	// Refused are the reasons for which parts of Muster would not start.
	Refused []string
}

// Contradictions judges settings against one another.
func Contradictions(s Settings) (o Outcome) {
	o.Seen = "nothing contradicts"
	if s.ClickHouseCluster != "" && !s.OwnClickHouse {
		o.fail("set MUSTER_CLICKHOUSE_DSN, or leave the cluster out", "MUSTER_CLICKHOUSE_CLUSTER names a cluster, and the embedded ClickHouse is none")
	}
	if s.Partitions < 1 || s.Replication < 1 {
		o.fail("set both to at least 1", "MUSTER_KAFKA_PARTITIONS is %d and MUSTER_KAFKA_REPLICATION %d", s.Partitions, s.Replication)
	}
	if s.Replication > 1 && !s.OwnKafka {
		o.fail("set it to 1, or set MUSTER_KAFKA_BROKERS", "MUSTER_KAFKA_REPLICATION is %d, and the embedded Kafka is one broker", s.Replication)
	}
	if _, _, err := net.SplitHostPort(s.Listen); err != nil {
		o.fail("write it as host:port", "MUSTER_LISTEN cannot be read")
	}
	if s.SSOClientID != "" && s.Contact == "" {
		o.fail("set MUSTER_CONTACT to an e-mail address: ESI bans programs without one", "an EVE application is configured, but no contact")
	}
	if s.SSOClientID == "" && s.SSOClientSecret != "" {
		o.warn("set MUSTER_SSO_CLIENT_ID, too", "MUSTER_SSO_CLIENT_SECRET is set without MUSTER_SSO_CLIENT_ID: no characters are read")
	}
	if s.SignInClient != "" && s.SignInClient == s.SSOClientID {
		o.fail("make another EVE application, without scopes, for signing in", "MUSTER_SIGN_IN_CLIENT_ID and MUSTER_SSO_CLIENT_ID are one application: who signs in would end the login by which the character is read")
	}
	if u, err := url.Parse(s.SSOCallbackURL); s.SSOCallbackURL != "" && (err != nil || u.Host == "") {
		o.fail("write it as in the EVE application's settings, such as https://muster.example.org/sso/callback", "MUSTER_SSO_CALLBACK_URL is no complete address")
	}
	if s.TwoKeys {
		o.warn("leave one of them out", "both MUSTER_SECRET_KEY and MUSTER_SECRET_KEY_FILE are set: the file is not looked at")
	}
	if s.TwoFormerKeys {
		o.warn("leave one of them out", "both MUSTER_SECRET_KEY_PREVIOUS and MUSTER_SECRET_KEY_PREVIOUS_FILE are set: the file is not looked at")
	}
	for _, reason := range s.Refused {
		o.fail("correct it: Muster does not start so", "%s", reason)
	}
	return o
}

// simulated are the names that the simulated worlds give away.
const simulated = "muster-simulated"

// Worlds judges whether what is simulated and what is real are kept apart.
func Worlds(s Settings) (o Outcome) {
	esi, sso := IsLoopback(s.ESIURL), IsLoopback(s.SSOURL)
	sam, rawls := IsLoopback(s.SamURL), IsLoopback(s.RawlsURL)
	o.Seen = "EVE: " + kind(esi) + ", AnVIL: " + kind(sam)
	if esi != sso {
		o.fail("set both to one world", "MUSTER_ESI_URL is %s and MUSTER_SSO_URL %s: tokens of one are none of the other", kind(esi), kind(sso))
	}
	if sam != rawls {
		o.fail("set both to one world", "MUSTER_SAM_URL is %s and MUSTER_RAWLS_URL %s", kind(sam), kind(rawls))
	}
	if s.NoCredentials && (!sam || !rawls) {
		o.fail("name a key file, or use loopback addresses", "MUSTER_ANVIL_CREDENTIALS is none, but AnVIL is the real one")
	}
	real := !esi || !sso
	if real && strings.HasPrefix(s.SSOClientID, simulated) || real && strings.HasPrefix(s.SignInClient, simulated) {
		o.fail("set the client id of your EVE application", "the client id is that of the simulated sign-on, but EVE is the real one")
	}
	if at := strings.LastIndex(s.Contact, "@"); !esi && s.SSOClientID != "" && at >= 0 && isExample(s.Contact[at+1:]) {
		o.fail("set MUSTER_CONTACT to an address that somebody reads", "ESI's operators would be given a contact that is an example")
	}
	if s.DemoData && !esi && s.SSOClientID != "" {
		o.warn("use a data folder of its own for the real world", "the data folder was filled by a demonstration: its characters and logins are made up")
	}
	return o
}

func kind(local bool) string {
	if local {
		return "on this machine"
	}
	return "the real one"
}

func isExample(domain string) bool {
	domain = strings.ToLower(domain)
	return slices.ContainsFunc([]string{"example.org", "example.com", "example.net", "example"}, func(e string) bool {
		return domain == e || strings.HasSuffix(domain, "."+e)
	})
}

// IsLoopback tells whether an address is of this machine.
func IsLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Document is what was found in muster.yaml and in the environment.
type Document struct {
	// There says that there is a muster.yaml.
	There bool
	// Unknown are its keys that no flag has, Lists those whose value is no plain one.
	Unknown, Lists []string
	// Variables are those of the environment that begin with MUSTER_ and that nothing
	// reads.
	Variables []string
}

// Known judges names of settings. Values are never looked at: they may be secrets.
func Known(d Document) (o Outcome) {
	o.Seen = "no muster.yaml in the working directory, all variables known"
	if d.There {
		o.Seen = "muster.yaml and the environment have known names alone"
	}
	if len(d.Unknown) > 0 {
		o.warn("correct the names: each flag's name is a key, see muster up --help", "muster.yaml has keys that nothing reads: %s", strings.Join(d.Unknown, ", "))
	}
	if len(d.Lists) > 0 {
		o.fail("write each as one text, with commas between the parts", "muster.yaml has keys whose value is a list or a map: %s", strings.Join(d.Lists, ", "))
	}
	if len(d.Variables) > 0 {
		o.warn("correct the names: docs/operations.md has them", "variables that nothing reads: %s", strings.Join(d.Variables, ", "))
	}
	return o
}
