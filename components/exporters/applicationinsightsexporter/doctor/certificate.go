// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
	"github.com/otelcol-mesh/otelcol-mesh/internal/loopback"
)

// soon is how near the end of a certificate is worth a warning.
const soon = 7 * 24 * time.Hour

// encrypt shakes hands and looks at the certificate. It accepts any, so that it can say what is wrong with it; nothing is
// sent over this connection.
func (c *check) encrypt(ctx context.Context, s *step) {
	if c.target.Scheme != "https" {
		if loopback.IsHost(c.target.Hostname()) {
			c.skip(s, "the endpoint has http and is on this machine: nothing is encrypted, and nothing goes over a network")
			return
		}
		s.warn("the endpoint has http: nothing is encrypted, and anyone on the way can read the key and the items")
		s.advise("begin IngestionEndpoint with https, unless this is a trial")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	conn, err := c.tunnel(ctx)
	if err != nil {
		c.explainTunnel(s, err)
		return
	}
	defer conn.Close()
	host := c.target.Hostname()
	secured := tls.Client(conn, &tls.Config{
		ServerName:         host,
		InsecureSkipVerify: true, //nolint:gosec // The certificate is verified below, to tell what is wrong with it.
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		c.explainHandshake(s, err)
		return
	}
	state := secured.ConnectionState()
	leaf := state.PeerCertificates[0]
	s.say("%s; the certificate is for %s, issued by %s, valid until %s", tls.VersionName(state.Version), names(leaf), issuer(leaf),
		leaf.NotAfter.UTC().Format(time.DateOnly))
	if len(state.PeerCertificates) > 1 {
		s.say("it came with %s", chain(state.PeerCertificates[1:]))
	}
	if err := c.verify(state.PeerCertificates, host); err != nil {
		c.explainCertificate(s, leaf, host, err)
		return
	}
	c.judgeCertificate(s, leaf, host)
}

func (c *check) verify(chain []*x509.Certificate, host string) error {
	intermediates := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: c.roots, Intermediates: intermediates, CurrentTime: c.now()})
	return err
}

// judgeCertificate looks at one that is good.
func (c *check) judgeCertificate(s *step, leaf *x509.Certificate, host string) {
	_, azure := azuredomain.CloudOf(host)
	if azure && !c.microsoft(leaf) {
		s.warn("its issuer is none that Microsoft uses: something between here and Azure takes the encryption apart (a proxy or firewall that inspects TLS), " +
			"and this machine trusts it")
		s.advise("let the endpoint pass without inspection if items or keys are not to be read on the way")
	}
	if left := leaf.NotAfter.Sub(c.now()); left < soon {
		s.warn("it is valid for another %s only", wholeHours(left))
	}
}

// issuers are parts of the names of those that issue certificates for Microsoft's services.
var issuers = []string{"microsoft", "digicert", "entrust"}

// microsoft says whether a certificate has an issuer that Microsoft's services are known to use.
func (c *check) microsoft(leaf *x509.Certificate) bool {
	text := strings.ToLower(leaf.Issuer.String())
	return slices.ContainsFunc(c.issuers, func(known string) bool { return strings.Contains(text, known) })
}

// explainCertificate says what is wrong with one.
func (c *check) explainCertificate(s *step, leaf *x509.Certificate, host string, err error) {
	var (
		invalid x509.CertificateInvalidError
		wrong   x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	now := c.now()
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.After(leaf.NotAfter):
		s.fail("the certificate expired %s ago, by this machine's clock (%s)", wholeHours(now.Sub(leaf.NotAfter)), clock(now))
		s.advise("if this clock is right, whoever runs the server at this address must renew the certificate")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(leaf.NotBefore):
		s.fail("the certificate becomes valid in %s, by this machine's clock (%s)", wholeHours(leaf.NotBefore.Sub(now)), clock(now))
		s.advise("check this machine's clock")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		s.fail("a certificate that came with it has expired, by this machine's clock (%s)", clock(now))
	case errors.As(err, &wrong):
		s.fail("the certificate is not for %s: another server answers, or a proxy in its place", host)
		s.advise("check what %s resolves to, and the proxy", host)
	case errors.As(err, &unknown):
		s.fail("no one that this machine trusts has issued the certificate")
		if _, azure := azuredomain.CloudOf(host); azure && !c.microsoft(leaf) {
			s.say("Microsoft does not use this issuer: something between here and Azure takes the encryption apart (a proxy or firewall that inspects TLS)")
			s.advise("give the collector the certificate of that proxy's authority as 'tls::ca_file', or let the endpoint pass without inspection")
		} else {
			s.advise("give the collector the certificate of the issuer as 'tls::ca_file' (here: --ca-file), or install the package ca-certificates")
		}
	default:
		s.fail("the certificate cannot be verified: %v", err)
	}
}

func (c *check) explainTunnel(s *step, err error) {
	var refusal proxyRefusal
	switch {
	case errors.As(err, &refusal) && refusal.status == http.StatusProxyAuthRequired:
		s.fail("the proxy %s wants a user and a password (407)", hideUser(c.proxy))
		s.advise("write them into the URL of the proxy: http://<user>:<password>@<host>:<port>")
	case errors.As(err, &refusal):
		s.fail("the proxy %s does not let %s through: it answers %d", hideUser(c.proxy), c.target.Host, refusal.status)
		s.advise("have the proxy let %s through", c.target.Host)
	default:
		s.fail("no connection for it: %s", dialWords(err))
	}
}

func (c *check) explainHandshake(s *step, err error) {
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain):
		s.fail("what answers there does not speak TLS")
		s.advise("check the port, and what else listens on it; an endpoint for trials that has no TLS begins with http")
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		s.fail("the connection was broken off when it heard the name %s: a firewall that lets names through by a list does that", c.target.Hostname())
		s.advise("have %s let through", c.target.Hostname())
	case errors.Is(err, context.DeadlineExceeded):
		s.fail("the other side took the connection and said nothing within %s", stepTimeout)
	default:
		s.fail("no agreement on encryption: %v", err)
	}
}

func names(leaf *x509.Certificate) string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	const shown = 5
	switch {
	case len(all) == 0:
		return "no host"
	case len(all) > shown:
		return fmt.Sprintf("%s and %d more", strings.Join(all[:shown], ", "), len(all)-shown)
	}
	return strings.Join(all, ", ")
}

func issuer(leaf *x509.Certificate) string {
	name := leaf.Issuer.CommonName
	if len(leaf.Issuer.Organization) > 0 {
		name += " (" + leaf.Issuer.Organization[0] + ")"
	}
	return name
}

func chain(certificates []*x509.Certificate) string {
	var all []string
	for _, certificate := range certificates {
		all = append(all, certificate.Subject.CommonName)
	}
	return strings.Join(all, ", ")
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func wholeMinutes(d time.Duration) string {
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func wholeHours(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", d/time.Hour)
	default:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
}
