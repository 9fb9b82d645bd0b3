package anvil

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/muster-sync/muster/domain/event"
)

// NoCredentials as [ClientConfig.Credentials] means that no token is sent.
const NoCredentials = "none"

// scopes are what Terra wants to know of who asks.
func scopes() []string {
	return []string{"https://www.googleapis.com/auth/userinfo.profile", "https://www.googleapis.com/auth/userinfo.email"}
}

// tokenSource is where tokens come from. Tokens are kept until they expire.
func tokenSource(ctx context.Context, config ClientConfig) (oauth2.TokenSource, error) {
	if config.Credentials == "" {
		if config.Tokens != nil {
			return oauth2.ReuseTokenSource(nil, config.Tokens), nil
		}
		found, err := google.FindDefaultCredentials(ctx, scopes()...)
		if err != nil {
			return nil, event.Errorf(event.CodeInvalid, "MUSTER_ANVIL_CREDENTIALS is empty and this machine has no default Google credentials: "+
				"name a service account's key file, or %q for services on this machine", NoCredentials)
		}
		return oauth2.ReuseTokenSource(nil, found.TokenSource), nil
	}
	key, err := os.ReadFile(config.Credentials)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_ANVIL_CREDENTIALS: reading the key file: %w", err)
	}
	// The library's error may quote the key: it is not passed on.
	account, err := google.JWTConfigFromJSON(key, scopes()...)
	if err != nil {
		return nil, event.Errorf(event.CodeInvalid, "MUSTER_ANVIL_CREDENTIALS: %s is no key file of a Google service account: "+
			"make one in the Google Cloud console as JSON", config.Credentials)
	}
	return account.TokenSource(context.WithoutCancel(ctx)), nil
}

// tokenTrouble words why there is no token. Of what was answered only the error
// code of the standard is passed on, if it looks like one: the rest can hold
// secrets.
func tokenTrouble(err error) string {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) || refused.Response == nil {
		return "the token service cannot be reached, or the key cannot be used"
	}
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(refused.Body, &answer) != nil || !errorCode.MatchString(answer.Error) {
		return fmt.Sprintf("refused with status %d", refused.Response.StatusCode)
	}
	return fmt.Sprintf("refused with status %d (%s)", refused.Response.StatusCode, answer.Error)
}

// errorCode is what an OAuth 2.0 error code looks like.
var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)
