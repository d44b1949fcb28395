// SPDX-License-Identifier: Apache-2.0

package envoyreceiver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"testing"

	alssvc "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configtls"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/demo/mesh/layout"
)

// TestMutualTLS prevents the bug that the receiver accepts anybody although a client authority is configured. The
// certificates are as Istio makes them: the SPIFFE id is the only name.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, layout.WriteCerts(dir))
	server, client := layout.Pods()[0].Certs(dir), layout.Pods()[2].Certs(dir)
	r, sinks := newTestReceiver(t, nil, func(c *Config) {
		c.ServerConfig.TLS = configoptional.Some(configtls.ServerConfig{
			ClientCAFile: server.Root,
			Config:       configtls.Config{CertFile: server.Chain, KeyFile: server.Key},
		})
	})
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))

	pair, err := tls.LoadX509KeyPair(client.Chain, client.Key)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		credentials credentials.TransportCredentials
		code        codes.Code
	}{
		"with a certificate of the mesh": {credentials.NewTLS(clientTLS(t, client.Root, pair)), codes.OK},
		"without a certificate":          {credentials.NewTLS(clientTLS(t, client.Root)), codes.Unavailable},
		"without TLS":                    {insecure.NewCredentials(), codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			sinks.logs.Reset()
			connection, err := grpc.NewClient(r.listener.Addr().String(), grpc.WithTransportCredentials(c.credentials))
			require.NoError(t, err)
			defer connection.Close()
			err = push(t, connection)
			require.Equal(t, c.code, status.Code(err), "%v", err)
			if c.code == codes.OK {
				require.Equal(t, 3, sinks.logs.LogRecordCount())
			} else {
				require.Zero(t, sinks.logs.LogRecordCount())
			}
		})
	}
}

// push sends three entries on a stream of their own and returns how it ended.
func push(t *testing.T, connection *grpc.ClientConn) error {
	t.Helper()
	stream, err := alssvc.NewAccessLogServiceClient(connection).StreamAccessLogs(t.Context())
	if err != nil {
		return err
	}
	if err := stream.Send(logMessage(testIdentifier("sidecar~10.0.0.1~a.b~b.svc.cluster.local"), 3)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	// After io.EOF the reason is in the answer.
	_, err = stream.CloseAndRecv()
	return err
}

// clientTLS trusts the root and nothing else. There is no host name to verify: as Envoy does, it looks at the chain.
func clientTLS(t *testing.T, root string, pairs ...tls.Certificate) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(root)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	return &tls.Config{
		Certificates:       pairs,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots})
			return err
		},
	}
}
