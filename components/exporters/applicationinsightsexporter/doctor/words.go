// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"unicode"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
)

// judge says what an answer means.
func (c *check) judge(s *step, a *answer, id string) {
	s.say("%s answered %s", a.host, statusName(a.status))
	c.judgeAnswer(s, a, id)
	c.skew(s, a)
	if after := a.header.Get("Retry-After"); after != "" {
		s.say("it asks to wait: Retry-After: %s", c.quote(after, 64))
	}
}

func (c *check) judgeAnswer(s *step, a *answer, id string) {
	switch {
	case (a.status == http.StatusOK || a.status == http.StatusPartialContent) && a.readable && len(a.track.Errors) == 0 && a.track.ItemsAccepted == 1:
		s.say("the item was accepted; it appears within some minutes: traces | where message has %q", id)
	case !a.readable && a.status < 300 && bytes.Contains(a.body, []byte(`"itemsReceived"`)):
		s.fail("the answer is cut: %s; whether the item was stored is not known", c.excerpt(a.body))
		s.advise("look at proxies on the way; the exporter sends again")
	case !a.readable && a.status < 300:
		s.fail("that is not an answer of Application Insights: %s", c.excerpt(a.body))
		s.advise("something else answers in its place: a proxy, a sign-in page or a wrong IngestionEndpoint")
	case a.readable && len(a.track.Errors) > 0 && a.track.Errors[0].Index != 0:
		s.fail("the answer speaks of item %d, and there was one item, with the number 0: whether it was stored is not known", a.track.Errors[0].Index)
		s.advise("try again; if it stays so, something answers in Azure's place, and the exporter sends again")
	case a.readable && len(a.track.Errors) == 0 && a.status < 300:
		s.fail("the answer contradicts itself: it names no error, and says that %d of 1 items were accepted", a.track.ItemsAccepted)
	case a.readable && len(a.track.Errors) > 0 && itemStatus(a.track.Errors[0].StatusCode):
		c.judgeItem(s, a.track.Errors[0])
	case a.readable && len(a.track.Errors) > 0:
		c.judgeStatus(s, a, a.track.Errors[0].StatusCode)
	default:
		c.judgeStatus(s, a, a.status)
	}
}

// itemStatus says whether the status is about the item itself.
func itemStatus(status int) bool {
	return status == http.StatusBadRequest || status == ai.StatusSampledOut
}

// judgeItem says what became of the item by its own error.
func (c *check) judgeItem(s *step, e ai.ItemError) {
	message := c.quote(e.Message, 300)
	lower := strings.ToLower(message)
	switch {
	case e.StatusCode == ai.StatusSampledOut && strings.Contains(lower, "sampled out"):
		s.warn("the item arrived, and ingestion sampling of the resource dropped it (\"%s\"): it does so with a share of all items", message)
		s.advise("turn ingestion sampling off on the resource (Usage and estimated costs) if counts are to be whole")
	case strings.Contains(lower, strings.ToLower(ai.MessageInvalidKey)):
		s.fail("the endpoint does not know the instrumentation key (\"%s\")", message)
		s.advise("copy the connection string from the overview of the resource once more: key and endpoint must be of one resource, and the resource must be there still")
		if c.token == "" {
			s.advise("a resource that takes Entra ID alone may answer so as well: try --auth")
		}
	case strings.HasPrefix(message, "103"):
		s.fail("the endpoint takes the item, made just now, for older than 48 hours (\"%s\")", message)
		s.advise(setClock)
	case strings.Contains(lower, "length must not exceed"):
		s.fail("the endpoint takes the item for too long (\"%s\"), which it is not: something on the way changed it", message)
	default:
		s.fail("the endpoint refused the item with %d: %s", e.StatusCode, message)
		if c.token == "" {
			s.advise("a resource that takes Entra ID alone may refuse so as well: try --auth")
		}
	}
}

// statusWords are what a status means and what to do; those of 401 and 403 depend on who sends.
var statusWords = map[int]struct{ says, do string }{
	http.StatusBadRequest: {
		"the endpoint refused the request as a whole",
		"if the resource takes Entra ID alone, try --auth",
	},
	http.StatusPaymentRequired: {
		"the daily cap of the resource is reached: it takes no more items until the cap is reset, once a day",
		"raise the daily cap (Usage and estimated costs), or send less; the exporter waits and keeps the items",
	},
	ai.StatusQuotaExceeded: {
		"the daily cap of the resource is reached: it takes no more items until the cap is reset, once a day",
		"raise the daily cap (Usage and estimated costs), or send less; the exporter waits and keeps the items",
	},
	http.StatusNotFound: {
		"there is an endpoint, and it does not take items of this resource, or not at this path",
		"copy the connection string from the overview of the resource once more: IngestionEndpoint must be the one of its own region",
	},
	http.StatusProxyAuthRequired: {
		"a proxy wants a user and a password",
		"write them into the URL of the proxy: http://<user>:<password>@<host>:<port>",
	},
	http.StatusRequestTimeout: {
		"the endpoint did not get the whole request in time",
		"look at the network between here and there; the exporter sends again",
	},
	http.StatusRequestEntityTooLarge: {
		"the body is too large for what answers there, though it holds one small item",
		"look at the limits of the proxy on the way",
	},
	http.StatusTooManyRequests: {
		"the resource gets more items a second than it takes",
		"send less, or to several resources; the exporter waits and keeps the items",
	},
}

// judgeStatus says what a status means, of the item if it has one of its own.
func (c *check) judgeStatus(s *step, a *answer, status int) {
	words, known := statusWords[status]
	if status != a.status {
		s.say("and for the item %s", statusName(status))
	}
	switch {
	case status == http.StatusUnauthorized && c.token == "":
		s.fail("the resource wants a token of Microsoft Entra ID: local authentication is turned off on it, so the key alone does not do")
		s.advise("give the exporter the azure_auth extension ('auth::authenticator: azure_auth'), and try here with --auth")
	case status == http.StatusForbidden && c.token == "":
		s.fail("the endpoint lets nobody send this way: the resource wants a token of Microsoft Entra ID, or takes none from this network")
		s.advise("try with --auth; and look at 'Network isolation' of the resource: it may take items through a private link alone")
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		s.fail("%s", credential.Hint(status, a.host, c.identity))
		if status == http.StatusForbidden {
			s.advise("az role assignment create --role \"Monitoring Metrics Publisher\" --assignee-object-id %s --assignee-principal-type ServicePrincipal "+
				"--scope <the id of the Application Insights resource>", orUnknown(c.identity.ObjectID, "<the object id of the identity>"))
			s.advise("if the role is there: look at 'Network isolation' of the resource, which may take items through a private link alone")
		}
	case known:
		s.fail("%s", words.says)
		s.advise("%s", words.do)
	case status >= 500:
		s.fail("the endpoint, or a proxy before it, has a fault of its own")
		s.advise("try again in some minutes, and look at Azure's service health; the exporter waits and keeps the items")
	default:
		s.fail("the exporter knows no such answer and sends again")
	}
	for _, e := range a.track.Errors {
		s.say("it says: %s", c.quote(e.Message, 300))
	}
	if !a.readable && len(a.body) > 0 {
		s.say("it says: %s", c.excerpt(a.body))
	}
}

func orUnknown(value, unknown string) string {
	if value != "" {
		return value
	}
	return unknown
}

// explainSilence says why there is no answer.
func (c *check) explainSilence(s *step, ctx context.Context, err error) {
	var netErr net.Error
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		s.fail("the endpoint took the request and did not answer within %s; whether the item was stored is not known", c.options.timeout)
		s.advise("try again with a longer --timeout; the exporter gives up after 'timeout' and sends again")
	case ctx.Err() != nil:
		s.fail("stopped")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		s.fail("the connection was broken off before the answer was whole; whether the item was stored is not known")
		s.advise("look at proxies and firewalls on the way; the exporter sends again")
	case errors.As(err, &netErr) && netErr.Timeout():
		s.fail("no answer in time")
	default:
		s.fail("no answer: %s", c.quote(err.Error(), 300))
	}
}

func statusName(status int) string {
	text := http.StatusText(status)
	if status == ai.StatusQuotaExceeded {
		text = "Daily quota exceeded"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, text))
}

// excerpt shows the beginning of a body on one line.
func (c *check) excerpt(body []byte) string {
	if len(bytes.TrimSpace(body)) == 0 {
		return "(nothing)"
	}
	return c.quote(string(body), 120)
}

// quote shows a text of somebody else on one line, without what must not be seen: it may send back what it was sent.
func (c *check) quote(text string, limit int) string {
	hide := func(secret, shown string) {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, shown)
		}
	}
	hide(c.token, "(token)")
	hide(c.info.InstrumentationKey(), "(key)")
	if c.proxy != nil && c.proxy.User != nil {
		password, _ := c.proxy.User.Password()
		hide(password, "(password)")
	}
	return strip(text, limit)
}

// strip makes one printable line of a text of somebody else.
func strip(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}
