// SPDX-License-Identifier: Apache-2.0

package clusteridentityextension

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"
)

var _ extensioncapabilities.PipelineWatcher = (*clusterIdentity)(nil)

// introduction is how the extension learns which server a receiver runs: it connects to it, once, and its own middleware sees
// that request. Nothing that a client sends is taken for it, as the address of an open connection is nobody else's.
type introduction struct {
	from   string
	server chan *http.Server
}

// introduced answers the request by which the extension gets to know the receiver's server, and says whether this was it.
func (e *clusterIdentity) introduced(w http.ResponseWriter, r *http.Request) bool {
	asked := e.introduction.Load()
	if asked == nil || r.TLS != nil || r.RemoteAddr != asked.from {
		return false
	}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		select {
		case asked.server <- server:
		default:
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// Ready implements [extensioncapabilities.PipelineWatcher]: from here on 'receiver_http' takes connections, and the receiver
// has started.
func (e *clusterIdentity) Ready() error {
	if !e.config.ReceiverHTTP.HasValue() {
		return nil
	}
	settings := e.config.ReceiverHTTP.Get()
	server, err := e.serverAt(settings.Receiver)
	if err != nil {
		return fmt.Errorf("'receiver_http::receiver' is %s, where no receiver answers that takes HTTP without 'tls' and lists %s first under 'middlewares': %w",
			settings.Receiver, e.id, err)
	}
	files, err := e.receiverFiles(context.Background())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", settings.Endpoint)
	if err != nil {
		return fmt.Errorf("'receiver_http::endpoint': %w", err)
	}
	e.overTLS = listenTLS(e, listener, func() *tls.Config {
		config := files.current().Clone()
		config.NextProtos = []string{"h2", "http/1.1"}
		return config
	})
	e.serving.Go(func() {
		err := server.Serve(e.overTLS)
		if !e.overTLS.closing() && !errors.Is(err, http.ErrServerClosed) {
			e.logger.Error("'receiver_http' takes no more connections", zap.String("endpoint", settings.Endpoint), zap.Error(err))
		}
	})
	return nil
}

// NotReady implements [extensioncapabilities.PipelineWatcher]: the receiver is about to end. It waits for the requests that it
// has; no more connections are taken.
func (e *clusterIdentity) NotReady() error {
	e.shaking.end()
	if e.overTLS == nil {
		return nil
	}
	_ = e.overTLS.Close()
	e.serving.Wait()
	return nil
}

// introductionTimeout is how long a receiver on the same machine may take to answer.
const introductionTimeout = 10 * time.Second

// serverAt returns the server behind an address of this process.
func (e *clusterIdentity) serverAt(address string) (*http.Server, error) {
	conn, err := net.DialTimeout("tcp", address, introductionTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	asked := &introduction{from: conn.LocalAddr().String(), server: make(chan *http.Server, 1)}
	e.introduction.Store(asked)
	defer e.introduction.Store(nil)
	if err := conn.SetDeadline(time.Now().Add(introductionTimeout)); err != nil {
		return nil, err
	}
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/", http.NoBody) //nolint:noctx // the connection has a deadline
	if err != nil {
		return nil, err
	}
	request.Close = true
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	select {
	case server := <-asked.server:
		return server, nil
	default:
		return nil, fmt.Errorf("it answered %s", answer.Status)
	}
}
