// SPDX-License-Identifier: Apache-2.0

package connection

import (
	"fmt"
	"strings"
)

const scopeEnd = "/.default"

// Mismatch says in a sentence that tokens for a scope are not those that the endpoint takes: it would answer each of them
// with 401. It is empty if they are, and if nobody knows what the endpoint takes: the string has no AADAudience, and the
// host is of none of Azure's clouds.
func (i *Info) Mismatch(scope string) string {
	if !i.certain || strings.EqualFold(audienceIn(scope), audienceIn(i.audience)) {
		return ""
	}
	says := "the endpoint is of a cloud"
	if i.named {
		says = "the connection string has an AADAudience"
	}
	return fmt.Sprintf("%s that takes tokens for %s alone, and the authenticator asks for tokens for %s, which get 401: "+
		"write 'scopes: [%s]' at an authenticator for this destination", says, i.Scope(), scope, i.Scope())
}

// audienceIn is the audience of a scope. Whether it ends with a slash does not matter to Entra ID's resources.
func audienceIn(scope string) string {
	return strings.TrimRight(strings.TrimSuffix(scope, scopeEnd), "/")
}
