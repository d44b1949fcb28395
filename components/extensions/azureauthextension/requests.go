// SPDX-License-Identifier: Apache-2.0

package azureauthextension

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/otelcol-mesh/otelcol-mesh/components/extensions/azureauthextension/credential"
)

// token returns a token for a URL, or counts and says why there is none.
func (a *azureAuth) token(ctx context.Context, u *url.URL) (credential.Token, error) {
	if err := a.config.CheckURL(u); err != nil {
		why := refusedDomain
		if refusal, ok := errors.AsType[*RefusedError](err); ok {
			why = refusal.Refusal
		}
		return credential.Token{}, a.refused(why, err)
	}
	token, err := a.keeper.Token(ctx)
	if err != nil {
		return credential.Token{}, a.refused(refusedNoToken, &NoTokenError{err})
	}
	return token, nil
}

// roundTripper puts tokens on HTTP requests. A client that follows a redirect comes here again for the next request, so
// each host is judged.
type roundTripper struct {
	auth *azureAuth
	base http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. It reads the body of no request that it does not send.
func (r *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := r.auth.token(req.Context(), req.URL)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	// A round tripper must not change the request it is given.
	own := req.Clone(req.Context())
	own.Header.Set("Authorization", "Bearer "+token.Value)
	resp, err := r.base.RoundTrip(own)
	if err != nil || (resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusForbidden) {
		return resp, err
	}
	host := req.URL.Hostname()
	r.auth.rejected(resp.StatusCode, host, token)
	if !r.auth.config.RetryRejected {
		return resp, nil
	}
	// A body that was read lets the connection be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	return nil, &RejectedError{Status: resp.StatusCode, Host: host, Identity: token.Identity}
}

// perCall puts tokens on gRPC calls.
type perCall struct{ auth *azureAuth }

var _ credentials.PerRPCCredentials = (*perCall)(nil)

// GetRequestMetadata implements [credentials.PerRPCCredentials]. Its errors are of the code UNAVAILABLE: with any other,
// exporters would give up what the call was for.
func (p *perCall) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	target := &url.URL{}
	if len(uri) > 0 {
		if parsed, err := url.Parse(uri[0]); err == nil {
			target = parsed
		}
	}
	token, err := p.auth.token(ctx, target)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return map[string]string{"authorization": "Bearer " + token.Value}, nil
}

// RequireTransportSecurity implements [credentials.PerRPCCredentials].
func (*perCall) RequireTransportSecurity() bool { return true }
