{{/* What the pods of all roles have in common. */}}

{{- define "mesh.podMetadata" -}}
{{- $role := index .root.Values .role -}}
{{- /* Out of the mesh: behind a sidecar or ztunnel the collector sees that one's address in place of the pod that connected. */ -}}
{{- $labels := merge (include "mesh.labels" . | fromYaml) $role.podLabels (dict "sidecar.istio.io/inject" "false" "istio.io/dataplane-mode" "none") -}}
{{- if and (eq .role "hub") (ne $role.azure.mode "connectionString") -}}
{{- $_ := set $labels "azure.workload.identity/use" "true" -}}
{{- end -}}
labels: {{- toYaml $labels | nindent 2 }}
annotations:
  # The collector does not read its configuration again: a change of it starts the pods anew.
  otelcol-mesh/config: {{ print (include "mesh.configData" .) (include "mesh.spireHelper" .) | sha256sum }}
  {{- with $role.podAnnotations }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{- define "mesh.podSpec" -}}
{{- $role := index .root.Values .role -}}
serviceAccountName: {{ include "mesh.name" . }}
automountServiceAccountToken: {{ not (has .role (list "hub" "metricsTier")) }}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $role.terminationGracePeriodSeconds }}
securityContext:
  {{- $user := 10001 }}
  {{- if hasKey $role "runAsUser" }}{{ $user = int $role.runAsUser }}{{ end }}
  runAsNonRoot: {{ ne $user 0 }}
  runAsUser: {{ $user }}
  runAsGroup: 10001
  # Volumes and secrets are readable for this group.
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  {{- if and (eq .role "agent") $role.logFiles.enabled }}
  # The group of the files that container runtimes write.
  supplementalGroups: [0]
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with $role.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with $role.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $role.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $role.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "mesh.securityContext" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "mesh.args" -}}
args:
  {{- range splitList " " (include "mesh.files" .) }}
  - --config=/etc/otelcol-mesh/{{ include "mesh.key" . }}
  {{- end }}
  {{- if include "mesh.ownConfig" . }}
  - --config=/etc/otelcol-mesh/values.yaml
  {{- end }}
{{- end }}

{{/* Environment of all roles. MESH_DEBUG_HOST is left alone: those ports stay on the loopback. */}}
{{- define "mesh.env" -}}
{{- $role := index .root.Values .role -}}
{{- $memory := div (mul (include "mesh.mebibytes" $role.resources.limits.memory | int64) 8) 10 -}}
{{- if ne .role "router" -}}
- {name: MESH_STORAGE_DIR, value: /var/lib/otelcol-mesh}
{{ end -}}
{{ include "mesh.host" (dict "name" "MESH_ADMIN_HOST" "family" .root.Values.ipFamily) }}
- {name: MESH_MEMORY_MIB, value: {{ $memory | quote }}}
- {name: GOMEMLIMIT, value: {{ printf "%dMiB" (div (mul $memory 8) 10) }}}
{{- range $name, $value := $role.env }}
- {name: {{ $name | quote }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{/* An address to listen on: the pod's own, in brackets for a colon and a port to follow. Of two families both, so all. */}}
{{- define "mesh.host" -}}
{{- if eq .family "DualStack" -}}
- {name: {{ .name }}, value: "[::]"}
{{- else if eq .family "IPv6" -}}
- {name: {{ .name }}_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: {{ .name }}, value: "[$({{ .name }}_IP)]"}
{{- else -}}
- {name: {{ .name }}, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
{{- end -}}
{{- end }}

{{/* Environment of what sends to the hub. */}}
{{- define "mesh.linkEnv" -}}
{{- $values := .root.Values -}}
- {name: MESH_CLUSTER, value: {{ $values.cluster.name | quote }}}
- {name: MESH_ISTIO_NAMESPACE, value: {{ $values.istio.namespace | quote }}}
- {name: MESH_HUB_ENDPOINT, value: {{ $values.link.endpoint | quote }}}
{{- if $values.link.insecure }}
- {name: MESH_HUB_INSECURE, value: "true"}
{{- else }}
- {name: MESH_HUB_CA_FILE, value: {{ printf "/etc/otelcol-mesh-tls/%s" $values.link.tls.ca | quote }}}
- {name: MESH_HUB_CERT_FILE, value: {{ printf "/etc/otelcol-mesh-tls/%s" $values.link.tls.cert | quote }}}
- {name: MESH_HUB_KEY_FILE, value: {{ printf "/etc/otelcol-mesh-tls/%s" $values.link.tls.key | quote }}}
{{- end }}
{{- end }}

{{- define "mesh.probes" -}}
startupProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 5
  failureThreshold: 3
{{- end }}

{{- define "mesh.ports" -}}
- {name: health, containerPort: 13133}
- {name: metrics, containerPort: 8888}
{{- end }}

{{/* tls is that of the role, not used if the link has none. */}}
{{- define "mesh.mounts" -}}
- {name: config, mountPath: /etc/otelcol-mesh, readOnly: true}
{{- if ne .role "router" }}
- {name: storage, mountPath: /var/lib/otelcol-mesh}
{{- end }}
{{- if not .insecure }}
- {name: tls, mountPath: /etc/otelcol-mesh-tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "mesh.volumes" -}}
- name: config
  configMap: {name: {{ include "mesh.name" . }}}
{{- if not .insecure }}
- name: tls
  {{- if .tls.spire }}
  # Keys stay out of the node's disk.
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
- name: spire
  csi: {driver: {{ .root.Values.spire.driver | quote }}, readOnly: true}
- name: spire-helper
  configMap: {name: {{ include "mesh.name" . }}-spire}
  {{- else if .tls.volume }}
  {{- toYaml .tls.volume | nindent 2 }}
  {{- else }}
  secret: {secretName: {{ .tls.secretName | quote }}, defaultMode: 0440}
  {{- end }}
{{- end }}
{{- end }}

{{/* What runs before the collector, and for SPIRE beside it. */}}
{{- define "mesh.initContainers" -}}
{{- $values := .root.Values -}}
{{- $storage := $values.agent.storage -}}
{{- if and (eq .role "agent") (eq $storage.type "hostPath") $storage.prepare.enabled }}
# A folder that the kubelet makes is root's. This is the one thing that runs as root, for a moment.
- name: storage
  image: {{ include "mesh.image" .root | quote }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  command:
    - /otelcol-mesh-init
    - --uid={{ int64 $values.agent.runAsUser }}
    - --gid=10001
    {{- if not (kindIs "invalid" $storage.prepare.formerUser) }}
    - --former-uid={{ int64 $storage.prepare.formerUser }}
    {{- end }}
    - /var/lib/otelcol-mesh
  securityContext:
    runAsNonRoot: false
    runAsUser: 0
    runAsGroup: 0
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {drop: [ALL], add: [CHOWN]}
  resources:
    requests: {cpu: 10m, memory: 16Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: storage, mountPath: /var/lib/otelcol-mesh}
{{- end }}
{{- if and (not .insecure) .tls.spire }}
{{- range $name, $more := dict "certificates" (dict "args" (list "-daemon-mode=false")) "certificates-renewal" (dict "args" list "restartPolicy" "Always") }}
- name: {{ $name }}
  {{- with $more.restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  image: {{ $values.spire.helperImage | quote }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  args: {{ toJson (concat (list "-config" "/etc/spire-helper/helper.conf") $more.args) }}
  {{- include "mesh.securityContext" $ | nindent 2 }}
  resources:
    requests: {cpu: 10m, memory: 32Mi}
    limits: {memory: 64Mi}
  volumeMounts:
    - {name: tls, mountPath: /etc/otelcol-mesh-tls}
    - {name: spire, mountPath: /run/spire, readOnly: true}
    - {name: spire-helper, mountPath: /etc/spire-helper, readOnly: true}
{{- end }}
{{- end }}
{{- end }}
