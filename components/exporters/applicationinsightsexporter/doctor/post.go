// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	ai "github.com/otelcol-mesh/otelcol-mesh/internal/appinsights"
	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
)

const (
	// maxAnswerBytes is the most of an answer that is read.
	maxAnswerBytes = 64 << 10
	// maxRedirects is how many redirects are followed.
	maxRedirects = 10
	// maxSkew is the difference of the clocks from which on it is worth a warning.
	maxSkew = 5 * time.Minute
	// setClock is what to do about a clock.
	setClock = "synchronize this machine's clock (NTP, chrony)"
)

// client posts as the exporter does: to the address that was found to work, and without following redirects by itself.
func (c *check) client() *http.Client {
	first := net.JoinHostPort(c.hop().Hostname(), port(c.hop()))
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyURL(c.proxy),
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if address == first {
					address = c.addresses[0]
				}
				return c.dial(ctx, network, address)
			},
			TLSClientConfig:   &tls.Config{RootCAs: c.roots, Time: c.now},
			ForceAttemptHTTP2: true,
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// item is a message that says what it is.
func (c *check) item(id string) ([]byte, error) {
	severity := ai.Information
	envelope := ai.Envelope{
		Ver: 1, Name: ai.EnvelopeName(ai.BaseTypeMessage), Time: ai.NewTime(c.now()), InstrumentationKey: c.info.InstrumentationKey(),
		Tags: map[string]string{ai.TagCloudRole: name},
		Data: ai.NewData(&ai.MessageData{
			Ver: ai.DataVersion, Message: "Test item " + id + " of " + name + ": somebody looked whether items arrive here. It can be ignored.",
			SeverityLevel: &severity, Properties: map[string]string{"otelcol_mesh.doctor": id},
		}),
	}
	text, err := json.Marshal(envelope)
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	if _, err := zip.Write(append(text, '\n')); err != nil {
		return nil, err
	}
	err = zip.Close()
	return body.Bytes(), err
}

// answer is what the endpoint said.
type answer struct {
	status int
	header http.Header
	body   []byte
	track  ai.TrackResponse
	// readable says that the body is the JSON of a track operation.
	readable bool
	host     string
	sent     time.Time
	took     time.Duration
}

// post posts one item and says what became of it.
func (c *check) post(ctx context.Context, s *step) {
	if c.options.dryRun {
		c.skip(s, "a dry run posts nothing")
		return
	}
	id := c.id()
	body, err := c.item(id)
	if err != nil {
		s.fail("the test item cannot be written: %v", err)
		return
	}
	target := c.target
	client := c.client()
	for range maxRedirects + 1 {
		a, err := c.send(ctx, client, target, body)
		if err != nil {
			c.explainSilence(s, ctx, err)
			return
		}
		if a.status != http.StatusTemporaryRedirect && a.status != http.StatusPermanentRedirect {
			c.judge(s, &a, id)
			return
		}
		next, ok := c.redirect(s, target, a.header.Get("Location"))
		if !ok {
			return
		}
		target = next
	}
	s.fail("the redirects do not end after %d", maxRedirects)
	s.advise("check the endpoint of the connection string, and what answers in its place")
}

func (c *check) send(ctx context.Context, client *http.Client, target *url.URL, body []byte) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", ai.ContentTypeLines)
	r.Header.Set("Content-Encoding", "gzip")
	r.Header.Set("User-Agent", name)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	began := c.now()
	response, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, header: response.Header, body: text, host: target.Hostname(), sent: began, took: c.now().Sub(began)}
	a.readable = json.Unmarshal(text, &a.track) == nil && bytes.Contains(text, []byte(`"itemsReceived"`))
	return a, nil
}

// redirect follows within Azure alone, as the exporter does: the key and the token go to nobody else.
func (c *check) redirect(s *step, from *url.URL, location string) (*url.URL, bool) {
	to, err := from.Parse(location)
	if location == "" || err != nil || to.Host == "" {
		s.fail("the endpoint redirects without saying where to")
		return nil, false
	}
	shown := to.Scheme + "://" + to.Host + to.EscapedPath()
	why := ""
	switch {
	case !azuredomain.Same(from.Hostname(), to.Hostname()):
		why = "it is none of Azure's ingestion endpoints of the same cloud"
	case from.Scheme == "https" && to.Scheme != "https":
		why = "nothing would be encrypted"
	}
	if why != "" {
		s.fail("the endpoint redirects to %s, which is not followed: %s", shown, why)
		s.advise("if a proxy or a sign-in page answers in Azure's place, have it let %s through", from.Hostname())
		s.advise("if the redirect is right, write its target as IngestionEndpoint")
		return nil, false
	}
	if line := "redirected to " + shown; len(s.Says) == 0 || s.Says[len(s.Says)-1] != line {
		s.Says = append(s.Says, line)
	}
	return to, true
}

// skew compares the clocks. Date has whole seconds, and was written somewhere between the request and the answer.
func (c *check) skew(s *step, a *answer) {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		s.say("the answer does not tell the endpoint's clock")
		return
	}
	ahead := a.sent.Add(a.took / 2).Sub(date).Round(time.Second)
	if ahead.Abs() <= maxSkew {
		s.say("the clocks agree (within %s)", max(ahead.Abs(), time.Second))
		return
	}
	word := "ahead of"
	if ahead < 0 {
		word = "behind"
	}
	s.warn("this machine's clock is %s %s the endpoint's (%s here): times are wrong in the portal, items seem older or younger than they are, and tokens may be refused",
		wholeHours(ahead.Abs()), word, clock(a.sent))
	s.advise(setClock)
}
