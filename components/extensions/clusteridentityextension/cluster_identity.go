// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/identity"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/internal/metadata"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/clusteridentityextension/throttle"
)

const (
	// repeatAfter is how often the refusals of one sender are logged at most, mostLogged how many senders are remembered
	// for that.
	repeatAfter = time.Minute
	mostLogged  = 256
	// renewBefore is how long before the end of its certificate an HTTP connection is closed, after an answer, and oldest how
	// old it gets. HTTP has no max_connection_age, so that nothing else makes a sender show its new certificate, or ends the
	// connections of an authority that the receiver trusts no more.
	renewBefore = time.Minute
	oldest      = 10 * time.Minute
)

// transport is how a request came.
type transport string

const (
	overGRPC transport = "grpc"
	overHTTP transport = "http"
)

// clusterIdentity is the extension.
type clusterIdentity struct {
	id        string
	config    *Config
	rules     *identity.Rules
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	accepted  map[transport]metric.MeasurementOption
	refusals  *throttle.Throttle
	// connections holds back the news about connections that TLS refused: whoever makes those shall not be able to silence
	// the news about refused requests.
	connections *throttle.Throttle
	files       []pemFile
	// ages holds the HTTP connections.
	ages   ages
	warned sync.Once
	// introduction is set while the extension asks a receiver for its server, overTLS once 'receiver_http' takes connections.
	introduction atomic.Pointer[introduction]
	overTLS      *tlsListener
	serving      sync.WaitGroup
	// shaking are the connections of gRPC within their handshake.
	shaking shaking
	// guards are the extensions that watch connections, by their ids; guard is the one that the receivers list, if any.
	guards map[string]connectionGuard
	guard  connectionGuard
	now    func() time.Time
}

var (
	_ extension.Extension            = (*clusterIdentity)(nil)
	_ extensionauth.Server           = (*clusterIdentity)(nil)
	_ extensionmiddleware.HTTPServer = (*clusterIdentity)(nil)
	_ extensionmiddleware.GRPCServer = (*clusterIdentity)(nil)
	_ extensionmiddleware.GRPCClient = (*clusterIdentity)(nil)
)

func newClusterIdentity(set extension.Settings, config *Config) (*clusterIdentity, error) {
	rules, err := identity.Compile(config.Rules)
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("creating the extension's metrics: %w", err)
	}
	e := &clusterIdentity{
		id: set.ID.String(), config: config, rules: rules, logger: set.Logger, telemetry: telemetry,
		refusals: throttle.New(repeatAfter, mostLogged), connections: throttle.New(repeatAfter, mostLogged), files: config.files(), now: time.Now,
	}
	e.accepted = map[transport]metric.MeasurementOption{overGRPC: e.with(overGRPC), overHTTP: e.with(overHTTP)}
	return e, nil
}

// with returns the attributes of a measurement.
func (e *clusterIdentity) with(over transport, more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, attribute.String("authenticator", e.id), attribute.String("transport", string(over)))...))
}

// Start begins to tell the expiry of the files.
func (e *clusterIdentity) Start(_ context.Context, host component.Host) error {
	e.guards = make(map[string]connectionGuard)
	for id, other := range host.GetExtensions() {
		if guard, ok := other.(connectionGuard); ok {
			e.guards[id.String()] = guard
		}
	}
	return e.telemetry.RegisterExtensionClusterIdentityCertificateExpiryCallback(e.observeFiles)
}

// Shutdown ends that.
func (e *clusterIdentity) Shutdown(context.Context) error {
	_ = e.NotReady()
	e.telemetry.Shutdown()
	return nil
}

// Authenticate implements [extensionauth.Server] for gRPC. It looks at the connection and never at the headers, which are
// the sender's word. The error is a gRPC status, which the receiver hands to the sender. It is one that senders of OTLP try
// again after, whatever the reason: what is wrong is a certificate or a rule, not what was sent. A rule that is missing, or
// a certificate that was renewed too late, is mended in minutes, and until then the sender keeps in its queue what it would
// else drop. An attacker gains nothing by it: it may try again in any case. gRPC has decoded one message by then, so that
// request_limits has to stand under the receiver's 'middlewares' too.
func (e *clusterIdentity) Authenticate(ctx context.Context, _ map[string][]string) (context.Context, error) {
	id, err := e.identifyPeer(ctx)
	if err != nil {
		refusal := e.refused(ctx, overGRPC, err)
		return ctx, status.Error(codes.Unavailable, refusal.Error())
	}
	return e.accept(ctx, overGRPC, id), nil
}

func (e *clusterIdentity) identifyPeer(ctx context.Context) (*identity.Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return nil, identity.Refuse(identity.ReasonNoConnection, "cluster_identity does not see the connection: for a receiver's HTTP side list it under "+
			"'middlewares', not 'auth', which shows no certificates")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, identity.Refuse(identity.ReasonNoTLS, noTLS)
	}
	return e.rules.Identify(info.State.VerifiedChains, e.now())
}

const noTLS = "the connection is not encrypted, so nothing proves who sends: set 'receiver_tls' of cluster_identity (over HTTP 'receiver_http' too), " +
	"or 'tls' with 'client_ca_file' at this receiver, and connect with a client certificate"

// GetHTTPHandler implements [extensionmiddleware.HTTPServer]. The request is refused before its body is read.
func (e *clusterIdentity) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return func(_ context.Context, next http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if e.introduced(w, r) {
				return
			}
			id, err := e.identifyTLS(r.TLS)
			if err != nil {
				refusal := e.refused(r.Context(), overHTTP, err)
				w.Header().Set("Connection", "close")
				http.Error(w, refusal.Error(), http.StatusServiceUnavailable)
				return
			}
			if now := e.now(); id.Expires.Sub(now) < renewBefore || e.ages.of(r.TLS, now) >= oldest {
				w.Header().Set("Connection", "close")
			}
			next.ServeHTTP(w, r.WithContext(e.accept(r.Context(), overHTTP, id)))
		}), nil
	}, nil
}

func (e *clusterIdentity) identifyTLS(state *tls.ConnectionState) (*identity.Identity, error) {
	if state == nil {
		return nil, identity.Refuse(identity.ReasonNoTLS, noTLS)
	}
	return e.rules.Identify(state.VerifiedChains, e.now())
}

// accept puts who the sender is into the auth data of the request.
func (e *clusterIdentity) accept(ctx context.Context, over transport, id *identity.Identity) context.Context {
	e.telemetry.ExtensionClusterIdentityAcceptedRequests.Add(ctx, 1, e.accepted[over])
	info := client.FromContext(ctx)
	info.Auth = id
	return client.NewContext(ctx, info)
}

// refused counts and logs a refusal.
func (e *clusterIdentity) refused(ctx context.Context, over transport, err error) *identity.Refusal {
	refusal, ok := errors.AsType[*identity.Refusal](err)
	if !ok {
		refusal = identity.Refuse(identity.ReasonNotVerified, err.Error())
	}
	e.telemetry.ExtensionClusterIdentityRefusedRequests.Add(ctx, 1, e.with(over, attribute.String("reason", string(refusal.Reason))))
	if e.refusals.Allow(refusal.Error(), e.now()) {
		from := ""
		if info := client.FromContext(ctx); info.Addr != nil {
			from = info.Addr.String()
		}
		e.logger.Warn("refused a sender; the same is counted and not logged for a minute",
			zap.String("reason", string(refusal.Reason)), zap.String("from", from), zap.String("transport", string(over)), zap.Error(refusal))
	}
	return refusal
}
