{{- define "avra.name" -}}
{{- printf "%s" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "avra.secret" -}}
{{- .Values.existingSecret | default (include "avra.name" .) -}}
{{- end -}}

{{- define "avra.selector" -}}
app.kubernetes.io/name: avra
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "avra.labels" -}}
{{ include "avra.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* Those of the pods that keep running: a change of the secrets that this chart makes restarts them. */}}
{{- define "avra.podAnnotations" -}}
checksum/secret: {{ .Values.secrets | toYaml | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod's part that all processes share. */}}
{{- define "avra.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  {{- with .Values.catalogConfigMap }}
  - name: catalog
    configMap:
      name: {{ . }}
  {{- end }}
  {{- with .Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Refuses settings that two values set: a container uses the latter of the two, which stands in plain text. */}}
{{- define "avra.refuseSetTwice" -}}
{{- $values := .Values -}}
{{- $by := dict "WEBHOOKS_BASE_URL" "baseUrl" "WEBHOOKS_TRUSTED_PROXIES" "trustedProxies" -}}
{{- if $values.catalogConfigMap }}{{ $_ := set $by "WEBHOOKS_CATALOG" "catalogConfigMap" }}{{ end -}}
{{- $listed := $values.secretSettings | default list | uniq -}}
{{- $given := dict "settings" (keys ($values.settings | default dict)) -}}
{{- $own := "existingSecret" -}}
{{- if not $values.existingSecret -}}
{{- $own = "secrets" -}}
{{- $_ := set $given "secrets.settings" (keys ($values.secrets.settings | default dict)) -}}
{{- end -}}
{{- range list "DATABASE_URL" "REDIS_URL" "SECRET_KEY" "WEBHOOKS_ENCRYPTION_KEYS" -}}
{{- $_ := set $by . $own -}}
{{- $listed = without $listed . -}}
{{- end -}}
{{- $twice := list -}}
{{- range $place, $names := set $given "secretSettings" $listed -}}
{{- range sortAlpha $names -}}
{{- if hasKey $by . }}{{ $twice = append $twice (printf "%s (%s, %s)" . (get $by .) $place) }}{{ end -}}
{{- $_ := set $by . $place -}}
{{- end -}}
{{- end -}}
{{- with $twice }}{{ fail (printf "set by two values, of which one must go: %s" (join ", " .)) }}{{ end -}}
{{- end -}}

{{/* The container's part that all processes share; called with the root and the name of the process. */}}
{{- define "avra.container" -}}
{{- $root := .root -}}
{{- include "avra.refuseSetTwice" $root -}}
name: {{ .process }}
image: "{{ $root.Values.image.repository }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}"
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
args: [{{ .process }}]
securityContext:
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
env:
  {{- /* Where an upgrade reuses the values of a chart before, these are not there. */}}
  {{- $more := $root.Values.secretSettings | default list }}
  {{- if not $root.Values.existingSecret }}
  {{- if $more }}{{ fail "secretSettings names keys of existingSecret; without one, set secrets.settings" }}{{ end }}
  {{- $more = keys ($root.Values.secrets.settings | default dict) | sortAlpha }}
  {{- end }}
  {{- range concat (list "DATABASE_URL" "REDIS_URL" "SECRET_KEY" "WEBHOOKS_ENCRYPTION_KEYS") $more | uniq }}
  - name: {{ . }}
    valueFrom:
      secretKeyRef:
        name: {{ include "avra.secret" $root }}
        key: {{ . }}
  {{- end }}
  - name: WEBHOOKS_BASE_URL
    value: {{ $root.Values.baseUrl | quote }}
  - name: WEBHOOKS_TRUSTED_PROXIES
    value: {{ $root.Values.trustedProxies | quote }}
  {{- if $root.Values.catalogConfigMap }}
  - name: WEBHOOKS_CATALOG
    value: /etc/avra/catalog
  {{- end }}
  {{- $usual := dict "WEBHOOKS_DRAIN_SECONDS" "8" }}
  {{- if $root.Values.metrics.enabled }}
  {{- /* The same for all. What keeps an endpoint from leading to the pods is that private addresses are refused. */}}
  {{- $_ := set $usual "WEBHOOKS_METRICS_LISTEN" (printf "0.0.0.0:%d" (int $root.Values.metrics.port)) }}
  {{- end }}
  {{- range $more }}{{ $_ := unset $usual . }}{{ end }}
  {{- range $name, $value := merge (dict) ($root.Values.settings | default dict) $usual }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
resources: {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if $root.Values.catalogConfigMap }}
  - name: catalog
    mountPath: /etc/avra/catalog
    readOnly: true
  {{- end }}
  {{- with $root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
