// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/credentials"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/internal/metadata"
)

// repeatAfter is how long a log entry that says the same as the one before is held back.
const repeatAfter = 5 * time.Minute

// mostLogged is how many texts are remembered for that; more are logged each time.
const mostLogged = 256

// azureAuth is the extension. It is a client's authenticator and must never be a server's: whoever holds a token for
// Azure Monitor is not therefore allowed to send to this collector.
type azureAuth struct {
	id        string
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	fetcher   *credential.Fetcher
	keeper    *credential.Keeper
	host      component.Host
	// outcomes are the attribute sets of the metrics, made once.
	succeeded, failed metric.MeasurementOption

	mu sync.Mutex
	// logged is when each text was logged last.
	logged map[string]time.Time
	// wrong is the text of the failure that was logged last; empty while all is well.
	wrong string
}

var (
	_ extension.Extension      = (*azureAuth)(nil)
	_ extensionauth.HTTPClient = (*azureAuth)(nil)
	_ extensionauth.GRPCClient = (*azureAuth)(nil)
)

func newAzureAuth(set extension.Settings, config *Config) (*azureAuth, error) {
	return newWith(set, config, config.Credential())
}

// newWith is newAzureAuth with settings that tests add to.
func newWith(set extension.Settings, config *Config, settings credential.Settings) (*azureAuth, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	a := &azureAuth{id: set.ID.String(), config: config, logger: set.Logger, telemetry: telemetry, logged: map[string]time.Time{}}
	a.succeeded, a.failed = a.with("outcome", "success"), a.with("outcome", "failure")
	settings.Observer = a
	if a.fetcher, err = credential.New(settings); err != nil {
		return nil, err
	}
	a.keeper = credential.NewKeeper(a.fetcher.Fetch, a)
	return a, nil
}

func (a *azureAuth) with(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("authenticator", a.id), attribute.String(key, value)))
}

// Start asks for the first token, so that what is wrong shows at once, and does not wait for it: what is to be sent
// waits in the exporters' queues while there is none.
func (a *azureAuth) Start(_ context.Context, host component.Host) error {
	a.host = host
	if elsewhere := os.Getenv("AZURE_AUTHORITY_HOST"); elsewhere != "" && a.config.Credential().Method != credential.MethodManagedIdentity && !a.config.asksAt(elsewhere) {
		a.logger.Warn("the variable AZURE_AUTHORITY_HOST names another Entra ID than the configuration, which is used: set 'cloud' or 'authority_host' to have the other",
			zap.String("AZURE_AUTHORITY_HOST", elsewhere))
	}
	expiry := metric.WithAttributeSet(attribute.NewSet(attribute.String("authenticator", a.id)))
	err := a.telemetry.RegisterExtensionAzureAuthTokenExpiryCallback(func(_ context.Context, o metric.Float64Observer) error {
		if token, _ := a.keeper.Last(); !token.Expires.IsZero() {
			o.Observe(time.Until(token.Expires).Seconds(), expiry)
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.keeper.Start()
	return nil
}

// Shutdown ends the request for a token that is under way.
func (a *azureAuth) Shutdown(context.Context) error {
	a.keeper.Shutdown()
	a.fetcher.Close()
	a.telemetry.Shutdown()
	return nil
}

// Scope is what the tokens are for. application_insights asks, so that it can say that its endpoint takes others.
func (a *azureAuth) Scope() string { return a.fetcher.Scope() }

// RoundTripper implements [extensionauth.HTTPClient].
func (a *azureAuth) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	if base == nil {
		return nil, errors.New("there is no transport to put tokens on")
	}
	return &roundTripper{auth: a, base: base}, nil
}

// PerRPCCredentials implements [extensionauth.GRPCClient].
func (a *azureAuth) PerRPCCredentials() (credentials.PerRPCCredentials, error) {
	return &perCall{auth: a}, nil
}

// TokenFetched implements [credential.Watcher].
func (a *azureAuth) TokenFetched(token credential.Token, err error, took, next time.Duration) {
	ctx := context.Background()
	outcome := a.succeeded
	if err != nil {
		outcome = a.failed
	}
	a.telemetry.ExtensionAzureAuthTokenRequests.Add(ctx, 1, outcome)
	a.telemetry.ExtensionAzureAuthTokenRequestDuration.Record(ctx, took.Seconds(), outcome)
	if err == nil {
		a.came(token, next)
		return
	}
	reason := credential.ReasonRefused
	if failure, ok := errors.AsType[*credential.Failure](err); ok {
		reason = failure.Reason
	}
	a.telemetry.ExtensionAzureAuthTokenFailures.Add(ctx, 1, a.with("reason", string(reason)))
	last, _ := a.keeper.Last()
	left := time.Until(last.Expires)
	a.mu.Lock()
	a.wrong = err.Error()
	a.mu.Unlock()
	if last.Value != "" && left > 0 {
		a.say(zap.WarnLevel, "there is no new token; the one in use goes on until it ends", zap.Error(err), zap.Duration("left", left), zap.Duration("next attempt in", next))
		return
	}
	a.say(zap.ErrorLevel, "there is no token: nothing can be sent with it, what is to be sent waits", zap.Error(err), zap.Duration("next attempt in", next))
	a.report(componentstatus.NewRecoverableErrorEvent(err))
}

func (a *azureAuth) came(token credential.Token, next time.Duration) {
	a.mu.Lock()
	was := a.wrong
	a.wrong = ""
	a.mu.Unlock()
	level := zap.DebugLevel
	if was != "" {
		level = zap.InfoLevel
	}
	a.logger.Log(level, "a token came", zap.Time("expires", token.Expires), zap.Duration("next one in", next), zap.Stringer("identity", token.Identity),
		zap.String("scope", a.fetcher.Scope()))
	a.report(componentstatus.NewEvent(componentstatus.StatusOK))
}

func (a *azureAuth) report(event *componentstatus.Event) {
	if a.host != nil {
		componentstatus.ReportStatus(a.host, event)
	}
}

// FileReloaded implements [credential.FileObserver].
func (a *azureAuth) FileReloaded(path string) {
	a.telemetry.ExtensionAzureAuthFileReloads.Add(context.Background(), 1, a.succeeded)
	a.logger.Info("a changed file is in use", zap.String("file", path))
}

// FileKept implements [credential.FileObserver].
func (a *azureAuth) FileKept(path string, err error) {
	a.telemetry.ExtensionAzureAuthFileReloads.Add(context.Background(), 1, a.failed)
	a.say(zap.WarnLevel, "a file cannot be used, what was read last is", zap.String("file", path), zap.Error(err))
}

// refused counts a request that was not sent, and returns why.
func (a *azureAuth) refused(why string, err error) error {
	a.telemetry.ExtensionAzureAuthRequestsRefused.Add(context.Background(), 1, a.with("refusal", why))
	return err
}

// rejected notes that an endpoint did not take the token.
func (a *azureAuth) rejected(status int, host string, token credential.Token) {
	name := "403"
	if status == http.StatusUnauthorized {
		name = "401"
		// It may have been withdrawn, or this machine's clock takes it for younger than it is.
		a.keeper.Reject(token)
	}
	a.telemetry.ExtensionAzureAuthTokensRejected.Add(context.Background(), 1, a.with("status", name))
	a.say(zap.WarnLevel, "the token was not taken", zap.Int("status", status), zap.String("hint", credential.Hint(status, host, token.Identity)))
}

// say logs, unless the same was logged just before.
func (a *azureAuth) say(level zapcore.Level, message string, fields ...zap.Field) {
	parts := []string{message}
	for _, f := range fields {
		switch err, ok := f.Interface.(error); {
		case ok:
			parts = append(parts, err.Error())
		case f.String != "":
			parts = append(parts, f.String)
		}
	}
	key := strings.Join(parts, "\n")
	now := time.Now()
	a.mu.Lock()
	for text, at := range a.logged {
		if now.Sub(at) >= repeatAfter {
			delete(a.logged, text)
		}
	}
	_, held := a.logged[key]
	if !held && len(a.logged) < mostLogged {
		a.logged[key] = now
	}
	a.mu.Unlock()
	if !held {
		a.logger.Log(level, message, fields...)
	}
}
