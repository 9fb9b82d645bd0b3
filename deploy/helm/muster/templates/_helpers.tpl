{{- define "muster.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* The name of what the release has, without the role. */}}
{{- define "muster.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "muster.name" .) .Release.Name -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "muster.name" .) | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "muster.selector" -}}
app.kubernetes.io/name: {{ include "muster.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "muster.labels" -}}
{{ include "muster.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "muster.image" -}}
{{- if .Values.image.digest -}}
{{ printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end }}

{{- define "muster.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "muster.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{/* The variable that names the file of each secret. */}}
{{- define "muster.secretVariables" -}}
postgresDSN: MUSTER_POSTGRES_DSN_FILE
clickhouseDSN: MUSTER_CLICKHOUSE_DSN_FILE
secretKey: MUSTER_SECRET_KEY_FILE
adminToken: MUSTER_ADMIN_TOKEN_FILE
secretKeyPrevious: MUSTER_SECRET_KEY_PREVIOUS_FILE
ssoClientSecret: MUSTER_SSO_CLIENT_SECRET_FILE
signInClientSecret: MUSTER_SIGN_IN_CLIENT_SECRET_FILE
anvilCredentials: MUSTER_ANVIL_CREDENTIALS
emailPassword: MUSTER_NOTIFY_EMAIL_PASSWORD_FILE
webhookURL: MUSTER_NOTIFY_WEBHOOK_URL_FILE
webhookSecret: MUSTER_NOTIFY_WEBHOOK_SECRET_FILE
kafkaPassword: MUSTER_KAFKA_PASSWORD_FILE
kafkaCA: MUSTER_KAFKA_CA_FILE
{{- end }}

{{- define "muster.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "muster.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The environment that all have in common. It stands in each pod, not in a ConfigMap, so that
     pods are replaced when it changes, and the hook has it before anything is installed. */}}
{{- define "muster.environment" -}}
- {name: MUSTER_KAFKA_BROKERS, value: {{ join "," .Values.engines.kafka.brokers | quote }}}
- {name: MUSTER_KAFKA_PARTITIONS, value: {{ .Values.engines.kafka.partitions | int | quote }}}
- {name: MUSTER_KAFKA_REPLICATION, value: {{ .Values.engines.kafka.replication | int | quote }}}
{{- with .Values.engines.clickhouse.cluster }}
- {name: MUSTER_CLICKHOUSE_CLUSTER, value: {{ . | quote }}}
{{- end }}
- {name: MUSTER_DATA_DIR, value: /var/lib/muster}
{{- $secrets := .Values.secrets }}
{{- range $secret, $variable := include "muster.secretVariables" . | fromYaml }}
{{- with get $secrets $secret }}
{{- if .name }}
- {name: {{ $variable }}, value: /run/secrets/muster/{{ $secret }}}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "muster.volumeMounts" -}}
- {name: secrets, mountPath: /run/secrets/muster, readOnly: true}
- {name: data, mountPath: /var/lib/muster}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "muster.volumes" -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
{{- range $secret, $reference := .Values.secrets }}
{{- if $reference.name }}
      - secret:
          name: {{ $reference.name | quote }}
          items: [{key: {{ $reference.key | quote }}, path: {{ $secret }}}]
{{- end }}
{{- end }}
- {name: data, emptyDir: {sizeLimit: 1Gi}}
- {name: tmp, emptyDir: {sizeLimit: 1Gi}}
{{- end }}
