// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
)

// sender sends OTLP to the hub over both transports with one certificate, or none. It trusts any hub: who attacks does not
// mind.
type sender struct {
	host string
	conn *grpc.ClientConn
	http *http.Client
	// dials counts the connections that it opened, over gRPC and HTTP.
	grpcDials, httpDials atomic.Int64
}

// newSender connects at the first export. authority, if not empty, is what it calls the hub.
func newSender(t *testing.T, host, authority string, certificate *tls.Certificate) *sender {
	t.Helper()
	s := &sender{host: host}
	config := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil
	}}
	dial := func(count *atomic.Int64) func(ctx context.Context, address string) (net.Conn, error) {
		return func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err == nil {
				count.Add(1)
			}
			return conn, err
		}
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(config.Clone())), grpc.WithContextDialer(dial(&s.grpcDials))}
	if authority != "" {
		options = append(options, grpc.WithAuthority(authority))
	}
	var err error
	s.conn, err = grpc.NewClient("passthrough:///"+net.JoinHostPort(host, "14317"), options...)
	require.NoError(t, err)
	connect := dial(&s.httpDials)
	transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return connect(ctx, address) }}
	s.http = &http.Client{Transport: transport}
	return s
}

func (s *sender) close() {
	s.conn.Close()
	s.http.CloseIdleConnections()
}

// httpError is an answer other than 200.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return fmt.Sprintf("HTTP status %d: %s", e.status, e.text) }

// export sends one request; headers go along, by either transport.
func (s *sender) export(data any, overHTTP bool, headers map[string]string) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if overHTTP {
		return s.post(ctx, data, headers)
	}
	return exportGRPC(metadata.NewOutgoingContext(ctx, metadata.New(headers)), s.conn, data)
}

func exportGRPC(ctx context.Context, conn *grpc.ClientConn, data any) (err error) {
	switch request := data.(type) {
	case ptraceotlp.ExportRequest:
		_, err = ptraceotlp.NewGRPCClient(conn).Export(ctx, request)
	case plogotlp.ExportRequest:
		_, err = plogotlp.NewGRPCClient(conn).Export(ctx, request)
	case pmetricotlp.ExportRequest:
		_, err = pmetricotlp.NewGRPCClient(conn).Export(ctx, request)
	default:
		panic("not a request")
	}
	return err
}

func (s *sender) post(ctx context.Context, data any, headers map[string]string) error {
	path := "/v1/traces"
	switch data.(type) {
	case plogotlp.ExportRequest:
		path = "/v1/logs"
	case pmetricotlp.ExportRequest:
		path = "/v1/metrics"
	}
	body, err := data.(interface{ MarshalProto() ([]byte, error) }).MarshalProto()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+net.JoinHostPort(s.host, "14318")+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	for key, value := range headers {
		request.Header.Set(key, value)
	}
	response, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return &httpError{response.StatusCode, string(text)}
	}
	return nil
}

// deliver sends a request to an agent until it is taken.
func deliver(ctx context.Context, conn *grpc.ClientConn, data any) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := exportGRPC(attempt, conn, data)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}
