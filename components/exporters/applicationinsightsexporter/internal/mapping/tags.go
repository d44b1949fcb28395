// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"net/netip"

	"go.opentelemetry.io/collector/pdata/pcommon"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
)

// operation writes the tags that put an item into its trace: operation id, and below which span it is. Either may be empty.
func (w *walk) operation(trace pcommon.TraceID, parent pcommon.SpanID) {
	if !trace.IsEmpty() {
		w.enc.OpenTag(ai.TagOperationID)
		w.enc.WriteHex(trace[:])
		w.enc.Close()
	}
	if !parent.IsEmpty() {
		w.enc.OpenTag(ai.TagOperationParentID)
		w.enc.WriteHex(parent[:])
		w.enc.Close()
	}
}

// callerTags writes the tags that say on whose behalf something happened, and returns which attributes they used. called says
// that the item is about being called, so that the address of the client is where the call came from.
func (w *walk) callerTags(called bool) (used usage) {
	a := &w.attributes
	if source := syntheticSource(a.text(fieldSynthetic), a.text(fieldNoise)); source != "" {
		w.enc.Tag(ai.TagOperationSyntheticSource, source)
		used |= usedSynthetic
	}
	if user := a.text(fieldUser); user != "" {
		w.enc.Tag(ai.TagUserAuthUserID, user)
		used |= usedUser
	}
	if user := a.text(fieldPseudoUser); user != "" {
		w.enc.Tag(ai.TagUserID, user)
	}
	if session := a.text(fieldSession); session != "" {
		w.enc.Tag(ai.TagSessionID, session)
		used |= usedSession
	}
	if called {
		if address := a.text(fieldClientAddress); isAddress(address) {
			w.enc.Tag(ai.TagLocationIP, address)
		}
	}
	return used
}

// syntheticSource is what made a call that no user asked for: what the user agent tells (bot or test, by the semantic
// conventions), else what the mesh_noise processor found (health_probe, scrape, …).
func syntheticSource(agent, noise string) string {
	if agent != "" {
		return agent
	}
	return noise
}

// isAddress says that a text is an IP address and no name.
func isAddress(text string) bool {
	// An address begins with a digit, a colon or, in brackets, another one; ParseAddr makes an error of each name.
	if text == "" || (text[0] != ':' && text[0] != '[' && !isHex(text[0])) {
		return false
	}
	if text[0] == '[' && text[len(text)-1] == ']' {
		text = text[1 : len(text)-1]
	}
	for i := range len(text) {
		if c := text[i]; c != '.' && c != ':' && !isHex(c) {
			if c == '%' {
				break
			}
			return false
		}
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
