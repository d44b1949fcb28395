{{/* Puts a cluster's Secret into Key Vault. */}}
{{- define "certificates.push" -}}
apiVersion: external-secrets.io/v1alpha1
kind: PushSecret
metadata:
  name: {{ .name }}-{{ lower .cluster }}
  namespace: {{ .root.Release.Namespace }}
spec:
  refreshInterval: 10m0s
  deletionPolicy: Delete
  secretStoreRefs:
    - {name: otelcol-mesh, kind: SecretStore}
  selector:
    secret: {name: {{ .name }}-{{ lower .cluster }}}
  data:
    - match:
        remoteRef: {remoteKey: {{ .name }}-{{ .cluster }}}
{{- end }}
