{{/* What selects the pods of the service. */}}
{{- define "b12-cds.service-labels" -}}
app.kubernetes.io/name: b12-cds
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end }}

{{/* What every object carries. */}}
{{- define "b12-cds.labels" -}}
app.kubernetes.io/name: b12-cds
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Names begin with the release's: two installations in one namespace do not disturb each other. */}}
{{- define "b12-cds.name" -}}
{{- if contains "b12-cds" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-b12-cds" (.Release.Name | trunc 32 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "b12-cds.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end }}
{{- end }}

{{/* Of every pod: a fixed user that is not root, and the nodes on which it may run. */}}
{{- define "b12-cds.pod-security" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Of every container: the root is read-only, and nothing is allowed. */}}
{{- define "b12-cds.container-security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* What the settings say of the store: "none" is the one thing that they may, "" leaves it to the Secret. */}}
{{- define "b12-cds.store-setting" -}}
{{- get (.Values.settings | default dict) "CDS_STORE_URL" }}
{{- end }}

{{/* Where the files of the Secret are, as settings. */}}
{{- define "b12-cds.secret-settings" -}}
CDS_SECRETS_DIR: /run/secrets/b12-cds
CDS_STORE_KEYS: /run/secrets/b12-cds/store_keys
{{- if .Values.smart.enabled }}
CDS_SMART_KEYS: /run/secrets/b12-cds/smart_keys
{{- end }}
{{- end }}

{{/* What selects the pod of the result watcher. */}}
{{- define "b12-cds.watch-labels" -}}
app.kubernetes.io/name: b12-cds
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: watch
{{- end }}

{{/* Of the watcher and of its daily run: image, settings, and what is mounted. The state is the one folder on a disk. */}}
{{- define "b12-cds.watch-container" -}}
image: {{ include "b12-cds.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
envFrom:
  - configMapRef: {name: {{ include "b12-cds.name" . }}}
env:
  - {name: CDS_WATCH_STATE, value: /var/lib/b12-cds/watch.sqlite}
resources: {{- toYaml .Values.watch.resources | nindent 2 }}
{{ include "b12-cds.container-security" . }}
volumeMounts:
  - {name: written, mountPath: /run/b12-cds}
  - {name: state, mountPath: /var/lib/b12-cds}
  - {name: clients, mountPath: /etc/b12-cds, readOnly: true}
  {{- if .Values.siteFiles }}
  - {name: site, mountPath: /etc/b12-cds-site, readOnly: true}
  {{- end }}
  - {name: secrets, mountPath: /run/secrets/b12-cds, readOnly: true}
{{- end }}

{{/* The volumes of the watcher and of its daily run. */}}
{{- define "b12-cds.watch-volumes" -}}
volumes:
  - {name: written, emptyDir: {medium: Memory, sizeLimit: 16Mi}}
  - {name: state, persistentVolumeClaim: {claimName: {{ include "b12-cds.name" . }}-watch}}
  - {name: clients, configMap: {name: {{ include "b12-cds.name" . }}-clients}}
  {{- if .Values.siteFiles }}
  - name: site
    configMap:
      name: {{ include "b12-cds.name" . }}-site
      items:
        {{- range $path, $text := .Values.siteFiles }}
        - {key: {{ $path | replace "/" "--" | quote }}, path: {{ $path | quote }}}
        {{- end }}
  {{- end }}
  - {name: secrets, secret: {secretName: {{ .Values.secret }}, defaultMode: 0440}}
{{- end }}
