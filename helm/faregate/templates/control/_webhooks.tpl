{{/* Parts of the webhook configurations. */}}
{{- define "faregate.webhookClient" }}
service:
  name: {{ include "faregate.control" .root }}
  namespace: {{ .root.Release.Namespace }}
  path: {{ .path }}
  port: 443
{{- if eq .root.Values.control.certificates.source "existingSecret" }}
caBundle: {{ required "control.certificates.caBundle is missing: the authority of existingSecret, as PEM (--set-file)" .root.Values.control.certificates.caBundle | b64enc }}
{{- end }}
{{- end }}
{{- define "faregate.webhookRest" }}
admissionReviewVersions: ["v1"]
sideEffects: None
matchPolicy: Equivalent
failurePolicy: {{ .Values.webhook.failurePolicy }}
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
{{- end }}
{{- define "faregate.webhookMeta" }}
  name: {{ include "faregate.fullname" . }}
  labels:
    {{- include "faregate.labels" (dict "root" . "component" "control") | nindent 4 }}
  {{- if eq .Values.control.certificates.source "certManager" }}
  annotations:
    cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "faregate.control" . }}
  {{- end }}
{{- end }}
