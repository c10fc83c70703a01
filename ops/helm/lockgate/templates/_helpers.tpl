{{- define "lockgate.name" -}}
{{- if contains "lockgate" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-lockgate" (.Release.Name | trunc 31 | trimSuffix "-") }}{{ end }}
{{- end }}

{{- define "lockgate.labels" -}}
app.kubernetes.io/name: lockgate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "lockgate.account" -}}
{{ .Values.serviceAccount.name | default (include "lockgate.name" .) }}
{{- end }}

{{- define "lockgate.claim" -}}
{{ .Values.backups.volume.existingClaim | default (printf "%s-backups" (include "lockgate.name" .)) }}
{{- end }}

{{/* What the job needs is made before it, and stays: a hook's own resources are hooks. */}}
{{- define "lockgate.before" -}}
{{- if .Values.migrate.enabled -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: "-10"
{{- end }}
{{- end }}

{{/* The pod that runs one command: (dict "root" $ "args" (list …)). */}}
{{- define "lockgate.pod" -}}
{{- $values := .root.Values -}}
restartPolicy: Never
serviceAccountName: {{ include "lockgate.account" .root }}
automountServiceAccountToken: false
# SIGTERM stops a run cleanly; a COMMIT under way is finished first.
terminationGracePeriodSeconds: 120
{{- with $values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: lockgate
    image: "{{ $values.image.repository }}:{{ $values.image.tag | default .root.Chart.AppVersion }}"
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: {{- toYaml .args | nindent 6 }}
    env:
      - name: DB_HOST
        value: {{ $values.database.host | quote }}
      - name: DB_PORT
        value: {{ $values.database.port | quote }}
      - name: DB_NAME
        value: {{ $values.database.name | quote }}
      - name: DB_SSL_MODE
        value: {{ $values.database.sslMode | quote }}
      {{- with $values.database.role }}
      - name: LOCKGATE_ROLE
        value: {{ . | quote }}
      {{- end }}
      {{- with $values.database.backupRole }}
      - name: LOCKGATE_BACKUP_ROLE
        value: {{ . | quote }}
      {{- end }}
      {{- with $values.backups.place }}
      - name: LOCKGATE_BACKUP_DIR
        value: {{ . | quote }}
      {{- end }}
      {{- if $values.config }}
      - name: LOCKGATE_CONFIG
        value: /etc/lockgate/lockgate.toml
      {{- end }}
      {{- range $name, $value := $values.environment }}
      - name: {{ $name }}
        value: {{ $value | quote }}
      {{- end }}
    envFrom:
      - secretRef:
          name: {{ $values.database.secret }}
    resources: {{- toYaml $values.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: ["ALL"]
    volumeMounts:
      {{- if $values.config }}
      - name: project
        mountPath: /etc/lockgate
        readOnly: true
      {{- end }}
      {{- if not $values.backups.place }}
      - name: backups
        mountPath: /backups
      {{- end }}
      - name: logs
        mountPath: /logs
      - name: cache
        mountPath: /home/lockgate/.cache
      - name: tmp
        mountPath: /tmp
volumes:
  {{- if $values.config }}
  - name: project
    configMap:
      name: {{ include "lockgate.name" .root }}
  {{- end }}
  {{- if not $values.backups.place }}
  - name: backups
    persistentVolumeClaim:
      claimName: {{ include "lockgate.claim" .root }}
  {{- end }}
  - name: logs
    {{- with $values.logs.existingClaim }}
    persistentVolumeClaim:
      claimName: {{ . }}
    {{- else }}
    emptyDir: {}
    {{- end }}
  - name: cache
    emptyDir: {}
  - name: tmp
    emptyDir: {}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
