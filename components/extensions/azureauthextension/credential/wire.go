// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
)

// maxAnswer is the longest answer that is read, in bytes. Tokens are a few KiB.
const maxAnswer = 1 << 20

var errLongAnswer = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// wire carries the requests of one fetch and remembers how the last of them ended: azidentity's errors do not tell it
// apart in all cases.
type wire struct {
	client *http.Client

	mu     sync.Mutex
	host   string
	err    error
	status int
	header http.Header
	body   []byte
}

func newWire(transport http.RoundTripper) *wire {
	return &wire{client: &http.Client{
		Transport: transport,
		// A redirect of a POST could carry a secret or an assertion to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Do implements azcore's Transporter.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	w.note(req.URL.Host, nil, nil, nil)
	resp, err := w.client.Do(req)
	if err != nil {
		w.note(req.URL.Host, nil, nil, err)
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close()
	if err == nil && len(body) > maxAnswer {
		err = errLongAnswer
	}
	if err != nil {
		w.note(req.URL.Host, nil, nil, err)
		return nil, err
	}
	w.note(req.URL.Host, resp, body, nil)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (w *wire) note(host string, resp *http.Response, body []byte, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host, w.err, w.status, w.header, w.body = host, err, 0, nil, nil
	if resp != nil {
		w.status, w.header = resp.StatusCode, resp.Header
		// A token that came is not kept.
		if resp.StatusCode != http.StatusOK {
			w.body = body
		}
	}
}

// ended is how the last request ended.
type ended struct {
	host   string
	err    error
	status int
	header http.Header
	body   []byte
}

func (w *wire) ended() ended {
	w.mu.Lock()
	defer w.mu.Unlock()
	return ended{w.host, w.err, w.status, w.header, w.body}
}

// metadataAddress is where the managed identity endpoint of a virtual machine is: on the machine's own link, where no
// proxy can reach it in the machine's name.
const metadataAddress = "169.254.169.254"

// newTransport makes a transport of the fetcher's own.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = exceptMetadata(http.ProxyFromEnvironment)
	return t
}

func exceptMetadata(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		if req.URL.Hostname() == metadataAddress {
			return nil, nil
		}
		return proxy(req)
	}
}

// plain takes what repeats the request off a client's error.
func plain(err error) error {
	if whole, ok := errors.AsType[*url.Error](err); ok {
		return whole.Err
	}
	return err
}

// timedOut says whether an error is of a time that ran out.
func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}
