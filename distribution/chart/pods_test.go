// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelcol-mesh/otelcol-mesh/distribution/chart/charttest"
)

// workload is what runs the collector in one role.
type workload struct {
	name      string
	pod       object // its template
	spec      object // of the pod
	container object
	// env has "" for what comes from elsewhere.
	env map[string]string
}

func workloads(objects []object) []workload {
	var found []workload
	for _, o := range objects {
		if !slices.Contains([]string{"DaemonSet", "Deployment", "StatefulSet"}, o["kind"].(string)) {
			continue
		}
		w := workload{name: o.at("metadata", "name").(string), pod: o.at("spec", "template").(map[string]any), spec: o.at("spec", "template", "spec").(map[string]any), env: map[string]string{}}
		w.container = w.spec["containers"].([]any)[0].(map[string]any)
		for _, v := range w.container["env"].([]any) {
			value, _ := v.(map[string]any)["value"].(string)
			w.env[v.(map[string]any)["name"].(string)] = value
		}
		found = append(found, w)
	}
	return found
}

// TestPodsHaveNoMoreRightsThanTheyNeed is about every pod of every example.
func TestPodsHaveNoMoreRightsThanTheyNeed(t *testing.T) {
	for _, e := range charttest.Examples(t) {
		for _, w := range workloads(parse(t, e.Render(t))) {
			t.Run(e.Name+"/"+w.name, func(t *testing.T) {
				assert.Equal(t, true, w.spec.at("securityContext", "runAsNonRoot"))
				assert.EqualValues(t, 10001, w.spec.at("securityContext", "runAsUser"))
				assert.Equal(t, "RuntimeDefault", w.spec.at("securityContext", "seccompProfile", "type"))
				assert.Equal(t, w.name, w.spec["serviceAccountName"], "an account of its own")
				assert.Equal(t, w.name != "otelcol-mesh-hub" && w.name != "otelcol-mesh-metrics-tier", w.spec["automountServiceAccountToken"])
				for _, key := range []string{"hostNetwork", "hostPID", "hostIPC"} {
					assert.NotContains(t, w.spec, key)
				}
				containers := w.spec["containers"].([]any)
				assert.Len(t, containers, 1)
				assert.Equal(t, map[string]any{
					"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
					"capabilities": map[string]any{"drop": []any{"ALL"}},
				}, w.container["securityContext"])
				for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
					assert.Equal(t, "health", w.container.at(probe, "httpGet", "port"), probe)
				}
				assert.NotContains(t, w.env, "MESH_DEBUG_HOST", "debug ports stay on the loopback")
				mounts(t, w)
				memory(t, w)
			})
		}
	}
}

// mounts fails if anything but the storage can be written to.
func mounts(t *testing.T, w workload) {
	t.Helper()
	for _, m := range w.container["volumeMounts"].([]any) {
		mount := m.(map[string]any)
		if mount["name"] != "storage" {
			assert.Equal(t, true, mount["readOnly"], mount["name"])
		}
	}
	for _, v := range w.spec["volumes"].([]any) {
		if host, ok := v.(map[string]any)["hostPath"]; ok {
			assert.Equal(t, "otelcol-mesh-agent", w.name)
			assert.Contains(t, []any{"/var/lib/otelcol-mesh", "/var/log/pods"}, host.(map[string]any)["path"])
		}
	}
}

// memory fails if Go's limit or the limiter's is not below the container's.
func memory(t *testing.T, w workload) {
	t.Helper()
	limit := w.container.at("resources", "limits", "memory").(string)
	unit := 1
	if strings.HasSuffix(limit, "Gi") {
		unit = 1024
	}
	number, err := strconv.Atoi(strings.TrimRight(limit, "MGi"))
	require.NoError(t, err)
	mebibytes := number * unit * 8 / 10
	assert.Equal(t, strconv.Itoa(mebibytes), w.env["MESH_MEMORY_MIB"])
	assert.Equal(t, strconv.Itoa(mebibytes*8/10)+"MiB", w.env["GOMEMLIMIT"])
}

// TestTheQueuesFolderIsGivenOver looks at the one container that runs as root.
func TestTheQueuesFolderIsGivenOver(t *testing.T) {
	agent := func(more ...string) workload {
		return workloads(parse(t, charttest.Named(t, "spoke-sidecar").Render(t, more...)))[0]
	}
	w := agent()
	require.Equal(t, []string{"storage"}, w.initContainers())
	init := object(w.spec["initContainers"].([]any)[0].(map[string]any))
	assert.Equal(t, w.container["image"], init["image"], "no second image")
	assert.Equal(t, []any{"/otelcol-mesh-init", "--uid=10001", "--gid=10001", "/var/lib/otelcol-mesh"}, init["command"])
	assert.Equal(t, map[string]any{
		"runAsNonRoot": false, "runAsUser": 0.0, "runAsGroup": 0.0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		"capabilities": map[string]any{"drop": []any{"ALL"}, "add": []any{"CHOWN"}},
	}, init["securityContext"])
	assert.Len(t, init["volumeMounts"], 1, "nothing but the folder")

	w = agent("--set", "agent.runAsUser=0,agent.storage.prepare.formerUser=10001")
	assert.Equal(t, []any{"/otelcol-mesh-init", "--uid=0", "--gid=10001", "--former-uid=10001", "/var/lib/otelcol-mesh"},
		w.spec["initContainers"].([]any)[0].(map[string]any)["command"])
	for _, without := range []string{"agent.storage.type=emptyDir", "agent.storage.prepare.enabled=false"} {
		assert.Empty(t, agent("--set", without).initContainers(), without)
	}
}

// TestAddressFamilies looks at where pods listen: the collector's configuration puts a colon and a port behind it.
func TestAddressFamilies(t *testing.T) {
	for family, want := range map[string]struct {
		host   string
		policy any
	}{
		"IPv4":      {"", nil},
		"IPv6":      {"[$(%s_IP)]", "SingleStack"},
		"DualStack": {"[::]", "PreferDualStack"},
	} {
		objects := parse(t, charttest.Named(t, "one-cluster").Render(t, "--set", "ipFamily="+family))
		for _, w := range workloads(objects) {
			for _, name := range []string{"MESH_LISTEN_HOST", "MESH_ADMIN_HOST"} {
				if value, ok := w.env[name]; ok {
					assert.Equal(t, strings.ReplaceAll(want.host, "%s", name), value, "%s of %s", name, w.name)
				}
			}
			assert.Contains(t, w.env, "MESH_ADMIN_HOST")
			assert.Equal(t, family == "IPv6", slices.Contains(slices.Collect(maps.Keys(w.env)), "MESH_ADMIN_HOST_IP"))
		}
		for _, o := range objects {
			if o["kind"] == "Service" && o.at("spec", "clusterIP") == nil {
				assert.Equal(t, want.policy, o.at("spec", "ipFamilyPolicy"), o.id())
			}
		}
	}
}

// TestRootOfTheNodesLogs is the one way to run as root, and root has nothing but the files it owns.
func TestRootOfTheNodesLogs(t *testing.T) {
	objects := parse(t, charttest.Named(t, "spoke-ambient").Render(t, "--set", "agent.runAsUser=0"))
	w := workloads(objects)[0]
	assert.Equal(t, "otelcol-mesh-agent", w.name)
	assert.Equal(t, false, w.spec.at("securityContext", "runAsNonRoot"))
	assert.EqualValues(t, 0, w.spec.at("securityContext", "runAsUser"))
	assert.Equal(t, []any{"ALL"}, w.container.at("securityContext", "capabilities", "drop"))
}

// TestRightsAreTheDistributions prevents rights that drift from distribution/rbac, which test/kube holds to what the roles ask.
func TestRightsAreTheDistributions(t *testing.T) {
	for revision, configMap := range map[string]string{"": "istio", "default": "istio", "asm-1-27": "istio-asm-1-27"} {
		t.Run("revision "+revision, func(t *testing.T) { rightsOf(t, revision, configMap) })
	}
}

func rightsOf(t *testing.T, revision, configMap string) {
	objects := parse(t, charttest.Named(t, "one-cluster").Render(t, "--namespace", "telemetry",
		"--set", "istio.namespace=aks-istio-system,istio.revision="+revision))
	renames := strings.NewReplacer("namespace: otelcol-mesh", "namespace: telemetry", "istio-system", "aks-istio-system",
		"resourceNames: [istio]", "resourceNames: ["+configMap+"]")
	for _, w := range workloads(objects) {
		want := ""
		if w.name == "otelcol-mesh-agent" {
			want = revision
		}
		assert.Equal(t, want, w.env["MESH_ISTIO_REVISION"], w.name)
	}
	wanted := map[string]object{}
	for _, role := range []string{"agent", "inventory"} {
		raw, err := os.ReadFile(filepath.Join("..", "rbac", role+".yaml"))
		require.NoError(t, err)
		for _, o := range parse(t, renames.Replace(string(raw))) {
			wanted[rightID(o)] = o
		}
	}
	got := map[string]object{}
	for _, o := range objects {
		if strings.HasPrefix(o["apiVersion"].(string), "rbac.") {
			got[rightID(o)] = o
		}
	}
	for id, want := range wanted {
		if want["kind"] == "ServiceAccount" {
			continue
		}
		have, ok := got[id]
		if assert.True(t, ok, id) {
			for _, key := range []string{"rules", "roleRef", "subjects"} {
				assert.Equal(t, want[key], have[key], "%s: %s", id, key)
			}
		}
		delete(got, id)
	}
	assert.Empty(t, got, "rights that distribution/rbac does not have")
	for _, o := range objects {
		if o["kind"] == "ServiceAccount" {
			assert.Equal(t, false, o["automountServiceAccountToken"])
			assert.Equal(t, "telemetry", o.at("metadata", "namespace"))
		}
	}
}

func rightID(o object) string {
	namespace, _ := o.at("metadata", "namespace").(string)
	return o.id() + "@" + namespace
}
