// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// plain keeps no connections, as etcd is asked rarely.
var plain = &http.Transport{DisableKeepAlives: true}

// Compact makes etcd forget all revisions but the newest, and returns that one. A watch or list that the API server has to
// take from etcd at an older one then gets 410 Gone. It talks to etcd's JSON gateway, which spares this module etcd's
// client.
func (c *Cluster) Compact(ctx context.Context) (revision string, err error) {
	var header struct {
		Header struct{ Revision string }
	}
	// The key is one that does not exist: the answer's header is all that matters.
	if err := c.callEtcd(ctx, "range", map[string]any{"key": []byte("kubetest")}, &header); err != nil {
		return "", err
	}
	request := map[string]any{"revision": header.Header.Revision, "physical": true}
	return header.Header.Revision, c.callEtcd(ctx, "compaction", request, &struct{}{})
}

func (c *Cluster) callEtcd(ctx context.Context, method string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	url := "http://" + address(c.etcdPort) + "/v3/kv/" + method
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := plain.RoundTrip(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answers %s to %s: %s", response.Status, method, text)
	}
	return json.Unmarshal(text, answer)
}
