// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
)

// fault is why a TLS handshake failed.
type fault string

const (
	faultNoCertificate    fault = "no_certificate"
	faultUnknownAuthority fault = "unknown_authority"
	faultExpired          fault = "expired"
	faultBadCertificate   fault = "bad_certificate"
	faultNotTLS           fault = "not_tls"
	faultAborted          fault = "aborted"
	faultCrowded          fault = "crowded"
	faultOther            fault = "other"
)

// GetGRPCServerOptions implements [extensionmiddleware.GRPCServer]: the TLS of the receiver, if it is configured here. gRPC
// itself neither counts nor, at the collector's level, logs a handshake that fails.
func (e *clusterIdentity) GetGRPCServerOptions(ctx context.Context) ([]grpc.ServerOption, error) {
	if !e.config.ReceiverTLS.HasValue() {
		return nil, nil
	}
	files, err := e.receiverFiles(ctx)
	if err != nil {
		return nil, err
	}
	first := files.good.Clone()
	first.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.current(), nil }
	return []grpc.ServerOption{grpc.Creds(&receiverCredentials{credentials.NewTLS(first), e})}, nil
}

// connectionGuard watches what comes over a connection, behind TLS: an extension that a receiver lists beside this one, such as
// request_limits. A gRPC server shows its connections to nobody but its credentials, which are this extension's.
type connectionGuard interface {
	GuardConn(conn net.Conn) net.Conn
}

// receiverFiles reads the files of 'receiver_tls', which must be there.
func (e *clusterIdentity) receiverFiles(ctx context.Context) (*reloading, error) {
	settings := *e.config.ReceiverTLS.Get()
	// Each reading reads all of it.
	settings.ReloadClientCAFile, settings.ReloadInterval = false, 0
	files, err := newReloading(e, receiverSide, rereadAfter, func() (*tls.Config, error) {
		config, err := settings.LoadTLSConfig(context.WithoutCancel(ctx))
		if err == nil {
			// A session of before a change of the authorities must not outlive it, and connections are few and long.
			config.SessionTicketsDisabled = true
		}
		return config, err
	})
	if err != nil {
		return nil, fmt.Errorf("'receiver_tls': %w", err)
	}
	return files, nil
}

// receiverCredentials tell of the handshakes that fail.
type receiverCredentials struct {
	credentials.TransportCredentials
	e *clusterIdentity
}

// ServerHandshake implements [credentials.TransportCredentials].
func (c *receiverCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if !c.e.shaking.enter(raw) {
		return nil, nil, errEnding
	}
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	ending := c.e.shaking.leave(raw)
	if err != nil {
		if !ending {
			c.e.gaveUp(receiverSide, raw.RemoteAddr(), err)
		}
		return conn, info, err
	}
	if c.e.guard != nil {
		conn = c.e.guard.GuardConn(conn)
	}
	return conn, info, nil
}

// Clone implements [credentials.TransportCredentials].
func (c *receiverCredentials) Clone() credentials.TransportCredentials {
	return &receiverCredentials{c.TransportCredentials.Clone(), c.e}
}

// GetGRPCClientOptions implements [extensionmiddleware.GRPCClient]: the TLS of the exporter. The collector's own reads the
// authority of the other end at the start only, so that a new one needs a restart of every agent.
func (e *clusterIdentity) GetGRPCClientOptions(ctx context.Context) ([]grpc.DialOption, error) {
	if !e.config.ExporterTLS.HasValue() {
		return nil, errors.New("an exporter lists this extension under 'middlewares', and it has no 'exporter_tls': write the exporter's 'tls' there")
	}
	settings := *e.config.ExporterTLS.Get()
	settings.ReloadInterval = 0
	files, err := newReloading(e, exporterSide, 0, func() (*tls.Config, error) { return settings.LoadTLSConfig(context.WithoutCancel(ctx)) })
	switch {
	case err != nil:
		return nil, fmt.Errorf("'exporter_tls': %w", err)
	case files.good == nil:
		e.warnOnce("'exporter_tls::insecure' is true: what is sent can be read and changed on the way, and nothing proves who sends or who receives; " +
			"use it on one machine only")
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	case settings.InsecureSkipVerify:
		e.warnOnce("'exporter_tls::insecure_skip_verify' is true: whoever stands in between can be the receiver; write its authority into 'ca_file' instead")
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(&exporterCredentials{files: files, serverName: settings.ServerName})}, nil
}

// warnOnce warns of the settings: an exporter asks for them once for each signal.
func (e *clusterIdentity) warnOnce(text string) { e.warned.Do(func() { e.logger.Warn(text) }) }

// exporterCredentials read the files at each handshake. Connections are few: one for each exporter, every few minutes.
type exporterCredentials struct {
	files      *reloading
	serverName string
}

// ClientHandshake implements [credentials.TransportCredentials].
func (c *exporterCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := credentials.NewTLS(c.files.current()).ClientHandshake(ctx, authority, raw)
	if err != nil {
		c.files.e.gaveUp(exporterSide, raw.RemoteAddr(), err)
	}
	return conn, info, err
}

// ServerHandshake implements [credentials.TransportCredentials]; an exporter is no server.
func (*exporterCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("'exporter_tls' is not for receivers")
}

// Info implements [credentials.TransportCredentials]. The name, if one is configured, is whose certificate is asked for.
func (c *exporterCredentials) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(&tls.Config{ServerName: c.serverName}).Info()
}

// Clone implements [credentials.TransportCredentials].
func (c *exporterCredentials) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName implements [credentials.TransportCredentials].
func (c *exporterCredentials) OverrideServerName(name string) error {
	c.serverName = name
	return nil
}

// gaveUp counts and logs a handshake that failed. What only broke off is not logged: health checks of load balancers do
// that every few seconds.
func (e *clusterIdentity) gaveUp(at side, other net.Addr, err error) {
	why := faultOf(err)
	e.telemetry.ExtensionClusterIdentityRefusedConnections.Add(context.Background(), 1, e.at(at, attribute.String("reason", string(why))))
	host, _, splitErr := net.SplitHostPort(other.String())
	if splitErr != nil {
		host = other.String()
	}
	if why == faultAborted || !e.connections.Allow(string(at)+" "+string(why)+" "+host, e.now()) {
		return
	}
	shown := ""
	if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(unverified.UnverifiedCertificates) > 0 {
		shown = identity.Describe(unverified.UnverifiedCertificates[0])
	}
	e.logger.Warn("TLS refused a connection; more of this kind from there are counted and not logged for a minute",
		zap.String("of", string(at)+"_tls"), zap.String("reason", string(why)), zap.String("with", other.String()), zap.String("certificate", shown),
		zap.String("error", clip(err.Error())))
}

// clip shortens a text for the log: a certificate that nobody verified may have names of any length in it.
func clip(text string) string {
	const most = 500
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// faultOf says why a handshake failed.
func faultOf(err error) fault {
	if errors.Is(err, errTooManyHandshakes) {
		return faultCrowded
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return faultNotTLS
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return faultUnknownAuthority
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		// Or not valid yet.
		return faultExpired
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return faultBadCertificate
	}
	for _, broken := range [...]error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE, os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, broken) {
			return faultAborted
		}
	}
	switch text := err.Error(); {
	case strings.Contains(text, "didn't provide a certificate"):
		return faultNoCertificate
	case strings.Contains(text, "certificate"):
		// One that cannot be read, or the other end's alert about ours.
		return faultBadCertificate
	}
	return faultOther
}
