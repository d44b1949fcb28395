{{/*
Names are fixed and not made of the release's name: the mesh configuration names the agents' Service, the rights name the
service accounts and the Lease, and mesh_noise knows the collector's own calls by the names of its workloads. Most templates take
(dict "root" $ "role" "agent"); a role is the key of its values, and its name is in kebab case.
*/}}
{{- define "mesh.name" -}}otelcol-mesh-{{ kebabcase .role }}{{- end }}

{{- define "mesh.selector" -}}
app.kubernetes.io/name: otelcol-mesh
app.kubernetes.io/component: {{ kebabcase .role }}
{{- end }}

{{- define "mesh.labels" -}}
{{ include "mesh.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "mesh.metadata" -}}
name: {{ include "mesh.name" . }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "mesh.labels" . | nindent 2 }}
{{- end }}

{{/* The ConfigMap of Istio's mesh configuration. */}}
{{- define "mesh.meshConfig" -}}
istio{{ with without (list .Values.istio.revision) "" "default" }}-{{ first . }}{{ end }}
{{- end }}

{{- define "mesh.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* MiB of a quantity in Mi or Gi; the schema lets nothing else pass. */}}
{{- define "mesh.mebibytes" -}}
{{- if hasSuffix "Gi" . -}}
{{ mul (trimSuffix "Gi" . | int64) 1024 }}
{{- else -}}
{{ trimSuffix "Mi" . }}
{{- end -}}
{{- end }}

{{/* The files given to the collector, in the order they are merged: those of the distribution, then what the values add. */}}
{{- define "mesh.files" -}}
{{- $values := .root.Values -}}
{{ ternary "examples" "config" (eq .role "metricsTier") }}/{{ kebabcase .role }}.yaml
{{- if and (eq .role "agent") $values.agent.logFiles.enabled }} examples/ztunnel-logs.yaml{{ end }}
{{- if and (eq .role "agent") $values.metricsTier.enabled }} examples/agent-metrics-tier.yaml{{ end }}
{{- if eq .role "hub" }}
{{- if not $values.hub.insecure }} examples/hub-mtls.yaml{{ end }}
{{- if $values.router.enabled }} examples/hub-routed.yaml{{ end }}
{{- if eq $values.hub.azure.mode "workloadIdentity" }} examples/azure-monitor-entra.yaml{{ end }}
{{- if eq $values.hub.azure.mode "otlp" }} examples/azure-monitor-otlp.yaml{{ end }}
{{- if $values.hub.analysis.enabled }} examples/argo-rollouts/hub.yaml{{ end }}
{{- end }}
{{- if and (eq .role "router") (not $values.hub.insecure) }} examples/hub-mtls.yaml{{ end }}
{{- end }}

{{/* The name of such a file in the ConfigMap: argo-rollouts/hub.yaml is not hub.yaml. */}}
{{- define "mesh.key" -}}
{{ . | trimPrefix "config/" | trimPrefix "examples/" | replace "/" "-" }}
{{- end }}

{{- define "mesh.file" -}}
{{- .root.Files.Get (printf "files/%s" .file) | required (printf "files/%s is not in the chart: package it with symbolic links followed (helm package does)" .file) }}
{{- end }}

{{- define "mesh.configData" -}}
{{- $root := .root }}
{{- range splitList " " (include "mesh.files" .) }}
{{ include "mesh.key" . }}: |
  {{- include "mesh.file" (dict "root" $root "file" .) | trimSuffix "\n" | nindent 2 }}
{{- end }}
{{- with include "mesh.ownConfig" . }}
values.yaml: |
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
What the values add to the files: rules of hub.identity, the hub's analysis, and the role's config, which wins. Nothing if there is
none of these.
*/}}
{{- define "mesh.ownConfig" -}}
{{- $config := dict -}}
{{- /* Whoever the agents connect to asks them who they are. */ -}}
{{- if eq .role (ternary "router" "hub" .root.Values.router.enabled) -}}
{{- with .root.Values.hub.identity.rules -}}
{{- $config = dict "extensions" (dict "cluster_identity" (dict "rules" .)) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .role "hub") .root.Values.hub.analysis.enabled -}}
{{- $config = mergeOverwrite $config (include "mesh.analysisConfig" . | fromYaml) -}}
{{- end -}}
{{- $config = mergeOverwrite $config (deepCopy (index .root.Values .role).config) -}}
{{- if $config }}{{ toYaml $config }}{{ end -}}
{{- end }}

{{/* One more extension than the files have, as lists replace lists; and the other replicas, of which one may know the answer. */}}
{{- define "mesh.analysisConfig" -}}
{{- $root := .root -}}
{{- $analysis := .root.Values.hub.analysis -}}
{{- $extensions := list -}}
{{- range splitList " " (include "mesh.files" .) -}}
{{- $file := include "mesh.file" (dict "root" $root "file" .) | fromYaml -}}
{{- $extensions = dig "service" "extensions" $extensions $file -}}
{{- end -}}
service:
  extensions: {{ append $extensions "bearertokenauth" | toJson }}
{{- if .root.Values.router.enabled }}
connectors:
  mesh_graph:
    analysis_peers:
      endpoint: https://otelcol-mesh-hub-replicas.{{ .root.Release.Namespace }}.svc:8443
      tls:
        {{- if $analysis.tls.ca }}
        ca_file: ${env:MESH_ANALYSIS_CA_FILE}
        {{- end }}
        server_name_override: {{ include "mesh.analysisHost" .root }}
        reload_interval: 1m
{{- end }}
{{- end }}

{{/* The name that Argo Rollouts calls, and that replicas expect of each other. */}}
{{- define "mesh.analysisHost" -}}otelcol-mesh-hub-analysis.{{ .Release.Namespace }}.svc{{- end }}

{{/* Agents and inventory have one certificate, the hub another, routers a third, and the tier a fourth. */}}
{{- define "mesh.tls" -}}
{{- if has .role (list "hub" "router" "metricsTier") }}{{ toYaml (index .root.Values .role).tls }}{{ else }}{{ toYaml .root.Values.link.tls }}{{ end }}
{{- end }}

{{- define "mesh.ipFamilies" -}}
{{- if eq .Values.ipFamily "IPv6" -}}
ipFamilyPolicy: SingleStack
ipFamilies: [IPv6]
{{- else if eq .Values.ipFamily "DualStack" -}}
ipFamilyPolicy: PreferDualStack
{{- end -}}
{{- end }}

{{/* Of a headless Service: its endpoints are the pods, and with two addresses each of them would be there twice. */}}
{{- define "mesh.oneFamily" -}}
{{- if eq .Values.ipFamily "DualStack" -}}
ipFamilyPolicy: SingleStack
{{- else -}}
{{ include "mesh.ipFamilies" . }}
{{- end -}}
{{- end }}

{{/* What spiffe-helper reads; nothing without SPIRE. */}}
{{- define "mesh.spireHelper" -}}
{{- $tls := fromYaml (include "mesh.tls" .) -}}
{{- if and $tls.spire (not (ternary .root.Values.hub.insecure .root.Values.link.insecure (has .role (list "hub" "router")))) -}}
agent_address = "/run/spire/{{ .root.Values.spire.socket }}"
cert_dir = "/etc/otelcol-mesh-tls"
svid_file_name = {{ $tls.cert | quote }}
svid_key_file_name = {{ $tls.key | quote }}
svid_bundle_file_name = {{ $tls.ca | quote }}
daemon_mode = true
{{- end -}}
{{- end }}
