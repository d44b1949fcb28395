// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Identity is who a token is for: what an operator needs to find it in Azure. Empty fields are unknown. It is no secret.
type Identity struct {
	// ClientID is the application's id (appid).
	ClientID string
	// ObjectID is the id of the service principal (oid), which role assignments name.
	ObjectID string
	// TenantID is the directory (tid).
	TenantID string
}

// claims are what is read of a token, without judging its signature: it is for messages and for the time it ends.
type claims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience json.RawMessage `json:"aud"`
	Expires  float64         `json:"exp"`
	AppID    string          `json:"appid"`
	Party    string          `json:"azp"`
	ObjectID string          `json:"oid"`
	TenantID string          `json:"tid"`
}

// maxToken is the longest token that is looked into, in bytes.
const maxToken = 64 << 10

// readClaims takes a JSON web token apart; false if it is none.
func readClaims(token string) (claims, bool) {
	var c claims
	if len(token) > maxToken || strings.Count(token, ".") != 2 {
		return c, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.Split(token, ".")[1], "="))
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return claims{}, false
	}
	return c, true
}

// expires is when the token ends; zero if it does not say.
func (c *claims) expires() time.Time {
	// Beyond the year 9999 there is nothing to print.
	if !(c.Expires > 0 && c.Expires < 253402300800) {
		return time.Time{}
	}
	return time.Unix(int64(c.Expires), 0)
}

// audience is the audience as text; a token may have several.
func (c *claims) audience() string {
	var one string
	var several []string
	if json.Unmarshal(c.Audience, &one) == nil {
		return clean(one, 200)
	}
	_ = json.Unmarshal(c.Audience, &several)
	return clean(strings.Join(several, " "), 200)
}

// identityOf says who an access token is for. Its format is Microsoft's own affair, so what cannot be read is unknown.
func identityOf(token string) Identity {
	c, _ := readClaims(token)
	id := Identity{ClientID: clean(c.AppID, 64), ObjectID: clean(c.ObjectID, 64), TenantID: clean(c.TenantID, 64)}
	if id.ClientID == "" {
		id.ClientID = clean(c.Party, 64)
	}
	return id
}

// String names the identity for a message; empty if nothing is known.
func (i Identity) String() string {
	var parts []string
	for _, part := range []struct{ name, value string }{{"object id", i.ObjectID}, {"client id", i.ClientID}, {"tenant", i.TenantID}} {
		if part.value != "" {
			parts = append(parts, part.name+" "+part.value)
		}
	}
	return strings.Join(parts, ", ")
}
