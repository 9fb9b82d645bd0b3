package deploytest

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// release is what the chart makes of values.
type release struct {
	deployments map[string]*appsv1.Deployment
	jobs        []*batchv1.Job
	services    map[string]*corev1.Service
	accounts    []*corev1.ServiceAccount
	budgets     map[string]*policyv1.PodDisruptionBudget
	policies    map[string]*networkingv1.NetworkPolicy
	ingresses   []*networkingv1.Ingress
	scalers     []*autoscalingv2.HorizontalPodAutoscaler
	monitors    []map[string]any
	notes       string
}

func chartFolder(t *testing.T) string {
	t.Helper()
	return filepath.Join(root(t), "deploy", "helm", "muster")
}

// valuesOf are the values of a file of the chart's folder ci.
func valuesOf(t *testing.T, name string) map[string]any {
	t.Helper()
	values := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "helm", "muster", "ci", name)), &values))
	return values
}

// with are values with others put over them.
func with(t *testing.T, values map[string]any, text string) map[string]any {
	t.Helper()
	over := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &over))
	return loader.MergeMaps(values, over)
}

// render makes the objects of a release, and holds each against Kubernetes' types: a field that
// they do not have is an error.
func render(t *testing.T, values map[string]any) (release, error) {
	t.Helper()
	chart, err := loader.Load(chartFolder(t))
	require.NoError(t, err)
	all, err := util.ToRenderValues(chart, values, common.ReleaseOptions{Name: "roll", Namespace: "eve", Revision: 1, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return release{}, err
	}
	files, err := engine.Engine{Strict: true}.Render(chart, all)
	if err != nil {
		return release{}, err
	}
	r := release{deployments: map[string]*appsv1.Deployment{}, services: map[string]*corev1.Service{}, budgets: map[string]*policyv1.PodDisruptionBudget{}, policies: map[string]*networkingv1.NetworkPolicy{}}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(file, "NOTES.txt") {
			r.notes = files[file]
			continue
		}
		for _, document := range regexp.MustCompile(`(?m)^---$`).Split(files[file], -1) {
			r.add(t, file, document)
		}
	}
	return r, nil
}

func strictly[T any](t *testing.T, file, document string) *T {
	t.Helper()
	var object T
	require.NoError(t, yaml.UnmarshalStrict([]byte(document), &object), "%s:\n%s", file, document)
	return &object
}

func (r *release) add(t *testing.T, file, document string) {
	t.Helper()
	var head struct {
		Kind       string
		APIVersion string `json:"apiVersion"`
		Metadata   struct {
			Name, Namespace string
			Labels          map[string]string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(document), &head), "%s:\n%s", file, document)
	if head.Kind == "" {
		return
	}
	name := head.Metadata.Name
	require.LessOrEqual(t, len(name), 63)
	require.Equal(t, "eve", head.Metadata.Namespace, name)
	for _, label := range []string{"name", "instance", "version", "managed-by"} {
		require.NotEmpty(t, head.Metadata.Labels["app.kubernetes.io/"+label], "%s of %s", label, name)
	}
	role := head.Metadata.Labels["app.kubernetes.io/component"]
	switch head.APIVersion + " " + head.Kind {
	case "apps/v1 Deployment":
		r.deployments[role] = strictly[appsv1.Deployment](t, file, document)
	case "batch/v1 Job":
		r.jobs = append(r.jobs, strictly[batchv1.Job](t, file, document))
	case "v1 Service":
		r.services[name] = strictly[corev1.Service](t, file, document)
	case "v1 ServiceAccount":
		r.accounts = append(r.accounts, strictly[corev1.ServiceAccount](t, file, document))
	case "policy/v1 PodDisruptionBudget":
		r.budgets[role] = strictly[policyv1.PodDisruptionBudget](t, file, document)
	case "networking.k8s.io/v1 NetworkPolicy":
		r.policies[role] = strictly[networkingv1.NetworkPolicy](t, file, document)
	case "networking.k8s.io/v1 Ingress":
		r.ingresses = append(r.ingresses, strictly[networkingv1.Ingress](t, file, document))
	case "autoscaling/v2 HorizontalPodAutoscaler":
		r.scalers = append(r.scalers, strictly[autoscalingv2.HorizontalPodAutoscaler](t, file, document))
	case "monitoring.coreos.com/v1 ServiceMonitor":
		r.monitors = append(r.monitors, *strictly[map[string]any](t, file, document))
	default:
		require.Fail(t, "nobody expects "+head.APIVersion+" "+head.Kind, name)
	}
}

func (r *release) pods() map[string]corev1.PodTemplateSpec {
	pods := map[string]corev1.PodTemplateSpec{}
	for role, d := range r.deployments {
		pods[role] = d.Spec.Template
	}
	for _, j := range r.jobs {
		pods["migrate"] = j.Spec.Template
	}
	return pods
}

func environment(pod corev1.PodTemplateSpec) map[string]string {
	all := map[string]string{}
	for _, e := range pod.Spec.Containers[0].Env {
		all[e.Name] = e.Value
	}
	return all
}

var valueFiles = []string{"smallest.yaml", "all.yaml", "bare.yaml"}

func TestHelmFindsNothingWrongWithTheChart(t *testing.T) {
	for _, name := range valueFiles {
		linted := lint.RunAll(chartFolder(t), valuesOf(t, name), "eve")
		for _, message := range linted.Messages {
			require.Fail(t, message.Error(), name)
		}
	}
	require.NotEmpty(t, lint.RunAll(chartFolder(t), map[string]any{"replicas": 3}, "eve").Messages, "the linter looks")
}

func TestValuesThatCannotBeMeantAreRefused(t *testing.T) {
	for _, text := range []string{
		`engines: {kafka: {brokers: []}}`, `engines: {kafka: {brokers: [kafka]}}`, `image: {tag: latest}`, `replicaCount: 3`, `ingest: {replicas: 17}`, `ingest: {replica: 2}`,
		`settings: {MUSTER_POSTGRES_DSN: "postgres://u:p@h/d"}`, `settings: {MUSTER_SECRET_KEY: x}`, `settings: {MUSTER_SECRET_KEY_FILE: /x}`, `settings: {LD_PRELOAD: x}`, `settings: {MUSTER_MAX_MAILS: 3}`,
		`ingress: {enabled: true}`, `ingress: {enabled: true, host: a.example.org}`, `secrets: {secretKey: {name: "", key: k}}`, `serviceMonitor: {interval: often}`,
	} {
		_, err := render(t, with(t, valuesOf(t, "smallest.yaml"), text))
		require.Error(t, err, text)
	}
	_, err := render(t, nil)
	require.ErrorContains(t, err, "brokers", "what has no default is asked for")
}

func TestPodsMayDoNothingButTheirWork(t *testing.T) {
	for _, name := range valueFiles {
		r, err := render(t, valuesOf(t, name))
		require.NoError(t, err, name)
		require.ElementsMatch(t, roles, slices.Collect(maps.Keys(r.deployments)))
		for role, pod := range r.pods() {
			spec := pod.Spec
			require.False(t, *spec.AutomountServiceAccountToken, role)
			require.False(t, *spec.EnableServiceLinks, role)
			require.False(t, spec.HostNetwork || spec.HostPID || spec.HostIPC, role)
			require.True(t, *spec.SecurityContext.RunAsNonRoot, role)
			require.EqualValues(t, 65532, *spec.SecurityContext.RunAsUser, role)
			require.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, spec.SecurityContext.SeccompProfile.Type, role)
			require.Len(t, spec.Containers, 1, role)
			c := spec.Containers[0]
			require.Equal(t, []string{role}, c.Args)
			require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, role)
			require.True(t, *c.SecurityContext.ReadOnlyRootFilesystem, role)
			require.Equal(t, []corev1.Capability{"ALL"}, c.SecurityContext.Capabilities.Drop, role)
			require.Empty(t, c.SecurityContext.Capabilities.Add, role)
			require.Nil(t, c.SecurityContext.Privileged, role)
			require.False(t, c.Resources.Limits.Memory().IsZero(), role)
			require.False(t, c.Resources.Requests.Cpu().IsZero(), role)
			for _, v := range spec.Volumes {
				require.Nil(t, v.HostPath, role)
			}
			mounted := map[string]bool{}
			for _, m := range c.VolumeMounts {
				mounted[m.MountPath] = true
			}
			require.True(t, mounted["/tmp"] && mounted["/var/lib/muster"], "what is written to is there")
		}
		for _, a := range r.accounts {
			require.False(t, *a.AutomountServiceAccountToken)
		}
	}
}

func TestSecretsReachPodsAsFilesAlone(t *testing.T) {
	for _, name := range valueFiles {
		r, err := render(t, valuesOf(t, name))
		require.NoError(t, err, name)
		for role, pod := range r.pods() {
			files := map[string]bool{}
			for _, v := range pod.Spec.Volumes {
				if v.Projected != nil {
					for _, source := range v.Projected.Sources {
						require.NotEmpty(t, source.Secret.Name)
						for _, item := range source.Secret.Items {
							files["/run/secrets/muster/"+item.Path] = true
						}
					}
				}
			}
			named := map[string]bool{}
			for _, e := range pod.Spec.Containers[0].Env {
				require.Nil(t, e.ValueFrom, "%s of %s", e.Name, role)
				if strings.HasPrefix(e.Value, "/run/secrets/") {
					named[e.Value] = true
				}
			}
			require.Empty(t, pod.Spec.Containers[0].EnvFrom)
			require.Equal(t, files, named, "%s of %s: each file is named and each name is a file", role, name)
			env := environment(pod)
			for _, variable := range []string{"MUSTER_POSTGRES_DSN_FILE", "MUSTER_CLICKHOUSE_DSN_FILE", "MUSTER_SECRET_KEY_FILE", "MUSTER_ADMIN_TOKEN_FILE"} {
				require.NotEmpty(t, env[variable], role)
			}
		}
	}
	r, err := render(t, valuesOf(t, "all.yaml"))
	require.NoError(t, err)
	env := environment(r.pods()["ingest"])
	require.Equal(t, "/run/secrets/muster/anvilCredentials", env["MUSTER_ANVIL_CREDENTIALS"])
	require.Equal(t, "/run/secrets/muster/webhookURL", env["MUSTER_NOTIFY_WEBHOOK_URL_FILE"])
	require.Equal(t, "0123456789", env["MUSTER_SSO_CLIENT_ID"])
	require.Equal(t, "main", env["MUSTER_CLICKHOUSE_CLUSTER"])
	require.Equal(t, "kafka-0.kafka:9092,kafka-1.kafka:9092,kafka-2.kafka:9092", env["MUSTER_KAFKA_BROKERS"])
	require.Equal(t, "48", env["MUSTER_KAFKA_PARTITIONS"])
}

func TestRolesAreProbedAndAllHaveTheSameSettings(t *testing.T) {
	r, err := render(t, valuesOf(t, "all.yaml"))
	require.NoError(t, err)
	own := []string{"MUSTER_LISTEN", "MUSTER_METRICS_LISTEN", "GOMEMLIMIT"}
	same := environment(r.pods()["migrate"])
	for role, d := range r.deployments {
		c := d.Spec.Template.Spec.Containers[0]
		port := map[bool]string{true: "http", false: "metrics"}[role == "serve"]
		require.Equal(t, "/livez", c.LivenessProbe.HTTPGet.Path)
		require.Equal(t, "/readyz", c.ReadinessProbe.HTTPGet.Path)
		require.Greater(t, c.ReadinessProbe.TimeoutSeconds, int32(3), "a check of an engine may take three seconds")
		ports := map[string]int32{}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			require.Equal(t, port, probe.HTTPGet.Port.StrVal, role)
			require.Contains(t, ports, port)
		}
		require.Equal(t, "0.0.0.0:9102", environment(d.Spec.Template)["MUSTER_METRICS_LISTEN"])
		require.EqualValues(t, 9102, ports["metrics"])
		env := environment(d.Spec.Template)
		for _, name := range own {
			delete(env, name)
		}
		require.Equal(t, same, env, role)
		require.Equal(t, "registry.example.org/muster@sha256:"+strings.Repeat("0", 64), c.Image)
		require.Subset(t, d.Spec.Template.Labels, d.Spec.Selector.MatchLabels)
		require.Greater(t, *d.Spec.Template.Spec.TerminationGracePeriodSeconds, int64(15))
	}
	require.EqualValues(t, 8, *r.deployments["ingest"].Spec.Replicas)
	require.Nil(t, r.deployments["serve"].Spec.Replicas, "the autoscaler decides")
	require.EqualValues(t, 2, *r.deployments["project"].Spec.Replicas)
	require.Len(t, r.scalers, 1)
	require.Equal(t, "roll-muster-serve", r.scalers[0].Spec.ScaleTargetRef.Name)
	require.Equal(t, r.deployments["serve"].Name, r.scalers[0].Spec.ScaleTargetRef.Name)
}

func TestTablesAreMadeBeforeRolesStart(t *testing.T) {
	r, err := render(t, valuesOf(t, "smallest.yaml"))
	require.NoError(t, err)
	require.Len(t, r.jobs, 1)
	job := r.jobs[0]
	require.Equal(t, "pre-install,pre-upgrade", job.Annotations["helm.sh/hook"])
	require.Contains(t, job.Annotations["helm.sh/hook-delete-policy"], "before-hook-creation")
	require.Empty(t, job.Spec.Template.Spec.ServiceAccountName, "the release's own account is not there yet")
	require.Equal(t, corev1.RestartPolicyNever, job.Spec.Template.Spec.RestartPolicy)
	require.Positive(t, *job.Spec.ActiveDeadlineSeconds)
}

func TestWhatBelongsTogetherFindsOneAnother(t *testing.T) {
	r, err := render(t, valuesOf(t, "all.yaml"))
	require.NoError(t, err)
	api, metrics := r.services["roll-muster"], r.services["roll-muster-metrics"]
	serve := r.deployments["serve"].Spec.Template.Labels
	require.Subset(t, serve, api.Spec.Selector)
	require.Equal(t, "serve", api.Spec.Selector["app.kubernetes.io/component"])
	for _, role := range roles {
		labels := r.deployments[role].Spec.Template.Labels
		require.Subset(t, labels, metrics.Spec.Selector)
		require.Equal(t, r.deployments[role].Spec.Selector, r.budgets[role].Spec.Selector)
		require.EqualValues(t, 1, r.budgets[role].Spec.MaxUnavailable.IntVal)
	}
	require.Len(t, r.ingresses, 1)
	backend := r.ingresses[0].Spec.Rules[0].HTTP.Paths[0].Backend.Service
	require.Equal(t, api.Name, backend.Name)
	require.Equal(t, api.Spec.Ports[0].Name, backend.Port.Name)
	require.Equal(t, "muster-tls", r.ingresses[0].Spec.TLS[0].SecretName)
	require.Equal(t, []string{r.ingresses[0].Spec.Rules[0].Host}, r.ingresses[0].Spec.TLS[0].Hosts)
	require.Len(t, r.monitors, 1)
	monitor, err := yaml.Marshal(r.monitors[0])
	require.NoError(t, err)
	require.Contains(t, string(monitor), "app.kubernetes.io/component: metrics")
	require.Contains(t, string(monitor), "release: prometheus")
	require.Contains(t, r.notes, "https://muster.example.org")
}

func TestNetworksLetInAndOutWhatIsNeeded(t *testing.T) {
	r, err := render(t, valuesOf(t, "all.yaml"))
	require.NoError(t, err)
	ports := func(rules []networkingv1.NetworkPolicyEgressRule) (all []int) {
		for _, rule := range rules {
			for _, p := range rule.Ports {
				all = append(all, p.Port.IntValue())
			}
		}
		return all
	}
	engines := []int{53, 53, 9092, 5432, 9000}
	require.Len(t, r.policies, 4)
	for role, pod := range r.pods() {
		policy := r.policies[role]
		require.Subset(t, pod.Labels, policy.Spec.PodSelector.MatchLabels)
		require.Equal(t, role, policy.Spec.PodSelector.MatchLabels["app.kubernetes.io/component"])
		require.Equal(t, []networkingv1.PolicyType{"Ingress", "Egress"}, policy.Spec.PolicyTypes)
		require.Equal(t, "10.0.0.0/8", policy.Spec.Egress[1].To[0].IPBlock.CIDR, role)
	}
	require.Equal(t, engines, ports(r.policies["project"].Spec.Egress), "the projectors ask nobody outside")
	require.Equal(t, engines, ports(r.policies["migrate"].Spec.Egress))
	require.Equal(t, append(engines, 443, 587), ports(r.policies["ingest"].Spec.Egress))
	require.Empty(t, r.policies["migrate"].Spec.Ingress)
	require.Len(t, r.policies["ingest"].Spec.Ingress, 1)
	require.Len(t, r.policies["serve"].Spec.Ingress, 2)
	require.Equal(t, "monitoring", r.policies["ingest"].Spec.Ingress[0].From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
	require.Equal(t, "ingress-nginx", r.policies["serve"].Spec.Ingress[1].From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"])
}

func TestWhatIsSwitchedOffIsNotThere(t *testing.T) {
	r, err := render(t, valuesOf(t, "bare.yaml"))
	require.NoError(t, err)
	require.Empty(t, r.jobs)
	require.Empty(t, r.accounts)
	require.Empty(t, r.budgets)
	require.Empty(t, r.policies)
	require.Empty(t, r.ingresses)
	require.Empty(t, r.scalers)
	require.Empty(t, r.monitors)
	require.Equal(t, "default", r.deployments["serve"].Spec.Template.Spec.ServiceAccountName)
	require.Contains(t, r.notes, "no characters are synced")
	require.Contains(t, r.notes, "port-forward")
}

func TestTheChartDocumentsEveryValue(t *testing.T) {
	values := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "helm", "muster", "values.yaml")), &values))
	page, err := os.ReadFile(filepath.Join(chartFolder(t), "README.md"))
	require.NoError(t, err)
	for name := range values {
		require.Contains(t, string(page), "`"+name, "README.md of the chart does not say what %s is", name)
	}
}
