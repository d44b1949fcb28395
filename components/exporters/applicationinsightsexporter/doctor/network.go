// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/otelcol-mesh/otelcol-mesh/internal/azuredomain"
)

// stepTimeout bounds a look-up, one connection and one handshake.
const stepTimeout = 10 * time.Second

// hop is where the first connection goes: the proxy, or the endpoint.
func (c *check) hop() *url.URL {
	if c.proxy != nil {
		return c.proxy
	}
	return c.target
}

func port(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}

// lookUp asks DNS for the name of the first hop.
func (c *check) lookUp(ctx context.Context, s *step) {
	host := c.hop().Hostname()
	if c.proxy != nil {
		s.say("the proxy looks %s up; this machine looks up the proxy", c.target.Hostname())
	}
	if address, err := netip.ParseAddr(host); err == nil {
		s.say("%s is an address: nothing to look up", address)
		c.addresses = []string{net.JoinHostPort(host, port(c.hop()))}
		return
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	canonical, addresses, err := c.lookup(ctx, host)
	if err != nil {
		c.explainLookup(s, host, err)
		return
	}
	private := false
	var texts []string
	for _, a := range addresses {
		c.addresses = append(c.addresses, net.JoinHostPort(a.String(), port(c.hop())))
		texts = append(texts, a.String())
		private = private || a.IsPrivate()
	}
	if len(addresses) == 0 {
		s.fail("%s has no address", host)
		return
	}
	s.say("%s: %s", host, strings.Join(texts, ", "))
	if canonical != "" && !strings.EqualFold(canonical, host) {
		s.say("it stands for %s", canonical)
	}
	if c.proxy == nil {
		c.judgeAddresses(s, host, canonical, private)
	}
}

// judgeAddresses tells private links and what looks like one.
func (c *check) judgeAddresses(s *step, host, canonical string, private bool) {
	_, azure := azuredomain.CloudOf(host)
	linked := strings.Contains(strings.ToLower(canonical), "privatelink.")
	switch {
	case linked && private:
		s.say("this is a private link: items go through a private endpoint of this network")
	case linked:
		s.warn("the name ends in a private link zone, and its address is public: the zone's record is not the one of a private endpoint")
		s.advise("check the record in the zone privatelink.monitor.azure.com, if items are to go through a private endpoint")
	case azure && private:
		s.warn("an Azure name with a private address and without privatelink in its names: some DNS server here answers in Azure's place")
	}
}

func (c *check) explainLookup(s *step, host string, err error) {
	var failure *net.DNSError
	switch {
	case errors.As(err, &failure) && failure.IsNotFound:
		s.fail("the name %s does not exist, says DNS", host)
		s.advise("compare it with the connection string in the Azure portal")
		if _, azure := azuredomain.CloudOf(host); azure {
			s.advise("if this network has the private DNS zone privatelink.monitor.azure.com: it answers for all resources, so this one needs a place in the " +
				"private link scope, or the zone's record is missing")
		}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &failure) && failure.IsTimeout:
		s.fail("no DNS server answered for %s in time", host)
		s.advise("check /etc/resolv.conf, and that network policies let this pod reach DNS (port 53, UDP and TCP)")
	default:
		s.fail("DNS failed for %s: %v", host, err)
		s.advise("check /etc/resolv.conf and the DNS server it names")
	}
}

// connect opens a connection to the first address that takes one, and lets the proxy connect on.
func (c *check) connect(ctx context.Context, s *step) {
	conn, err := c.reach(ctx, s)
	if err != nil {
		return
	}
	conn.Close()
}

// reach returns a connection to the first hop.
func (c *check) reach(ctx context.Context, s *step) (net.Conn, error) {
	var last error
	for i, address := range c.addresses {
		attempt, cancel := context.WithTimeout(ctx, stepTimeout)
		conn, err := c.dial(attempt, "tcp", address)
		cancel()
		if err == nil {
			s.say("%s answers", address)
			// The working address is the one to go on with.
			c.addresses = append([]string{address}, append(c.addresses[:i:i], c.addresses[i+1:]...)...)
			return conn, nil
		}
		last = err
		s.warn("%s: %s", address, dialWords(err))
		if ctx.Err() != nil {
			break
		}
	}
	what := c.hop().Hostname()
	s.fail("no address of %s takes a connection", what)
	switch {
	case errors.Is(last, syscall.ECONNREFUSED):
		s.advise("something at that address refuses: check the port, and whether a proxy is needed")
	case c.proxy != nil:
		s.advise("the proxy %s cannot be reached: check its address", what)
	default:
		s.advise("let this machine reach %s on port %s: egress rules, network policies, a firewall (service tag AzureMonitor), a ServiceEntry if the mesh "+
			"allows registered hosts alone; or set 'proxy_url'", what, port(c.hop()))
	}
	return nil, last
}

// dialWords explains why there is no connection.
func dialWords(err error) string {
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused the connection"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no route to it"
	case errors.Is(err, syscall.ECONNRESET):
		return "took the connection and broke it off: a firewall or proxy does that to names it does not let through"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return "does not answer: a firewall usually drops what it does not let through"
	default:
		return err.Error()
	}
}

// tunnel returns a connection to the endpoint itself, through the proxy if there is one.
func (c *check) tunnel(ctx context.Context) (net.Conn, error) {
	conn, err := c.dial(ctx, "tcp", c.addresses[0])
	if err != nil || c.proxy == nil {
		return conn, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	through, err := c.throughProxy(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return through, nil
}

// proxyRefusal is the answer of a proxy that lets nobody through.
type proxyRefusal struct{ status int }

func (p proxyRefusal) Error() string { return fmt.Sprintf("the proxy answers %d to CONNECT", p.status) }

func (c *check) throughProxy(ctx context.Context, conn net.Conn) (net.Conn, error) {
	if c.proxy.Scheme == "https" {
		secured := tls.Client(conn, &tls.Config{ServerName: c.proxy.Hostname(), RootCAs: c.roots})
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS with the proxy itself: %w", err)
		}
		conn = secured
	}
	to := net.JoinHostPort(c.target.Hostname(), port(c.target))
	r := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: to}, Host: to, Header: http.Header{}}
	if c.proxy.User != nil {
		password, _ := c.proxy.User.Password()
		r.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.proxy.User.Username()+":"+password)))
	}
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return nil, fmt.Errorf("reading the proxy's answer: %w", err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, proxyRefusal{answer.StatusCode}
	}
	return conn, nil
}
